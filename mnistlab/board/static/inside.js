// What the network makes of one image: the maps of its layers, and where it looks, computed on demand.

import { get } from "./api.js";
import { el } from "./dom.js";
import * as format from "./format.js";
import { bytes, picture, pictures } from "./pixels.js";

const MOST_MAPS = 32;

export function insideSection(number, classes) {
  const root = el("section", { class: "inside", hidden: true, tabIndex: -1, "aria-label": "One image" });
  let latest = 0;

  async function show(place, row) {
    const mine = (latest += 1);
    root.hidden = false;
    root.replaceChildren(el("p", { role: "status" }, "Computing ..."));
    root.scrollIntoView({ block: "nearest" });
    try {
      const content = await get("inside", { run: number, place });
      if (mine === latest) draw(content, row);
    } catch (error) {
      if (mine === latest) root.replaceChildren(el("p", { class: "bad", role: "alert" }, error.message));
    }
  }

  function draw(content, row) {
    const [image] = pictures(content.image, [`test image ${row}`], Math.max(2, Math.round(168 / content.image.height)));
    root.replaceChildren(
      el("h3", {}, `Test image ${row}: ${classes[content.truth]}, predicted ${classes[content.predicted]}`),
      el("div", { class: "side" },
        el("figure", {}, image, el("figcaption", {}, "The image")),
        el("figure", {}, occlusion(content), el("figcaption", {}, `Drop of p(${classes[content.predicted]}) when a patch covers the place: from ${format.number(low(content.drops), 2)} (blue) to ${format.number(high(content.drops), 2)} (orange)`)),
        bars(content.probabilities)),
      ...content.layers.map(layer),
    );
    root.focus({ preventScroll: true });
  }

  const low = (drops) => Math.min(...drops.flat());
  const high = (drops) => Math.max(...drops.flat());

  function occlusion({ drops }) {
    const [rows, columns] = [drops.length, drops[0].length];
    const most = Math.max(1e-9, ...drops.flat().map(Math.abs));
    const canvas = el("canvas", { width: columns, height: rows, class: "pixels", role: "img", "aria-label": "Occlusion map", style: { width: "168px", height: `${Math.round((168 * rows) / columns)}px` } });
    const context = canvas.getContext("2d");
    const data = context.createImageData(columns, rows);
    drops.flat().forEach((drop, i) => {
      const share = drop / most; // white is no change, orange a drop, blue a rise
      const colour = share >= 0 ? [213, 94, 0] : [0, 114, 178];
      data.data.set([...colour.map((part) => Math.round(255 + (part - 255) * Math.abs(share))), 255], 4 * i);
    });
    context.putImageData(data, 0, 0);
    return canvas;
  }

  function bars(probabilities) {
    const order = probabilities.map((p, c) => [p, c]).sort(([a], [b]) => b - a).slice(0, 10);
    return el("table", { class: "bars" }, el("caption", {}, "Probabilities"), el("tbody", {}, order.map(([p, c]) =>
      el("tr", {}, el("th", { scope: "row" }, classes[c]), el("td", { class: "n" }, format.percent(p)), el("td", {}, el("meter", { min: "0", max: "1", value: String(p), "aria-label": `probability of ${classes[c]}` }))))));
  }

  function layer({ title, shape, grey }) {
    const [count, height, width] = shape;
    const all = bytes(grey);
    const maps = Array.from({ length: Math.min(count, MOST_MAPS) }, (_, i) => picture(all.subarray(i * height * width, (i + 1) * height * width), width, height, `map ${i + 1} of ${title}`, Math.max(1, Math.round(64 / Math.max(height, width)))));
    return el("figure", {}, el("figcaption", {}, title), el("div", { class: "maps" }, maps));
  }

  return { root, show };
}

// Calibration: the reliability diagram with the counts of its bins, before and after a temperature; prediction sets.

import { get } from "./api.js";
import { choice, el, svg } from "./dom.js";
import * as format from "./format.js";

const SIZE = 280;
const EDGE = 44;

export function calibrationSection(number, setLeast) {
  const body = el("div", {}, el("p", { role: "status" }, "Computing ..."));
  const root = el("section", {}, el("h3", {}, "Calibration and prediction sets"), body);

  async function load() {
    try {
      draw(await get("calibration", { run: number }));
    } catch (error) {
      body.replaceChildren(el("p", { class: "bad" }, error.message));
    }
  }

  function draw(content) {
    const figures = [figure("As predicted", content.test)];
    if (content.scaled) figures.push(figure(`With the temperature ${content.temperature.toFixed(3)}`, content.scaled));
    body.replaceChildren(el("div", { class: "side" }, figures));
    if (content.problem) body.append(el("p", { class: "note" }, `No temperature and no sets: ${content.problem}`));
    else {
      body.append(
        el("p", { class: "note" }, `The temperature was fitted on the ${format.plural(content.validation, "validation image")}; the diagrams are of the test set. ${effect(content)}`),
        sets(content),
      );
    }
  }

  const effect = ({ test, scaled }) => `The expected calibration error changes from ${format.percent(test.error, 2)} to ${format.percent(scaled.error, 2)}, the loss from ${format.number(test.loss)} to ${format.number(scaled.loss)}.`;

  function figure(title, table) {
    const bins = table.count.length;
    const most = Math.max(1, ...table.count);
    const at = (share) => EDGE + share * (SIZE - EDGE - 10);
    const up = (share) => SIZE - EDGE - share * (SIZE - EDGE - 10);
    const width = (SIZE - EDGE - 10) / bins;
    const marks = [];
    table.count.forEach((count, i) => {
      if (!count) return;
      const left = at(i / bins);
      marks.push(svg("rect", { class: "count", x: left + 1, width: width - 2, y: up((0.3 * count) / most), height: up(0) - up((0.3 * count) / most) }, svg("title", {}, format.plural(count, "image"))));
      const [x, y] = [at(table.confidence[i]), up(table.accuracy[i])];
      marks.push(svg("circle", { class: "dot", cx: x, cy: y, r: 4 }, svg("title", {}, `confidence ${format.percent(table.confidence[i])}, accuracy ${format.percent(table.accuracy[i])}, ${format.plural(count, "image")}`)));
    });
    const chart = svg(
      "svg", { viewBox: `0 0 ${SIZE} ${SIZE}`, class: "chart", role: "img", "aria-label": `Reliability diagram: ${title}; the table below has its numbers` },
      svg("line", { class: "diagonal", x1: at(0), y1: up(0), x2: at(1), y2: up(1) }),
      ...[0, 0.5, 1].flatMap((share) => [
        svg("text", { x: at(share), y: SIZE - EDGE + 16, "text-anchor": "middle" }, String(share)),
        svg("text", { x: EDGE - 6, y: up(share) + 4, "text-anchor": "end" }, String(share)),
      ]),
      svg("text", { x: (EDGE + SIZE) / 2, y: SIZE - 6, "text-anchor": "middle" }, "confidence"),
      svg("text", { transform: `translate(12 ${(SIZE - EDGE) / 2}) rotate(-90)`, "text-anchor": "middle" }, "accuracy"),
      svg("path", { class: "frame", d: `M${at(0)} ${up(1)}V${up(0)}H${at(1)}` }),
      ...marks,
    );
    const rows = table.count.map((count, i) => (count ? el("tr", {}, el("th", { scope: "row" }, `${format.number(i / bins, 2)} to ${format.number((i + 1) / bins, 2)}`), el("td", { class: "n" }, count.toLocaleString("en")), el("td", { class: "n" }, format.percent(table.confidence[i])), el("td", { class: "n" }, format.percent(table.accuracy[i]))) : null));
    const numbers = el("details", {}, el("summary", {}, "Numbers of the bins"), el("table", {}, el("thead", {}, el("tr", {}, ["confidence", "images", "mean confidence", "accuracy"].map((name) => el("th", { scope: "col" }, name)))), el("tbody", {}, rows)));
    return el("figure", {}, el("figcaption", {}, `${title}: expected calibration error ${format.percent(table.error, 2)}. Points are bins, bars their counts.`), chart, numbers);
  }

  function sets({ sets: rows }) {
    const table = el(
      "table", {}, el("caption", {}, "Split-conformal prediction sets"),
      el("thead", {}, el("tr", {}, ["promised coverage", "coverage on the test set", "mean size", "empty", "one class", "several"].map((name) => el("th", { scope: "col" }, name)))),
      el("tbody", {}, rows.map((row) => {
        const several = row.sizes.slice(2).reduce((sum, count) => sum + count, 0);
        return el("tr", {}, el("th", { scope: "row" }, format.percent(1 - row.level, 0)), [format.percent(row.coverage, 2), row.mean_size.toFixed(3), ...[row.sizes[0], row.sizes[1], several].map((count) => count.toLocaleString("en"))].map((cell) => el("td", { class: "n" }, cell)));
      })),
    );
    const shown = choice("Show the sets of the images at", [["", "no level"], ...rows.map((row) => [row.threshold, format.percent(1 - row.level, 0)])], "", (value) => setLeast(value === "" ? null : Number(value)));
    return el("div", { class: "scroll", tabIndex: 0, role: "region", "aria-label": "Prediction sets" }, table, shown,
      el("p", { class: "note" }, "The thresholds come from the validation set. Where it also chose the epoch of the weights, the promise holds only roughly."));
  }

  return { root, load };
}

// Test images with their probabilities, and beside them what another run says of the same images.

import { get } from "./api.js";
import { choice, el, fill, toggle } from "./dom.js";
import * as format from "./format.js";
import { insideSection } from "./inside.js";
import { pictures } from "./pixels.js";
import { store } from "./store.js";

const COUNT = 48;
const WHO = { "": "all images", both: "both right", this: "only this run right", other: "only the other right", neither: "both wrong" };
const ORDERS = { confident: "most confident first", unsure: "least confident first", row: "order of the data" };

export function imagesSection(number, test) {
  const { classes } = test;
  const asked = { truth: "", predicted: "", order: "confident", who: "", beside: "", wrong: "", start: 0 };
  let least = null; // a class is in the prediction set from this probability
  let latest = 0;
  const names = [["", "any"], ...classes.map((name, i) => [i, name])];
  const set = (key) => (value) => ((asked[key] = value), (asked.start = 0), load());
  const truth = choice("True class", names, "", set("truth"));
  const predicted = choice("Predicted", names, "", set("predicted"));
  const order = choice("Order", Object.entries(ORDERS), asked.order, set("order"));
  const beside = choice("Beside it", besides(), "", (value) => ((asked.who = ""), set("beside")(value)));
  const who = choice("Who is right", Object.entries(WHO), "", set("who"));
  who.hidden = true;
  const wrong = toggle("Only mistakes", false, (on) => set("wrong")(on ? "1" : ""));
  const says = el("p", { role: "status" });
  const grid = el("ul", { class: "gallery" });
  const more = el("button", { type: "button", hidden: true, onclick: () => ((asked.start += COUNT), load(true)) }, "More images");
  const inside = insideSection(number, classes);
  const root = el(
    "section", { class: "images" }, el("h3", {}, "Test images"),
    el("div", { class: "controls" }, truth, predicted, wrong, order, beside, who), says, grid, more, inside.root,
  );

  function besides() {
    const others = [...store.runs.values()].filter((run) => run.number !== number && run.state === "completed");
    others.sort((a, b) => b.started - a.started);
    return [["", "no other run"], ...others.slice(0, 300).map((run) => [run.number, `${run.path}${run.changed.length ? ` (${run.changed.slice(0, 3).join(" ")})` : ""}`])];
  }

  async function load(append = false) {
    const mine = (latest += 1);
    try {
      const content = await get("images", { run: number, count: COUNT, ...asked });
      if (mine !== latest) return;
      draw(content, append);
    } catch (error) {
      if (mine !== latest) return;
      says.textContent = `The images cannot be shown: ${error.message}`;
      grid.replaceChildren();
      more.hidden = true;
    }
  }

  function draw(content, append) {
    const cards = pictures(content.images, content.rows.map((row, i) => `test image ${row}, ${classes[content.truths[i]]}`)).map((canvas, i) => card(content, canvas, i));
    if (append) grid.append(...cards);
    else grid.replaceChildren(...cards);
    more.hidden = grid.childElementCount >= content.matching;
    who.hidden = !content.who;
    if (content.who) {
      fill(who.select, Object.entries(WHO).map(([key, text]) => [key, key ? `${text}: ${content.who[key].toLocaleString("en")}` : text]), asked.who);
    }
    says.textContent = `${format.plural(content.matching, "image")}${content.who ? `. ${compared(content)}` : ""}`;
  }

  function compared({ who: counts, p }) {
    const differ = p !== null && p <= 0.05;
    return `Only this run is right on ${counts.this}, only the other on ${counts.other}: the two trained models ${differ ? "differ" : "are not distinguishable"} on the test images (McNemar, p = ${format.number(p, 2)})`;
  }

  function card(content, canvas, i) {
    const probabilities = content.probabilities[i];
    const truthIndex = content.truths[i];
    const mine = best(probabilities);
    const other = content.other ? best(content.other[i]) : null;
    const right = mine === truthIndex;
    const lines = [
      el("span", { class: right ? null : "bad" }, `${right ? "✓" : "✗"} ${classes[mine]} ${format.percent(probabilities[mine])}`),
      right ? null : el("span", {}, `true: ${classes[truthIndex]} ${format.percent(probabilities[truthIndex])}`),
      other === null ? null : el("span", { class: other === truthIndex ? null : "bad" }, `other: ${other === truthIndex ? "✓" : "✗"} ${classes[other]} ${format.percent(content.other[i][other])}`),
      least === null ? null : el("span", {}, `set: ${setOf(probabilities)}`),
    ];
    const title = probabilities.map((p, c) => [p, c]).sort(([a], [b]) => b - a).slice(0, 10).map(([p, c]) => `${classes[c]} ${format.percent(p)}`).join("\n");
    const button = el("button", { type: "button", title, onclick: () => inside.show(content.places[i], content.rows[i]) }, canvas);
    button.setAttribute("aria-label", `Look into test image ${content.rows[i]}: ${classes[truthIndex]}, predicted ${classes[mine]} with ${format.percent(probabilities[mine])}`);
    return el("li", {}, button, ...lines);
  }

  const best = (values) => values.reduce((at, value, i) => (value > values[at] ? i : at), 0);
  const setOf = (probabilities) => `{${probabilities.map((p, c) => (p >= least - 1e-4 ? classes[c] : null)).filter((name) => name !== null).join(", ")}}`;

  return {
    root,
    show(cell) {
      asked.truth = cell.truth ?? "";
      asked.predicted = cell.predicted ?? "";
      asked.start = 0;
      truth.select.value = String(asked.truth);
      predicted.select.value = String(asked.predicted);
      load();
      if (cell.truth !== undefined) root.scrollIntoView({ block: "start" });
    },
    setLeast(value) {
      least = value;
      asked.start = 0;
      load();
    },
  };
}

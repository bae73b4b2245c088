// Two settings against each other: the mean of a metric in each cell of a table.

import { choice, el, fill, soon } from "./dom.js";
import * as format from "./format.js";
import { heat } from "./palette.js";
import { changed, differing, filtered, metrics, onChange, store, value } from "./store.js";

const MOST = 40; // rows or columns

export function heatMap({ verdicts }) {
  const keys = differing(filtered());
  let across = keys[0] ?? "seed";
  let down = keys[1] ?? "seed";
  let metric = verdicts.metric();
  const choices = {
    across: choice("Across", [across], across, (key) => ((across = key), draw())),
    down: choice("Down", [down], down, (key) => ((down = key), draw())),
    metric: choice("Metric", [metric], metric, (key) => ((metric = key), draw())),
  };
  const place = el("div", { class: "scroll", tabIndex: 0, role: "region", "aria-label": "Heat map" });
  const note = el("p", { class: "note" });
  const root = el("div", {}, el("div", { class: "controls" }, choices.across, choices.down, choices.metric), place, note);

  function draw() {
    const runs = filtered();
    const known = [...new Set([...differing(runs), "seed"])];
    fill(choices.across.select, known, across);
    fill(choices.down.select, known, down);
    fill(choices.metric.select, metrics().length ? metrics() : [metric], metric);
    const cells = new Map();
    for (const run of runs) {
      const key = JSON.stringify([text(run, down), text(run, across)]);
      if (!cells.has(key)) cells.set(key, []);
      cells.get(key).push(run);
    }
    const [columns, rows] = [across, down].map((key) => [...new Set(runs.map((run) => text(run, key)))].sort((a, b) => a.localeCompare(b, "en", { numeric: true })));
    const means = new Map([...cells].map(([key, of]) => [key, meanOf(of)]));
    const values = [...means.values()].filter(format.isNumber);
    const [low, high] = [Math.min(...values), Math.max(...values)];
    const cell = (row, column) => {
      const key = JSON.stringify([row, column]);
      const of = cells.get(key);
      if (!of) return el("td", { class: "empty" }, "");
      const mean = means.get(key);
      const on = store.brushed && of.every((run) => store.brushed.has(run.number)) && store.brushed.size === of.length;
      const button = el("button", { type: "button", "aria-pressed": String(Boolean(on)), title: format.plural(of.length, "run"), onclick: () => pick(on ? null : of) }, format.metric(metric, mean), el("small", {}, ` n=${of.length}`));
      return el("td", { style: { background: format.isNumber(mean) ? heat(high > low ? (mean - low) / (high - low) : 0.5) : "" } }, button);
    };
    place.replaceChildren(
      el("table", { class: "heat" },
        el("caption", {}, `${format.title(metric)}: the mean of each cell`),
        el("thead", {}, el("tr", {}, el("th", { scope: "col" }, `${down} ↓  ${across} →`), ...columns.slice(0, MOST).map((name) => el("th", { scope: "col" }, name)))),
        el("tbody", {}, ...rows.slice(0, MOST).map((name) => el("tr", {}, el("th", { scope: "row" }, name), ...columns.slice(0, MOST).map((column) => cell(name, column))))),
      ),
    );
    const hidden = Math.max(0, rows.length - MOST) + Math.max(0, columns.length - MOST);
    note.textContent = `${hidden ? `${hidden} more values are not shown. ` : ""}A cell keeps its runs in the table and in the curves.`;
  }

  function pick(runs) {
    store.brushed = runs ? new Set(runs.map((run) => run.number)) : null;
    changed();
  }

  const text = (run, key) => format.cell(key, value(run, key)) || "-";

  function meanOf(runs) {
    const values = runs.map((run) => value(run, metric)).filter(format.isNumber);
    return values.length ? format.mean(values) : NaN;
  }

  const off = onChange(soon(draw));
  return { root, shown: draw, clear: draw, close: off };
}

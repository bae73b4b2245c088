// All runs at work: the filter, one chart at a time with the verdicts on what it shows, and the table.

import { curvesChart } from "./curves.js";
import { el } from "./dom.js";
import { paretoChart, scatterChart } from "./scatter.js";
import { heatMap } from "./heatmap.js";
import { parallelChart } from "./parallel.js";
import { changed, store } from "./store.js";
import { runTable } from "./table.js";
import { verdictPanel } from "./verdicts.js";

const CHARTS = {
  Curves: curvesChart,
  "Parallel coordinates": parallelChart,
  Scatter: scatterChart,
  "Heat map": heatMap,
  "Accuracy and time": paretoChart,
};
const memory = { chart: "Curves" };

export function workbench({ askColumns, setFilter, filter }) {
  const problem = el("p", { class: "bad", role: "alert" });
  const field = el("input", { id: "filter", type: "search", value: filter, placeholder: "model=lenet* test.accuracy>=0.97", autocomplete: "off", spellcheck: false });
  field.value = filter;
  const form = el(
    "form", { class: "filter", role: "search", onsubmit: (event) => (event.preventDefault(), apply()) },
    el("label", { for: "filter" }, "Filter"), field, el("button", { type: "submit" }, "Apply"),
  );
  field.addEventListener("search", apply);
  const unbrush = el("button", { type: "button", hidden: true, onclick: () => ((store.brushed = null), chart.clear?.(), changed()) }, "Clear the brush");
  const tabs = el("div", { class: "tabs", role: "tablist", "aria-label": "Charts" });
  const panel = el("div", { role: "tabpanel", id: "chart", tabIndex: -1 });
  const verdicts = verdictPanel();
  const table = runTable({ askColumns });
  let chart = null;

  async function apply() {
    problem.textContent = "";
    try {
      await setFilter(field.value);
    } catch (error) {
      problem.textContent = error.message;
    }
  }

  function open(name) {
    memory.chart = name;
    chart?.close();
    if (store.brushed) {
      store.brushed = null;
      changed();
    }
    chart = CHARTS[name]({ verdicts });
    panel.replaceChildren(chart.root);
    panel.setAttribute("aria-label", name);
    for (const tab of tabs.children) {
      const on = tab.textContent === name;
      tab.setAttribute("aria-selected", String(on));
      tab.tabIndex = on ? 0 : -1;
    }
    chart.shown?.();
  }

  tabs.append(
    ...Object.keys(CHARTS).map((name) =>
      el("button", { type: "button", role: "tab", "aria-controls": "chart", onclick: () => open(name) }, name),
    ),
  );
  tabs.addEventListener("keydown", (event) => {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!step) return;
    const all = [...tabs.children];
    const next = all[(all.indexOf(document.activeElement) + step + all.length) % all.length];
    next.focus();
    next.click();
  });
  const watch = setInterval(() => (unbrush.hidden = !store.brushed), 100);
  const root = el(
    "div", { class: "workbench" }, form, problem,
    el("section", { class: "charts", "aria-label": "Charts" }, el("div", { class: "bar" }, tabs, unbrush), panel, verdicts.root),
    table.root,
  );
  return {
    root,
    shown: () => open(memory.chart),
    close: () => (clearInterval(watch), chart?.close(), verdicts.close(), table.close()),
  };
}

// Loss and accuracy of the runs that are shown; of groups, the mean over the seeds with its band.

import { post } from "./api.js";
import { choice, css, el, soon, toggle } from "./dom.js";
import * as format from "./format.js";
import { grey } from "./palette.js";
import { resampled, smoothed, summarised } from "./series.js";
import { onChange, shown, store } from "./store.js";
import uPlot from "./uplot/uPlot.esm.js";

const MOST = 1000; // curves drawn at once
const HEIGHT = 260;
const PATIENCE = 250; // milliseconds for the verdicts, before the runs are drawn without groups
const AXES = { epoch: "epoch", step: "step", seconds: "seconds of training" };
const WHOLE = new Set(["epoch", "step"]); // there is no epoch 1.5
const STEPS = [0, 1, 2, 3, 4, 5, 6].flatMap((power) => [1, 2, 5].map((digit) => digit * 10 ** power));
const PARTS = { val: "validation", train: "training" };
const settings = { x: "epoch", part: "val", log: false, smooth: 0, means: true };

export function curvesChart({ verdicts }) {
  const histories = new Map(); // number -> {change, columns}
  const plots = new Map(); // quantity -> uPlot
  let closed = false;
  let fetching = false;
  const controls = el(
    "div", { class: "controls" },
    choice("Axis", Object.entries(AXES), settings.x, (value) => ((settings.x = value), draw())),
    choice("Set", Object.entries(PARTS), settings.part, (value) => ((settings.part = value), draw())),
    toggle("Log scale", settings.log, (on) => ((settings.log = on), draw())),
    toggle("Mean of seeds", settings.means, (on) => ((settings.means = on), draw())),
    el("label", {}, "Smoothing ", slider()),
  );
  const boxes = Object.fromEntries(["loss", "accuracy"].map((name) => [name, el("div", { class: "plot" })]));
  const readout = el("p", { class: "readout", "aria-live": "polite" });
  const legend = el("ul", { class: "legend", tabIndex: 0, "aria-label": "Groups" });
  const note = el("p", { class: "note" });
  const root = el("div", {}, controls, el("div", { class: "plots" }, boxes.loss, boxes.accuracy), readout, legend, note);

  function slider() {
    const range = el("input", { type: "range", min: "0", max: "0.95", step: "0.05", "aria-label": "Smoothing", oninput: () => ((settings.smooth = Number(range.value)), later()) });
    range.value = String(settings.smooth);
    return range;
  }

  async function fetchNew() {
    if (fetching || closed) return;
    const runs = shown().slice(0, MOST);
    const missing = runs.filter((run) => histories.get(run.number)?.change !== run.change).map((run) => run.number);
    if (!missing.length) return later();
    fetching = true;
    try {
      const content = await post("curves", { runs: missing });
      for (const number of missing) {
        const found = content.runs[number];
        histories.set(number, { change: store.runs.get(number)?.change, columns: found ? unpacked(content.columns, ...found) : null });
      }
      note.textContent = "";
    } catch (error) {
      note.textContent = error.message;
    } finally {
      fetching = false;
    }
    later();
  }

  function unpacked(names, count, base64) {
    const bytes = Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0));
    const floats = new Float32Array(bytes.buffer);
    return Object.fromEntries(names.map((name, i) => [name, floats.subarray(i * count, (i + 1) * count)]));
  }

  function draw() {
    if (closed || !root.isConnected) return;
    if (!verdicts.answered() && !verdicts.isSlow() && performance.now() - opened < PATIENCE) return; // a moment, so that lines need not change colour
    const runs = shown().slice(0, MOST).filter((run) => histories.get(run.number)?.columns);
    const groups = verdicts.answered() ? verdicts.groups() : null; // no groups before there are verdicts on them
    const lines = linesOf(runs, groups);
    for (const quantity of Object.keys(boxes)) plot(quantity, lines);
    drawLegend(lines, groups);
    performance.mark("painted");
    const left = shown().length - MOST;
    const without = Math.min(shown().length, MOST) - runs.length;
    note.textContent = [
      left > 0 ? `The first ${MOST.toLocaleString("en")} runs of the table are drawn, and ${left.toLocaleString("en")} are not.` : "",
      without ? `${format.plural(without, "run")} without a history.` : "",
      groups === null && runs.length > 1 ? `Grey: ${verdicts.without()}` : "",
      settings.means && groups ? "A band is one standard deviation over seeds, on either side of the mean; ± is the 95 % confidence interval of the mean." : "",
    ].filter(Boolean).join(" ");
  }

  // What is drawn: {name, colour, dash, runs}. A run that is not compared is a grey line of its own.
  function linesOf(runs, groups) {
    const byNumber = new Map(runs.map((run) => [run.number, run]));
    const lines = [];
    const grouped = new Set();
    for (const group of groups ?? []) {
      const members = group.runs.map((number) => byNumber.get(number)).filter(Boolean);
      group.runs.forEach((number) => grouped.add(number));
      if (!members.length) continue;
      if (settings.means) lines.push({ ...group, runs: members, group });
      else lines.push(...members.map((run) => ({ ...group, name: `${group.name} seed=${run.seed ?? "?"}`, runs: [run], group })));
    }
    const alone = runs.filter((run) => !grouped.has(run.number));
    lines.push(...alone.map((run) => ({ name: run.path, colour: grey(), dash: groups ? [4, 3] : [], runs: [run], group: null })));
    return lines;
  }

  function plot(quantity, lines) {
    const key = `${settings.part}_${quantity}`;
    const shownSeries = lines.map((line) => line.runs.map((run) => {
      const columns = histories.get(run.number).columns;
      return { x: columns[settings.x], y: smoothed(columns[key], settings.smooth) };
    }));
    const { x, rows } = resampled(shownSeries);
    const data = [x];
    const series = [{ label: AXES[settings.x] }];
    const bands = [];
    lines.forEach((line, i) => {
      const { middle, low, high } = summarised(rows[i]);
      const scale = quantity === "accuracy" ? 100 : 1;
      const times = (values) => (scale === 1 ? values : values.map((value) => (value === null ? null : scale * value)));
      const width = lines.length > 100 ? 0.6 : 1.6;
      data.push(times(middle));
      series.push({ label: line.name, stroke: line.colour, dash: line.dash, width, points: { show: x.length === 1 } });
      if (!high) return;
      data.push(times(high), times(low));
      const edge = { stroke: "transparent", width: 0, points: { show: false } };
      series.push({ ...edge, label: "" }, { ...edge, label: "" });
      bands.push({ series: [data.length - 2, data.length - 1], fill: `${line.colour}2e` });
    });
    const known = plots.get(quantity);
    known?.destroy();
    const name = `${PARTS[settings.part]} ${quantity}${quantity === "accuracy" ? " (%)" : ""}`;
    const made = new uPlot(options(quantity, name, series, bands), data, boxes[quantity]);
    plots.set(quantity, made);
    made.root.setAttribute("role", "img");
    made.root.setAttribute("aria-label", `${name} of ${format.plural(lines.length, "curve")} by ${AXES[settings.x]}; the arrow keys move along it`);
    made.root.tabIndex = 0;
    made.root.addEventListener("keydown", (event) => walk(made, event));
  }

  function options(quantity, name, series, bands) {
    const ink = css("--ink");
    const axis = { stroke: ink, grid: { stroke: css("--line"), width: 1 }, ticks: { stroke: css("--line") } };
    const width = Math.max(240, boxes[quantity].clientWidth || 480);
    const isLog = settings.log && quantity === "loss";
    return {
      width, height: HEIGHT, series, bands,
      title: name,
      legend: { show: false },
      cursor: { drag: { x: true, y: true }, points: { show: false } },
      scales: { x: { time: false }, y: isLog ? { distr: 3, log: 10 } : {} },
      axes: [{ ...axis, ...(WHOLE.has(settings.x) ? { incrs: STEPS } : {}), label: AXES[settings.x], labelSize: 22, size: 40 }, { ...axis, size: 64, values: (_, ticks) => ticks.map(format.tick) }],
      hooks: { setCursor: [(made) => read(made, name)] },
    };
  }

  function walk(made, event) {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!step) return;
    event.preventDefault();
    const last = made.data[0].length - 1;
    const at = Math.min(last, Math.max(0, (made.cursor.idx ?? (step > 0 ? -1 : last + 1)) + step));
    made.setCursor({ left: made.valToPos(made.data[0][at], "x"), top: made.over.clientHeight / 2 });
  }

  // The values under the cursor: of every line if they are few, else of the nearest.
  function read(made, name) {
    const { idx, top } = made.cursor;
    if (idx === null || idx === undefined || top < 0) return;
    const values = made.series
      .map((series, i) => ({ label: series.label, value: i ? made.data[i][idx] : null }))
      .filter((one) => one.label && one.value !== null && one.value !== undefined);
    const aim = made.posToVal(top, "y");
    const near = values.sort((a, b) => Math.abs(a.value - aim) - Math.abs(b.value - aim)).slice(0, 6);
    readout.textContent = `${AXES[settings.x]} ${format.number(made.data[0][idx])}, ${name}: ${near.map((one) => `${one.label} ${format.number(one.value)}`).join("; ")}`;
  }

  function drawLegend(lines, groups) {
    const listed = groups ? lines.filter((line, i) => line.group && lines.findIndex((one) => one.group === line.group) === i) : [];
    const metric = verdicts.metric();
    legend.replaceChildren(
      ...listed.map((line) => {
        const about = line.group[metric];
        const spread = about && about.half !== null ? ` ± ${format.metric(metric, about.half)}` : "";
        const text = about ? `: ${metric} ${format.metric(metric, about.mean)}${spread}, n = ${about.n}` : "";
        return el("li", {}, swatch(line), el("span", {}, `${line.group.name}${text}`));
      }),
    );
  }

  const swatch = (line) => el("span", { class: "swatch", "aria-hidden": "true", style: { borderTopColor: line.colour, borderTopStyle: ["solid", "dashed", "dotted"][line.dash.length ? (line.dash[0] > 4 ? 1 : 2) : 0] } });

  const later = soon(draw);
  const opened = performance.now();
  setTimeout(later, PATIENCE);
  const offs = [onChange(soon(fetchNew)), verdicts.follow(later)];
  const resize = new ResizeObserver(soon(() => plots.forEach((made, name) => made.setSize({ width: Math.max(240, boxes[name].clientWidth), height: HEIGHT }))));
  resize.observe(root);
  return {
    root,
    shown: fetchNew,
    close: () => ((closed = true), resize.disconnect(), offs.forEach((off) => off()), plots.forEach((made) => made.destroy())),
  };
}

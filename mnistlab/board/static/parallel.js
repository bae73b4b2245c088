// Parallel coordinates: a line for each run through the settings that differ and a metric. A brush on an axis keeps the
// runs inside it, in the table and in every chart.

import { canvasIn } from "./canvas.js";
import { choice, css, el, fill, isDark, seldom, soon } from "./dom.js";
import * as format from "./format.js";
import { scaleOf } from "./scale.js";
import { changed, differing, filtered, metrics, onChange, store, value } from "./store.js";

const HEIGHT = 320;
const TOP = 44;
const BOTTOM = 16;
const SIDE = 64;
const MOST_AXES = 8;

export function parallelChart({ verdicts }) {
  let metric = verdicts.metric();
  let axes = []; // {key, scale, x, brush: [from, to] as shares, or null}
  let lines = []; // shares of one run on each axis
  const metricChoice = choice("Metric", [metric], metric, (key) => ((metric = key), rebuild()));
  const axisChoice = choice("Limit", [""], "", () => {});
  const [low, high] = ["from", "to"].map((name) => el("input", { type: "text", size: 8, "aria-label": `Limit ${name}` }));
  const limits = el(
    "form", { class: "inline", onsubmit: (event) => (event.preventDefault(), limit()) },
    axisChoice, " from ", low, " to ", high, el("button", { type: "submit" }, "Brush"),
  );
  const box = el("div", { class: "canvas" });
  const note = el("p", { class: "note", role: "status" });
  const root = el("div", {}, el("div", { class: "controls" }, metricChoice, limits), box, note);
  const front = canvasIn(box, HEIGHT, () => layOut());
  const back = document.createElement("canvas"); // the lines of all runs, drawn once
  front.canvas.setAttribute("role", "img");

  function rebuild() {
    const runs = filtered();
    const most = Math.min(MOST_AXES, Math.max(3, Math.floor(front.size().width / 105)));
    const keys = [...differing(runs).slice(0, most - 1), metric];
    const brushes = new Map(axes.map((axis) => [axis.key, axis.brush]));
    axes = keys.map((key) => ({ key, scale: scaleOf(runs.map((run) => value(run, key))), brush: brushes.get(key) ?? null }));
    lines = runs.map((run) => ({ run, shares: axes.map((axis) => axis.scale.share(value(run, axis.key))) }));
    fill(metricChoice.select, metrics().length ? metrics() : [metric], metric);
    fill(axisChoice.select, axes.map((axis) => axis.key), axisChoice.select.value || metric);
    front.canvas.setAttribute("aria-label", `Parallel coordinates of ${format.plural(runs.length, "run")}: ${keys.join(", ")}. Limits can be typed beside it.`);
    const without = lines.filter((line) => line.shares[axes.length - 1] === null).length;
    note.textContent = without ? `${format.plural(without, "run")} without ${metric}, drawn in grey as far as known.` : "Drag along an axis to keep the runs inside; click it to let all in again.";
    const left = differing(runs).length - most + 1;
    if (left > 0) note.textContent += ` ${format.plural(left, "more setting")} ${left === 1 ? "differs" : "differ"}: filter, or use a wider window.`;
    layOut();
  }

  const y = (share) => HEIGHT - BOTTOM - share * (HEIGHT - TOP - BOTTOM);

  function layOut() {
    const { width } = front.size();
    if (!width || !axes.length) return;
    const gap = (width - 2 * SIDE) / Math.max(1, axes.length - 1);
    axes.forEach((axis, i) => (axis.x = axes.length > 1 ? SIDE + i * gap : width / 2));
    back.width = front.canvas.width;
    back.height = front.canvas.height;
    const context = back.getContext("2d");
    context.setTransform(devicePixelRatio || 1, 0, 0, devicePixelRatio || 1, 0, 0);
    context.clearRect(0, 0, width, HEIGHT);
    context.strokeStyle = css("--line");
    context.lineWidth = 1;
    context.beginPath();
    for (const line of lines) trace(context, line);
    context.stroke();
    draw();
  }

  function trace(context, { shares }) {
    let pen = false;
    for (let i = 0; i < axes.length; i++) {
      if (shares[i] === null) pen = false;
      else if (pen) context.lineTo(axes[i].x, y(shares[i]));
      else (context.moveTo(axes[i].x, y(shares[i])), (pen = true));
    }
  }

  const inside = ({ shares }) => axes.every((axis, i) => !axis.brush || (shares[i] !== null && shares[i] >= axis.brush[0] && shares[i] <= axis.brush[1]));

  function draw() {
    const { context } = front;
    const { width } = front.size();
    context.clearRect(0, 0, width, HEIGHT);
    context.drawImage(back, 0, 0, width, HEIGHT);
    const buckets = new Map(); // one path for each of few colours is far quicker than one for each line
    for (const line of lines) {
      if (!inside(line)) continue;
      const share = line.shares[axes.length - 1];
      const bucket = share === null ? -1 : Math.round(share * 11);
      if (!buckets.has(bucket)) buckets.set(bucket, []);
      buckets.get(bucket).push(line);
    }
    context.lineWidth = lines.length > 300 ? 0.8 : 1.4;
    for (const [bucket, of] of [...buckets].sort(([a], [b]) => a - b)) {
      context.strokeStyle = bucket < 0 ? css("--soft") : shade(bucket / 11);
      context.beginPath();
      for (const line of of) trace(context, line);
      context.stroke();
    }
    for (const axis of axes) drawAxis(context, axis);
  }

  function drawAxis(context, axis) {
    context.strokeStyle = css("--soft");
    context.fillStyle = css("--ink");
    context.lineWidth = 1;
    context.beginPath();
    context.moveTo(axis.x, y(0));
    context.lineTo(axis.x, y(1));
    context.stroke();
    context.font = "12px system-ui, sans-serif";
    context.textAlign = "center";
    const short = axis.key.length > 20 ? `…${axis.key.slice(-19)}` : axis.key;
    context.fillText(short, axis.x, axes.indexOf(axis) % 2 && axes.length > 4 ? 14 : 30);
    context.textAlign = axis === axes[axes.length - 1] && axes.length > 1 ? "left" : "right";
    const aside = context.textAlign === "left" ? 6 : -6;
    const ticks = axis.scale.ticks();
    const step = Math.ceil(ticks.length / 12);
    ticks.forEach((tick, i) => {
      if (i % step) return;
      const at = y(axis.scale.share(tick));
      halo(context, axis.scale.numeric && format.isShare(axis.key) ? format.metric(axis.key, tick) : axis.scale.text(tick), axis.x + aside, at + 4);
    });
    if (axis.brush) {
      context.fillStyle = `${css("--accent")}55`;
      context.fillRect(axis.x - 8, y(axis.brush[1]), 16, y(axis.brush[0]) - y(axis.brush[1]));
    }
  }

  function halo(context, text, x, at) {
    context.strokeStyle = css("--page");
    context.lineWidth = 3;
    context.strokeText(text, x, at);
    context.fillText(text, x, at);
  }

  const publish = seldom(() => {
    const any = axes.some((axis) => axis.brush);
    store.brushed = any ? new Set(lines.filter(inside).map((line) => line.run.number)) : null;
    changed();
  });

  function brush(axis, from, to) {
    axis.brush = to - from < 0.004 ? null : [Math.max(0, from), Math.min(1, to)];
    redraw();
    publish();
  }

  function limit() {
    const axis = axes.find((one) => one.key === axisChoice.select.value);
    if (!axis) return;
    const unit = format.isShare(axis.key) ? 100 : 1;
    const parsed = (text, otherwise) => {
      if (text.trim() === "") return otherwise;
      return axis.scale.share(axis.scale.numeric ? Number(text) / unit : text.trim()) ?? otherwise;
    };
    brush(axis, parsed(low.value, 0) - 0.003, parsed(high.value, 1) + 0.003);
  }

  let drag = null;
  front.canvas.addEventListener("pointerdown", (event) => {
    const at = place(event);
    const axis = axes.reduce((best, one) => (Math.abs(one.x - at.x) < Math.abs(best.x - at.x) ? one : best), axes[0]);
    if (!axis || Math.abs(axis.x - at.x) > 28) return;
    drag = { axis, from: at.share };
    front.canvas.setPointerCapture(event.pointerId);
  });
  front.canvas.addEventListener("pointermove", (event) => {
    if (!drag) return;
    const { share } = place(event);
    brush(drag.axis, Math.min(drag.from, share), Math.max(drag.from, share));
  });
  front.canvas.addEventListener("pointerup", (event) => {
    if (drag && Math.abs(place(event).share - drag.from) < 0.004) brush(drag.axis, 0, 0);
    drag = null;
  });
  front.canvas.addEventListener("pointercancel", () => (drag = null));

  function place(event) {
    const around = front.canvas.getBoundingClientRect();
    const share = 1 - (event.clientY - around.top - TOP) / (HEIGHT - TOP - BOTTOM);
    return { x: event.clientX - around.left, share: Math.min(1, Math.max(0, share)) };
  }

  const redraw = soon(draw);
  let before = null;
  const off = onChange(soon(() => {
    const now = filtered();
    if (before === now) return redraw();
    const same = before && before.length === now.length && before.every((run, i) => run === now[i]);
    before = now;
    if (same) redraw();
    else rebuild();
  }));
  return {
    root,
    shown: () => (front.fit(), rebuild()),
    clear: () => (axes.forEach((axis) => (axis.brush = null)), redraw()),
    close: () => (off(), front.close()),
  };
}

// Cividis-like: from blue to yellow, which the colour-blind can tell apart, and darker or lighter with the page.
export function shade(share) {
  const stops = isDark() ? [[64, 110, 180], [140, 150, 160], [250, 228, 90]] : [[0, 50, 120], [110, 120, 125], [190, 150, 0]];
  const x = share * 2;
  const [a, b] = x < 1 ? [stops[0], stops[1]] : [stops[1], stops[2]];
  const t = x < 1 ? x : x - 1;
  return `rgb(${a.map((part, i) => Math.round(part + (b[i] - part) * t)).join(" ")})`;
}

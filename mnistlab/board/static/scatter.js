// A point for each run: a metric against a setting, or accuracy against time with its Pareto front.

import { canvasIn } from "./canvas.js";
import { choice, css, el, fill, seldom, soon } from "./dom.js";
import * as format from "./format.js";
import { scaleOf } from "./scale.js";
import { changed, differing, filtered, metrics, onChange, store, value } from "./store.js";

const HEIGHT = 340;
const EDGE = { left: 72, right: 20, top: 16, bottom: 48 };

export function scatterChart({ verdicts }) {
  let x = differing(filtered())[0] ?? "seed";
  let y = verdicts.metric();
  const xChoice = choice("Across", [x], x, (key) => ((x = key), chart.rebuild()));
  const yChoice = choice("Up", [y], y, (key) => ((y = key), chart.rebuild()));
  const chart = pointChart({
    controls: [xChoice, yChoice],
    keys: () => {
      const across = [...differing(filtered()), "seed", "seconds", ...metrics()];
      fill(xChoice.select, [...new Set(across)], x);
      fill(yChoice.select, [...new Set([...metrics(), "seconds"])], y);
      return { x, y };
    },
    front: null,
  });
  return chart;
}

export function paretoChart({ verdicts }) {
  const of = verdicts.metric();
  let y = /accuracy$/.test(of) ? of : "validation.accuracy";
  const known = () => metrics().filter((key) => /accuracy$/.test(key));
  const yChoice = choice("Accuracy", [y], y, (key) => ((y = key), chart.rebuild()));
  const chart = pointChart({
    controls: [yChoice],
    keys: () => {
      fill(yChoice.select, known().length ? known() : [y], y);
      return { x: "seconds", y };
    },
    front: paretoFront,
  });
  return chart;
}

// The points that no other beats in both: none is as quick and more accurate.
export function paretoFront(points) {
  const order = [...points].sort((a, b) => a.x - b.x || b.y - a.y);
  const front = [];
  for (const point of order) if (!front.length || point.y > front[front.length - 1].y) front.push(point);
  return front;
}

function pointChart({ controls, keys, front }) {
  let points = [];
  let scales = null;
  let names = { x: "", y: "" };
  let box2 = null; // the brush in shares
  let best = [];
  const box = el("div", { class: "canvas" });
  const readout = el("p", { class: "readout", "aria-live": "polite" });
  const list = el("ol", { class: "front", tabIndex: 0, "aria-label": "Pareto front" });
  const root = el("div", {}, el("div", { class: "controls" }, ...controls), box, readout, list);
  const view = canvasIn(box, HEIGHT, () => draw());
  view.canvas.setAttribute("role", "img");
  view.canvas.tabIndex = 0;

  function rebuild() {
    names = keys();
    const runs = filtered();
    const all = runs.map((run) => ({ run, x: value(run, names.x), y: value(run, names.y) }));
    scales = { x: scaleOf(all.filter(known).map((point) => point.x)), y: scaleOf(all.filter(known).map((point) => point.y)) };
    points = all.filter(known).sort((a, b) => scales.x.share(a.x) - scales.x.share(b.x));
    best = front ? front(points) : [];
    const without = runs.length - points.length;
    view.canvas.setAttribute("aria-label", `${names.y} against ${names.x} of ${format.plural(points.length, "run")}; the arrow keys move from run to run`);
    readout.textContent = without ? `${format.plural(without, "run")} without both values ${without === 1 ? "is" : "are"} not drawn.` : "";
    list.replaceChildren(...best.map(({ run, x, y }) => el("li", {}, el("a", { href: `#/run/${run.number}` }, run.path), `: ${format.metric(names.y, y)} after ${format.seconds(x)}`)));
    draw();
  }

  const known = (point) => [point.x, point.y].every((one) => one !== null && one !== undefined && one !== "") && format.isNumber(point.y);

  const at = (point) => {
    const { width } = view.size();
    return {
      left: EDGE.left + (scales.x.share(point.x) ?? 0) * (width - EDGE.left - EDGE.right),
      top: HEIGHT - EDGE.bottom - (scales.y.share(point.y) ?? 0) * (HEIGHT - EDGE.top - EDGE.bottom),
    };
  };

  function draw() {
    const { context } = view;
    const { width } = view.size();
    if (!scales || !width) return;
    context.clearRect(0, 0, width, HEIGHT);
    drawAxes(context, width);
    for (const inside of [false, true]) {
      context.fillStyle = inside ? css("--accent") : css("--line");
      context.globalAlpha = inside ? 0.65 : 1;
      for (const point of points) {
        if (inside !== (!store.brushed || store.brushed.has(point.run.number))) continue;
        const { left, top } = at(point);
        context.beginPath();
        context.arc(left, top, 4, 0, 2 * Math.PI);
        context.fill();
      }
    }
    context.globalAlpha = 1;
    if (best.length) drawFront(context);
    if (box2) {
      context.strokeStyle = css("--accent");
      context.strokeRect(box2.x0, box2.y0, box2.x1 - box2.x0, box2.y1 - box2.y0);
    }
    if (near) {
      const { left, top } = at(near);
      context.strokeStyle = css("--ink");
      context.lineWidth = 2;
      context.beginPath();
      context.arc(left, top, 7, 0, 2 * Math.PI);
      context.stroke();
    }
  }

  function drawFront(context) {
    context.strokeStyle = css("--bad");
    context.lineWidth = 2;
    context.beginPath();
    best.forEach((point, i) => {
      const { left, top } = at(point);
      if (i) context.lineTo(left, at(best[i - 1]).top); // in steps: until the next point nothing better is known
      context[i ? "lineTo" : "moveTo"](left, top);
    });
    context.stroke();
  }

  function drawAxes(context, width) {
    context.strokeStyle = css("--line");
    context.fillStyle = css("--ink");
    context.font = "12px system-ui, sans-serif";
    context.lineWidth = 1;
    const ticksX = scales.x.ticks();
    const step = Math.ceil(ticksX.length / Math.max(2, Math.floor(width / 90)));
    ticksX.forEach((tick, i) => {
      if (i % step) return;
      const left = EDGE.left + scales.x.share(tick) * (width - EDGE.left - EDGE.right);
      line(context, left, EDGE.top, left, HEIGHT - EDGE.bottom);
      context.textAlign = "center";
      context.fillText(scales.x.text(tick), left, HEIGHT - EDGE.bottom + 16);
    });
    for (const tick of scales.y.ticks()) {
      const top = HEIGHT - EDGE.bottom - scales.y.share(tick) * (HEIGHT - EDGE.top - EDGE.bottom);
      line(context, EDGE.left, top, width - EDGE.right, top);
      context.textAlign = "right";
      context.fillText(format.metric(names.y, tick), EDGE.left - 6, top + 4);
    }
    context.textAlign = "center";
    context.fillText(`${names.x === "seconds" ? "seconds, of the whole run" : names.x}${scales.x.isLog ? ", log scale" : ""}`, (EDGE.left + width - EDGE.right) / 2, HEIGHT - 8);
    context.save();
    context.translate(14, HEIGHT / 2);
    context.rotate(-Math.PI / 2);
    context.fillText(format.title(names.y), 0, 0);
    context.restore();
  }

  function line(context, x0, y0, x1, y1) {
    context.beginPath();
    context.moveTo(x0, y0);
    context.lineTo(x1, y1);
    context.stroke();
  }

  let near = null;
  function say(point) {
    near = point;
    if (point) readout.textContent = `${point.run.path}: ${names.x} ${format.cell(names.x, point.x)}, ${names.y} ${format.metric(names.y, point.y)}`;
    redraw();
  }

  const placeOf = (event) => {
    const around = view.canvas.getBoundingClientRect();
    return { left: event.clientX - around.left, top: event.clientY - around.top };
  };
  let drag = null;
  let moved = false;
  view.canvas.addEventListener("pointerdown", (event) => {
    drag = placeOf(event);
    moved = false;
    view.canvas.setPointerCapture(event.pointerId);
  });
  view.canvas.addEventListener("pointermove", (event) => {
    const now = placeOf(event);
    if (drag) {
      const [x0, x1] = [drag.left, now.left].sort((a, b) => a - b);
      const [y0, y1] = [drag.top, now.top].sort((a, b) => a - b);
      if (x1 - x0 + y1 - y0 > 6) moved = true;
      if (!moved) return;
      box2 = { x0, x1, y0, y1 };
      publish();
      return redraw();
    }
    let [closest, distance] = [null, 400];
    for (const point of points) {
      const { left, top } = at(point);
      const away = (left - now.left) ** 2 + (top - now.top) ** 2;
      if (away < distance) [closest, distance] = [point, away];
    }
    if (closest !== near) say(closest);
  });
  view.canvas.addEventListener("pointerup", () => {
    if (drag && !moved && near) location.hash = `#/run/${near.run.number}`;
    else if (drag && !moved && box2) ((box2 = null), publish(), redraw());
    drag = null;
  });
  view.canvas.addEventListener("keydown", (event) => {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (step && points.length) {
      event.preventDefault();
      const next = near ? points.indexOf(near) + step : 0;
      say(points[(next + points.length) % points.length]);
    }
    if (event.key === "Enter" && near) location.hash = `#/run/${near.run.number}`;
  });

  const publish = seldom(() => {
    const inside = points.filter((point) => {
      const { left, top } = at(point);
      return box2 && left >= box2.x0 && left <= box2.x1 && top >= box2.y0 && top <= box2.y1;
    });
    store.brushed = box2 ? new Set(inside.map((point) => point.run.number)) : null;
    changed();
  });
  const redraw = soon(draw);
  let before = null;
  const off = onChange(soon(() => {
    const now = filtered();
    if (before && before.length === now.length && before.every((run, i) => run === now[i])) return redraw();
    before = now;
    rebuild();
  }));
  return {
    root, rebuild,
    shown: () => (view.fit(), rebuild()),
    clear: () => ((box2 = null), redraw()),
    close: () => (off(), view.close()),
  };
}

// ROC curves: the class under the pointer or with the focus stands out, and its thresholds can be read along it.

import { el, svg } from "./dom.js";
import * as format from "./format.js";

const SIZE = 300;
const EDGE = 44;

export function rocSection(curves, test) {
  const readout = el("p", { class: "readout", "aria-live": "polite" }, "Point at a class to see its curve.");
  if (!curves?.length) return { root: el("p", { class: "note" }, "There is no table of ROC curves."), highlight: () => {} };
  const place = (fpr, tpr) => [EDGE + fpr * (SIZE - EDGE - 10), SIZE - EDGE - tpr * (SIZE - EDGE - 10)];
  const paths = curves.map((curve) => svg("polyline", { class: "roc", points: points(curve) }));
  const dot = svg("circle", { class: "dot", r: 4, visibility: "hidden" });
  const chart = svg(
    "svg", { viewBox: `0 0 ${SIZE} ${SIZE}`, class: "chart", role: "img", "aria-label": "ROC curves of the classes" },
    ...[0, 0.5, 1].flatMap((at) => [
      svg("line", { class: "grid", x1: place(at, 0)[0], x2: place(at, 0)[0], y1: place(0, 0)[1], y2: place(0, 1)[1] }),
      svg("line", { class: "grid", x1: place(0, at)[0], x2: place(1, at)[0], y1: place(0, at)[1], y2: place(0, at)[1] }),
      text(place(at, 0)[0], SIZE - EDGE + 16, String(at), "middle"),
      text(EDGE - 6, place(0, at)[1] + 4, String(at), "end"),
    ]),
    text((EDGE + SIZE) / 2, SIZE - 6, "false positive rate", "middle"),
    svg("text", { transform: `translate(12 ${(SIZE - EDGE) / 2}) rotate(-90)`, "text-anchor": "middle" }, "true positive rate"),
    ...paths, dot,
  );
  let chosen = null;

  function points(curve) {
    return curve.fpr.map((fpr, i) => place(fpr, curve.tpr[i]).map((at) => at.toFixed(1)).join(",")).join(" ");
  }

  function text(x, y, content, anchor) {
    return svg("text", { x, y, "text-anchor": anchor }, content);
  }

  function highlight(index) {
    chosen = index;
    paths.forEach((path, i) => path.classList.toggle("chosen", i === index));
    dot.setAttribute("visibility", "hidden");
    for (const [i, button] of [...list.children].entries()) button.firstChild.setAttribute("aria-pressed", String(i === index));
    if (index === null) return;
    chart.append(paths[index], dot); // on top of the others
    const area = test.auc[index];
    readout.textContent = `${curves[index].name} against the rest${format.isNumber(area) ? `: area ${area.toFixed(4)}` : ""}`;
  }

  chart.addEventListener("pointermove", (event) => {
    const around = chart.getBoundingClientRect();
    const x = ((event.clientX - around.left) / around.width) * SIZE;
    const y = ((event.clientY - around.top) / around.height) * SIZE;
    let best = null;
    for (const [i, curve] of curves.entries()) {
      if (chosen !== null && i !== chosen) continue;
      curve.fpr.forEach((fpr, at) => {
        const [left, top] = place(fpr, curve.tpr[at]);
        const away = Math.hypot(left - x, top - y);
        if (!best || away < best.away) best = { i, at, away, left, top };
      });
    }
    if (!best) return;
    const curve = curves[best.i];
    dot.setAttribute("cx", best.left);
    dot.setAttribute("cy", best.top);
    dot.setAttribute("visibility", "visible");
    readout.textContent = `${curve.name}: true positive rate ${format.percent(curve.tpr[best.at])}, false positive rate ${format.percent(curve.fpr[best.at], 2)}, threshold ${format.number(curve.threshold[best.at], 3)}`;
  });

  const list = el("ul", { class: "classes", "aria-label": "Classes" }, curves.map((curve, i) =>
    el("li", {}, el("button", { type: "button", "aria-pressed": "false", onmouseenter: () => highlight(i), onfocus: () => highlight(i), onclick: () => highlight(i) }, curve.name))));
  return { root: el("div", { class: "roc-box" }, el("h4", {}, "ROC"), chart, list, readout), highlight };
}

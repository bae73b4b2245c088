// A canvas as wide as its place, sharp on every screen.

import { el } from "./dom.js";

export function canvasIn(box, height, draw) {
  const canvas = el("canvas");
  box.append(canvas);
  const context = canvas.getContext("2d");
  let size = { width: 0, height };

  function fit() {
    const width = Math.max(280, box.clientWidth);
    const ratio = devicePixelRatio || 1;
    if (width === size.width && canvas.width === Math.round(width * ratio)) return;
    size = { width, height };
    canvas.width = Math.round(width * ratio);
    canvas.height = Math.round(height * ratio);
    canvas.style.width = `${width}px`;
    canvas.style.height = `${height}px`;
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    draw();
  }

  const watch = new ResizeObserver(fit);
  watch.observe(box);
  return { canvas, context, fit, size: () => size, close: () => watch.disconnect() };
}

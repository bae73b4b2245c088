// Grey levels as pictures.

import { el } from "./dom.js";

export const bytes = (base64) => Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0));

// One image as a canvas, `zoom` screen pixels to each of its own.
export function picture(grey, width, height, name, zoom = 2) {
  const canvas = el("canvas", { width, height, class: "pixels", role: "img", "aria-label": name, style: { width: `${width * zoom}px`, height: `${height * zoom}px` } });
  const context = canvas.getContext("2d");
  const data = context.createImageData(width, height);
  for (let i = 0; i < width * height; i++) data.data.set([grey[i], grey[i], grey[i], 255], 4 * i);
  context.putImageData(data, 0, 0);
  return canvas;
}

// The images of an answer: {height, width, pixels} -> a canvas for each name.
export function pictures({ height, width, pixels }, names, zoom) {
  const all = bytes(pixels);
  const fit = zoom ?? Math.max(1, Math.round(56 / Math.max(height, width)));
  return names.map((name, i) => picture(all.subarray(i * height * width, (i + 1) * height * width), width, height, name, fit));
}

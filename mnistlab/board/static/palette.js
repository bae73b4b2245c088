// Colours for groups: those of Okabe and Ito, which the colour-blind can tell apart, and after them dashes.

import { isDark } from "./dom.js";

const LIGHT = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#8a6d00", "#3f3f3f", "#7b3fa0"];
const DARK = ["#56b4e9", "#f0975a", "#2fc79d", "#e3a0c6", "#f0e442", "#d8d8d8", "#b39ddb"];
const DASHES = [[], [6, 4], [2, 3]];

export const MOST_GROUPS = LIGHT.length * DASHES.length; // more could not be told apart

export function look(i) {
  const colours = isDark() ? DARK : LIGHT;
  return { colour: colours[i % colours.length], dash: DASHES[Math.floor(i / colours.length) % DASHES.length] };
}

export const grey = () => (isDark() ? "#8b949e" : "#6e7781");

// A colour between pale and strong, light on a light page; `share` is from 0 to 1.
export function heat(share) {
  const x = Math.min(1, Math.max(0, share));
  const [from, to] = isDark() ? [[30, 35, 42], [38, 98, 150]] : [[255, 255, 255], [96, 164, 214]];
  return `rgb(${from.map((part, i) => Math.round(part + (to[i] - part) * x)).join(" ")})`;
}

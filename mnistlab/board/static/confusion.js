// The confusion matrix as a table of buttons.

import { frozen } from "./api.js";
import { el } from "./dom.js";
import * as format from "./format.js";
import { heat } from "./palette.js";

const MOST = 50; // classes

export function confusionTable(test, open) {
  const { classes, confusion } = test;
  const followers = [];
  if (classes.length > MOST) return { root: el("p", {}, `${classes.length} classes are too many for a table.`), onClass: () => {} };
  const totals = confusion.map((row) => row.reduce((sum, count) => sum + count, 0));
  const cells = confusion.flatMap((row, truth) => row.filter((_, predicted) => predicted !== truth));
  const most = Math.max(1, ...cells);

  const cell = (truth, predicted) => {
    const count = confusion[truth][predicted];
    const share = truth === predicted ? count / Math.max(1, totals[truth]) : count / most;
    const style = { background: count ? heat(truth === predicted ? 0.35 * share : share) : "" };
    if (!count || frozen) return el("td", { class: "n", style }, count ? count.toLocaleString("en") : "");
    const name = `${format.plural(count, "image")} of ${classes[truth]} predicted as ${classes[predicted]}`;
    return el("td", { class: "n", style }, el("button", { type: "button", "aria-label": name, onclick: () => open({ truth, predicted }) }, count.toLocaleString("en")));
  };

  const classHead = (name, index) => {
    const tell = (on) => followers.forEach((follow) => follow(on ? index : null));
    const button = el("button", { type: "button", onmouseenter: () => tell(true), onfocus: () => tell(true), onclick: () => (frozen ? tell(true) : open({ truth: index })), title: name }, name);
    return el("th", { scope: "row" }, button);
  };

  const table = el(
    "table", { class: "confusion" },
    el("caption", {}, `Accuracy ${format.percent(test.accuracy, 2)} on ${format.plural(test.n, "image")}`),
    el("thead", {}, el("tr", {}, el("th", { scope: "col" }, "true ↓ predicted →"), classes.map((name) => el("th", { scope: "col", title: name }, el("span", { class: "clip" }, name))))),
    el("tbody", {}, confusion.map((row, truth) => el("tr", {}, classHead(classes[truth], truth), row.map((_, predicted) => cell(truth, predicted))))),
  );
  return { root: el("div", { class: "scroll", tabIndex: 0, role: "region", "aria-label": "Confusion matrix" }, table), onClass: (follow) => followers.push(follow) };
}

// Whether the groups that are shown differ: the verdicts of `mnistlab compare`, asked for whenever what is shown changes.

import { post } from "./api.js";
import { choice, el, fill } from "./dom.js";
import * as format from "./format.js";
import { MOST_GROUPS, look } from "./palette.js";
import { compared, metrics, onChange, shown, store } from "./store.js";

const MOST = 2000; // runs in one comparison
const PAUSE = 100; // milliseconds between a change and the question
const MANY = 300; // runs from which a comparison takes seconds
const LONG_PAUSE = 600; // before it, so that the charts come first

// Groups with their colours, for the charts; null while they are not known.
export function verdictPanel() {
  let metric = "";
  let baseline = "";
  let margin = null;
  let asked = "";
  let timer = null;
  let comparison = null;
  let waiting = false;
  let problem = "";
  const followers = new Set();

  const metricChoice = choice("Metric", [["", "validation.accuracy"]], "", (value) => ((metric = value), ask(true)));
  const baselineChoice = choice("Against", [["", "every pair"]], "", (value) => ((baseline = value), ask(true)));
  const marginField = el("input", {
    type: "number", min: "0", step: "any", size: 6, "aria-label": "Largest difference that does not matter",
    onchange: () => ((margin = marginField.value === "" ? null : Number(marginField.value)), ask(true)),
  });
  const list = el("ul", { class: "verdicts", tabIndex: 0, "aria-label": "Verdicts" });
  const notes = el("ul", { class: "notes", tabIndex: 0, "aria-label": "Notes" });
  const says = el("p", { role: "status" });
  const root = el(
    "section", { class: "verdict-panel", "aria-label": "Verdicts" }, el("h2", {}, "Do they differ?"),
    el("div", { class: "controls" }, metricChoice, baselineChoice, el("label", {}, "Margin ", marginField)), says, list, notes,
  );

  function ask(again = false) {
    if (timer && !again) return;
    clearTimeout(timer);
    timer = setTimeout(() => ((timer = null), question(again)), again ? 0 : shown().length > MANY ? LONG_PAUSE : PAUSE);
  }

  async function question(again) {
    const runs = shown().slice(0, MOST);
    const key = JSON.stringify([compared(runs), metric, baseline, margin]);
    if (waiting || (key === asked && !again)) return; // asked again when the answer is there
    asked = key;
    if (!runs.length) {
      comparison = null;
      problem = "there are no runs";
    } else {
      waiting = true;
      says.textContent = "Comparing ...";
      try {
        comparison = await post("compare", { runs: runs.map((run) => run.number), metric, baseline, margin });
        problem = "";
      } catch (error) {
        comparison = null;
        problem = error.message;
      }
      waiting = false;
    }
    draw();
    for (const follow of followers) follow();
    ask();
  }

  function draw() {
    const known = metrics();
    fill(metricChoice.select, [["", comparison && !metric ? comparison.metric : "usual metric"], ...known], metric);
    const groups = comparison?.groups ?? [];
    const names = groups.map((group) => group.name || "the default");
    fill(baselineChoice.select, [["", "every pair"], ...groups.slice(0, 200).map((group, i) => [group.name, names[i]])], baseline);
    says.textContent = sentence(groups);
    list.replaceChildren(
      ...(comparison?.verdicts ?? []).map((one) => el("li", { class: one.distinguishable ? "found" : null }, one.text)),
    );
    const left = comparison?.left_out.length ?? 0;
    const warnings = [...(comparison?.warnings ?? [])];
    if (left) warnings.push(`${format.plural(left, "run")} not completed: drawn, but not compared`);
    const more = shown().length - MOST;
    if (more > 0) warnings.push(`only the first ${MOST.toLocaleString("en")} runs of the table are compared; ${more.toLocaleString("en")} more are shown`);
    const texts = warnings.map((text) => text.replace("choose one with --baseline", "choose one beside Against"));
    notes.replaceChildren(...texts.map((text) => el("li", {}, text)));
  }

  function sentence(groups) {
    if (problem) return `Not compared: ${problem}`;
    if (!comparison) return "Comparing ...";
    if (groups.length < 2) return `One group of ${format.plural(groups[0]?.runs.length ?? 0, "completed run")}: nothing to compare.`;
    if (comparison.untested) return `${groups.length} groups, of which no two were tested.`;
    const found = comparison.verdicts.filter((one) => one.distinguishable).length;
    const of = comparison.against_best ? ` (${groups.length} groups are too many to test every pair: each is compared with the best)` : "";
    return `${found} of ${format.plural(comparison.verdicts.length, "comparison")} by ${comparison.metric} found a difference${of}.`;
  }

  const off = onChange(() => ask());
  draw();
  ask();
  return {
    root,
    // Return the groups with looks, or null: they are unknown, or cannot be told apart, or nothing is said of them.
    groups() {
      if (!comparison || comparison.untested) return null;
      if (comparison.groups.length > MOST_GROUPS) return null;
      return comparison.groups.map((group, i) => ({ ...group, name: group.name || "the default", ...look(i) }));
    },
    // Return why there are no groups.
    without() {
      if (!comparison) return problem ? "these runs are not compared." : "the runs are still being compared.";
      if (comparison.untested) return "no two of the groups were tested.";
      return `${comparison.groups.length} groups are too many to be told apart by colour; filter, or select fewer.`;
    },
    // Return whether the answer will take longer than anybody should wait for the charts.
    isSlow: () => shown().length > MANY,
    answered: () => comparison !== null || problem !== "",
    metric: () => comparison?.metric ?? (store.columns.includes("validation.accuracy") ? "validation.accuracy" : "test.accuracy"),
    follow: (follower) => (followers.add(follower), () => followers.delete(follower)),
    close: () => (clearTimeout(timer), off()),
  };
}

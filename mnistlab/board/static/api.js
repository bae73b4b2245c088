// What the page asks its server for. A frozen page has no server: it has the answers in itself.

import { matcher } from "./filter.js";
import { store } from "./store.js";

const block = document.getElementById("frozen");
export const frozen = block ? JSON.parse(block.textContent) : null;
const token = document.querySelector("meta[name=token]")?.content ?? "";

export class Refused extends Error {}

async function answer(response) {
  let content = null;
  try {
    content = await response.json();
  } catch {
    throw new Refused(`${response.status} ${response.statusText}`);
  }
  if (!response.ok) throw new Refused(content.error ?? response.statusText);
  return content;
}

export async function get(name, values = {}) {
  if (frozen) return fromFrozen(name, values);
  const query = new URLSearchParams(values).toString();
  return answer(await fetch(`api/${name}${query ? `?${query}` : ""}`, { cache: "no-store" }));
}

export async function post(name, values) {
  if (frozen) return fromFrozen(name, values);
  const headers = { "Content-Type": "application/json", "X-Board-Token": token };
  return answer(await fetch(`api/${name}`, { method: "POST", headers, body: JSON.stringify(values) }));
}

function fromFrozen(name, values) {
  if (name === "runs") return frozen.runs;
  if (name === "curves") return frozen.curves;
  if (name === "compare") return comparison(values);
  if (name === "run" && frozen.run[values.run]) return frozen.run[values.run];
  if (name === "matching") return { runs: [...store.runs.values()].filter(matcher(values.filter, frozen.runs)).map((run) => run.number) };
  throw new Refused("this is a frozen page: what is computed on demand needs `mnistlab board`");
}

// The verdicts that were frozen are on whole groups: those of the groups that are asked for.
function comparison({ runs, metric }) {
  const all = frozen.comparisons[metric || Object.keys(frozen.comparisons)[0]];
  if (!all) throw new Refused(`no verdicts on ${metric} were frozen; choose ${Object.keys(frozen.comparisons).join(" or ")}`);
  const asked = new Set(runs);
  const groups = all.groups.filter((group) => group.runs.some((run) => asked.has(run)));
  const names = new Set(groups.map((group) => group.name));
  const verdicts = all.verdicts.filter((one) => names.has(one.first) && names.has(one.second));
  const parts = groups.some((group) => group.runs.some((run) => !asked.has(run)));
  const warnings = [...all.warnings];
  if (parts) warnings.push("the verdicts were frozen: they are on all runs of each group, not only on those chosen here");
  return { ...all, groups, verdicts, warnings, untested: groups.length > 1 && !verdicts.length };
}

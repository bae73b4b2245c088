// The page: views by the address, the filter, and the clock that asks for changes.

import { frozen, get, post } from "./api.js";
import { auditView } from "./audit.js";
import { el } from "./dom.js";
import * as format from "./format.js";
import { oneRun } from "./run.js";
import { changed, onChange, store, take } from "./store.js";
import { workbench } from "./workbench.js";

const PERIOD = 400; // milliseconds between two questions for changes
const main = document.getElementById("main");
const problem = document.getElementById("problem");
const summary = document.getElementById("summary");
let columns = [];
let version = 0;
let session = "";
let folder = "";
let view = null;

async function poll() {
  const values = { since: version, session };
  if (columns.length) values.columns = columns.join(",");
  const content = await get("runs", values);
  const anew = content.session !== session;
  const sent = store.columns.join() !== content.columns.join();
  session = content.session;
  version = content.version;
  folder = content.folder;
  if (!anew && sent && content.runs.length < store.runs.size) {
    version = 0; // a new setting differs: it is needed of every run
    session = "";
    return poll();
  }
  if (take(content, anew)) {
    store.matching = await matching(filter);
    changed();
  }
  problem.textContent = "";
}

async function clock() {
  try {
    if (!document.hidden || !version) await poll();
  } catch (error) {
    problem.textContent = `The server does not answer (${error.message}). Is mnistlab board still running?`;
  }
  if (!frozen) setTimeout(clock, PERIOD);
}

let filter = "";

// A filter that is refused changes nothing.
async function setFilter(text) {
  store.matching = await matching(text.trim());
  filter = text.trim();
  changed();
}

async function matching(text) {
  return text ? new Set((await post("matching", { filter: text })).runs) : null;
}

function askColumns(keys) {
  columns = keys;
  version = 0;
  session = "";
}

function route() {
  const [, name, number] = location.hash.split("/");
  view?.close();
  for (const [id, of] of [["to-runs", "runs"], ["to-data", "data"]]) {
    const link = document.getElementById(id);
    if (!link) continue;
    if (of === (name || "runs")) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  if (name === "run" && /^\d+$/.test(number ?? "")) view = oneRun(Number(number));
  else if (name === "data") view = auditView(number);
  else view = workbench({ askColumns, setFilter, filter });
  main.replaceChildren(view.root);
  view.shown?.();
}

onChange(() => {
  const running = [...store.runs.values()].filter((run) => run.state === "running").length;
  summary.textContent = `${folder}: ${format.plural(store.runs.size, "run")}${running ? `, ${running} running` : ""}${frozen ? `, frozen ${frozen.when}` : ""}`;
});

addEventListener("hashchange", () => {
  route();
  main.focus({ preventScroll: true });
  scrollTo(0, 0);
});
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => changed());
if (frozen) document.getElementById("to-data").remove();

clock().then(route);

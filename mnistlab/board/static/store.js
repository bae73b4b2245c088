// The runs as the page knows them, which of them are chosen, and who wants to know when that changes.

const FIELDS = ["number", "path", "state", "started", "seconds", "seed", "group", "tags", "note", "error", "changed", "progress"];

export const store = {
  runs: new Map(), // by number
  columns: [],
  keys: [],
  varying: [],
  matching: null, // numbers that match the filter; null: all
  brushed: null, // numbers inside the brush of a chart; null: all
  selected: new Set(),
  sort: { key: "started", down: true },
  change: 0, // counts up whenever any of this changes
};

const listeners = new Set();

export function onChange(listener) {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

export function changed() {
  store.change += 1;
  cache.change = -1;
  for (const listener of [...listeners]) listener();
}

// Take the answer of api/runs; return whether anything is new.
export function take(content, all = false) {
  if (all) store.runs.clear();
  store.columns = content.columns ?? store.columns;
  store.keys = content.keys ?? store.keys;
  store.varying = content.varying ?? store.varying;
  for (const values of content.runs) {
    const run = Object.fromEntries(FIELDS.map((name, i) => [name, values[i]]));
    run.values = {};
    const cells = values[FIELDS.length];
    content.columns.forEach((key, i) => (run.values[key] = cells[i]));
    run.change = store.change + 1;
    store.runs.set(run.number, run);
  }
  for (const number of content.gone ?? []) {
    store.runs.delete(number);
    store.selected.delete(number);
  }
  return content.runs.length + (content.gone ?? []).length > 0;
}

export function value(run, key) {
  if (key in run.values) return run.values[key];
  if (key === "run") return run.path;
  if (key === "tags") return run.tags.join(" ");
  if (key === "what") return run.changed.join(" ");
  return run[key];
}

const cache = { change: -1, filtered: [], visible: [] };

function compute() {
  if (cache.change === store.change) return;
  const { key, down } = store.sort;
  const rows = [...store.runs.values()].filter((run) => !store.matching || store.matching.has(run.number));
  const sortable = rows.map((run) => [value(run, key), run]);
  sortable.sort(([a, x], [b, y]) => order(a, b) * (down ? -1 : 1) || absent(a) - absent(b) || y.number - x.number);
  const [there, missing] = [[], []];
  for (const [of, run] of sortable) (absent(of) ? missing : there).push(run);
  cache.filtered = [...there, ...missing]; // runs without the value come last in both directions
  cache.visible = store.brushed ? cache.filtered.filter((run) => store.brushed.has(run.number)) : cache.filtered;
  cache.change = store.change;
}

const absent = (of) => (of === null || of === undefined || of === "" ? 1 : 0);

function order(a, b) {
  if (typeof a === "number" && typeof b === "number") return a - b;
  if (absent(a) || absent(b)) return 0;
  return String(a).localeCompare(String(b), "en", { numeric: true });
}

// The runs that match the filter, in the order of the table.
export function filtered() {
  compute();
  return cache.filtered;
}

// Those of them that are inside the brush: the rows of the table.
export function visible() {
  compute();
  return cache.visible;
}

// The runs that the charts show: those that are selected, or else all that are visible.
export function shown() {
  const rows = visible();
  const chosen = rows.filter((run) => store.selected.has(run.number));
  return chosen.length ? chosen : rows;
}

// What a comparison of runs depends on: of runs that are training, their epochs, but only if none is completed.
export function compared(runs) {
  const isSoFar = !runs.some((run) => run.state === "completed");
  return runs.map((run) => [run.number, run.state, isSoFar ? (run.progress?.epoch ?? null) : null]);
}

// The settings in which some runs differ, most useful first: those that differ between more runs.
export function differing(runs) {
  const settings = store.varying.filter((key) => store.columns.includes(key) && isSetting(key));
  return settings.filter((key) => {
    const first = runs.length ? value(runs[0], key) : null;
    return runs.some((run) => value(run, key) !== first);
  });
}

const COUNTED = new Set(["parameters", "epochs", "best_epoch", "kept_epoch", "support_vectors", "components", "seed"]);

export const isMetric = (key) => /^(train|validation|test)\./.test(key) || key === "parameters";
export const isSetting = (key) => !/^(train|validation|test)\./.test(key) && !COUNTED.has(key);

export function metrics() {
  return store.keys.filter((key) => isMetric(key) && !/\.(n|correct)$/.test(key));
}

// The table of runs: only the rows in sight are in the document, so that 10,000 scroll like 10.

import { frozen, post } from "./api.js";
import { el, soon, toggle } from "./dom.js";
import * as format from "./format.js";
import { changed, differing, filtered, isMetric, isSetting, onChange, store, take, value, visible } from "./store.js";

const ROW = 32; // pixels, as in board.css
const SPARE = 8; // rows drawn above and below what is in sight
const FACTS = ["run", "state", "started", "seconds", "seed"];
const LABELS = ["tags", "note"];
const METRICS = ["validation.accuracy", "test.accuracy"];
const HEADINGS = { run: "run", seconds: "seconds", started: "started" };

export function runTable({ askColumns }) {
  let columns = [];
  let own = null; // columns that were chosen by hand
  let grouped = false;
  let items = [];
  const open = new Set(); // groups whose runs are shown
  let editing = null;

  const head = el("tr");
  const body = el("tbody");
  const grid = el("table", { class: "runs" }, el("caption", { class: "unseen" }, "Runs"), el("thead", {}, head), body);
  const window_ = el("div", { class: "rows", tabIndex: 0, role: "region", "aria-label": "Table of runs" }, grid);
  const count = el("p", { class: "note", role: "status" });
  const chooser = el("details", { class: "chooser" }, el("summary", {}, "Columns"), el("div", { class: "options" }));
  const tagText = el("input", { type: "text", size: 12, placeholder: "week3", "aria-label": "Tag for the selected runs" });
  const tags = el(
    "form", { class: "inline", onsubmit: (event) => (event.preventDefault(), tagSelected(true)) },
    tagText, el("button", { type: "submit" }, "Add tag"), el("button", { type: "button", onclick: () => tagSelected(false) }, "Remove tag"),
  );
  const problem = el("p", { class: "bad", role: "alert" });
  const controls = el(
    "div", { class: "controls" },
    toggle("Group by settings", grouped, (on) => ((grouped = on), changed())),
    el("button", { type: "button", onclick: () => select(visible()) }, "Select all"),
    el("button", { type: "button", onclick: () => select([]) }, "Select none"),
    frozen ? null : tags, chooser,
  );
  const root = el("section", { class: "table", "aria-label": "Runs" }, controls, problem, count, window_);

  function select(runs) {
    store.selected = new Set(runs.map((run) => run.number));
    changed();
  }

  async function tagSelected(add) {
    const names = tagText.value.split(/\s+/).filter(Boolean);
    if (!names.length || !store.selected.size) {
      problem.textContent = "Select runs, and type a tag.";
      return;
    }
    await save({ runs: [...store.selected], [add ? "add" : "remove"]: names });
    tagText.value = "";
  }

  async function save(change) {
    problem.textContent = "";
    try {
      take(await post("label", change));
      changed();
    } catch (error) {
      problem.textContent = error.message;
    }
  }

  function columnsNow() {
    const settings = differing(filtered()).slice(0, 6);
    const measured = METRICS.filter((key) => store.columns.includes(key));
    return own ?? [...FACTS.slice(0, 2), ...measured, ...settings, "seed", ...LABELS, "started", "seconds"];
  }

  function drawHead() {
    head.replaceChildren(
      el("th", { scope: "col", class: "box" }, el("span", { class: "unseen" }, "selected")),
      ...columns.map((key) => {
        const sorted = store.sort.key === key;
        const sign = sorted ? (store.sort.down ? " ▼" : " ▲") : "";
        const button = el("button", { type: "button", onclick: () => sortBy(key) }, format.title(HEADINGS[key] ?? key), el("span", { "aria-hidden": "true" }, sign));
        const name = sorted ? (store.sort.down ? "descending" : "ascending") : null;
        return el("th", { scope: "col", class: isRight(key) ? "n" : null, "aria-sort": name }, button);
      }),
    );
  }

  function sortBy(key) {
    const down = store.sort.key === key ? !store.sort.down : isMetric(key) || key === "started";
    store.sort = { key, down };
    changed();
  }

  const isRight = (key) => key === "seconds" || key === "seed" || isMetric(key);

  function itemsNow() {
    const rows = visible();
    if (!grouped) return rows.map((run) => ({ run }));
    const groups = new Map();
    for (const run of rows) {
      if (!groups.has(run.group)) groups.set(run.group, []);
      groups.get(run.group).push(run);
    }
    return [...groups].flatMap(([group, runs]) => {
      const line = { group, runs };
      return open.has(group) ? [line, ...runs.map((run) => ({ run }))] : [line];
    });
  }

  function update() {
    const now = columnsNow();
    if (now.join() !== columns.join() || head.dataset.sort !== JSON.stringify(store.sort)) {
      columns = now;
      head.dataset.sort = JSON.stringify(store.sort);
      drawHead();
      drawChooser();
    }
    items = itemsNow();
    const all = store.runs.size;
    const rows = visible().length;
    const chosen = visible().filter((run) => store.selected.has(run.number)).length;
    const running = visible().filter((run) => run.state === "running").length;
    count.textContent =
      `${rows === all ? format.plural(all, "run") : `${rows.toLocaleString("en")} of ${format.plural(all, "run")}`}` +
      (running ? `, ${running} running` : "") + (chosen ? `, ${chosen} selected` : "");
    grid.setAttribute("aria-rowcount", String(items.length + 1));
    draw();
  }

  function draw() {
    const first = Math.max(0, Math.floor(window_.scrollTop / ROW) - SPARE);
    const last = Math.min(items.length, Math.ceil((window_.scrollTop + (window_.clientHeight || 400)) / ROW) + SPARE);
    const place = focusedPlace();
    const rows = [
      spacer(first), ...items.slice(first, last).map((item, i) => (item.run ? runRow(item.run, first + i) : groupRow(item, first + i))),
      spacer(items.length - last),
    ];
    body.replaceChildren(...rows.filter(Boolean));
    if (place) focus(place);
  }

  const spacer = (rows) => rows > 0 && el("tr", { "aria-hidden": "true", class: "spacer" }, el("td", { colSpan: columns.length + 1, style: { height: `${rows * ROW}px` } }));

  function runRow(run, i) {
    const box = el("input", {
      type: "checkbox", checked: store.selected.has(run.number), "aria-label": `Select ${run.path}`,
      onchange: () => ((box.checked ? store.selected.add(run.number) : store.selected.delete(run.number)), changed()),
    });
    const row = el("tr", { "aria-rowindex": String(i + 2), class: `state-${run.state}` }, el("td", { class: "box" }, box));
    row.dataset.key = `run ${run.number}`;
    row.append(...columns.map((key, at) => cellOf(run, key, at)));
    return row;
  }

  function cellOf(run, key) {
    if (key === "run") {
      return el("th", { scope: "row", title: run.path }, el("a", { href: `#/run/${run.number}` }, el("bdi", {}, run.path)));
    }
    if (key === "state") return el("td", { title: run.error || null }, stateOf(run));
    if (LABELS.includes(key)) return labelCell(run, key);
    if (key === "started") return el("td", {}, format.time(run.started));
    if (key === "seconds") return el("td", { class: "n" }, format.isNumber(run.seconds) ? run.seconds.toFixed(1) : "");
    return el("td", { class: isRight(key) ? "n" : null, title: format.cell(key, value(run, key)) }, format.cell(key, value(run, key)));
  }

  function labelCell(run, key) {
    const text = key === "tags" ? run.tags.join(" ") : run.note;
    if (frozen) return el("td", {}, text);
    const cell = el("td", { class: "label" });
    if (editing && editing.number === run.number && editing.key === key) {
      const input = el("input", { type: "text", value: editing.text, "aria-label": `${key} of ${run.path}` });
      input.value = editing.text;
      input.addEventListener("input", () => (editing.text = input.value));
      input.addEventListener("keydown", (event) => {
        if (event.key === "Enter") finish(run, key, input.value);
        if (event.key === "Escape") ((editing = null), draw());
        event.stopPropagation();
      });
      cell.append(input);
      return cell;
    }
    const edit = () => ((editing = { number: run.number, key, text }), draw(), body.querySelector("td.label input")?.focus());
    cell.append(el("button", { type: "button", title: text || null, "aria-label": `${key} of ${run.path}: ${text || "none"}; edit`, onclick: edit }, text || "+"));
    return cell;
  }

  async function finish(run, key, text) {
    editing = null;
    if (key === "note") await save({ runs: [run.number], note: text });
    else {
      const names = text.split(/\s+/).filter(Boolean);
      await save({ runs: [run.number], add: names.filter((name) => !run.tags.includes(name)), remove: run.tags.filter((name) => !names.includes(name)) });
    }
    draw();
  }

  function groupRow({ group, runs }, i) {
    const keys = differing(filtered());
    const name = keys.map((key) => `${key}=${format.cell(key, value(runs[0], key))}`).join(" ") || "the same settings";
    const shut = () => ((open.has(group) ? open.delete(group) : open.add(group)), changed());
    const button = el("button", { type: "button", class: "group", "aria-expanded": String(open.has(group)), onclick: shut }, `${open.has(group) ? "▾" : "▸"} ${name} (${format.plural(runs.length, "run")})`);
    const whole = runs.every((run) => store.selected.has(run.number));
    const box = el("input", {
      type: "checkbox", checked: whole, "aria-label": `Select the runs of ${name}`,
      onchange: () => (runs.forEach((run) => (box.checked ? store.selected.add(run.number) : store.selected.delete(run.number))), changed()),
    });
    const row = el("tr", { "aria-rowindex": String(i + 2), class: "group" }, el("td", { class: "box" }, box));
    row.dataset.key = `group ${group}`;
    for (const key of columns) {
      if (key === "run") row.append(el("th", { scope: "row", title: name }, button));
      else if (isMetric(key)) row.append(el("td", { class: "n" }, meanOf(runs, key)));
      else if (isSetting(key) && !FACTS.includes(key) && !LABELS.includes(key)) row.append(el("td", {}, format.cell(key, value(runs[0], key))));
      else if (key === "state") row.append(el("td", {}, statesOf(runs)));
      else row.append(el("td"));
    }
    return row;
  }

  function drawChooser() {
    const known = [...FACTS, "what", "error", ...LABELS, ...store.keys];
    const options = [...new Set([...columns, ...known])].filter((key) => !/\.per_class\./.test(key));
    chooser.lastChild.replaceChildren(
      ...options.map((key) =>
        toggle(key, columns.includes(key), (on) => {
          own = on ? [...columns, key] : columns.filter((one) => one !== key);
          if (on && store.keys.includes(key) && !store.columns.includes(key)) askColumns(own.filter((one) => store.keys.includes(one)));
          else changed();
        }),
      ),
      el("button", { type: "button", onclick: () => ((own = null), changed()) }, "Usual columns"),
    );
  }

  // The row and the control in it that have the focus, so that drawing again does not take it away.
  function focusedPlace() {
    const row = document.activeElement?.closest?.("table.runs tbody tr[data-key]");
    if (!row || !body.contains(row)) return null;
    return { key: row.dataset.key, at: [...row.querySelectorAll("input, a, button")].indexOf(document.activeElement) };
  }

  function focus({ key, at }) {
    const row = [...body.children].find((one) => one.dataset.key === key);
    row?.querySelectorAll("input, a, button")[at]?.focus({ preventScroll: true });
  }

  window_.addEventListener("keydown", (event) => {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    const place = focusedPlace();
    if (!step || !place || event.target.type === "text") return;
    const now = items.findIndex((item) => (item.run ? `run ${item.run.number}` : `group ${item.group}`) === place.key);
    const next = items[now + step];
    if (!next) return;
    event.preventDefault();
    const top = (now + step) * ROW;
    if (top < window_.scrollTop) window_.scrollTop = top;
    if (top + 2 * ROW > window_.scrollTop + window_.clientHeight) window_.scrollTop = top + 3 * ROW - window_.clientHeight;
    draw();
    focus({ key: next.run ? `run ${next.run.number}` : `group ${next.group}`, at: place.at });
  });
  window_.addEventListener("scroll", soon(draw), { passive: true });
  const off = onChange(soon(update));
  update();
  requestAnimationFrame(draw); // only now the height is known
  return { root, close: off };
}

export function stateOf(run) {
  const { progress } = run;
  const about = progress ? ` ${progress.epoch}/${progress.epochs ?? "?"}, loss ${format.number(progress.val_loss ?? progress.train_loss, 3)}` : "";
  const left = progress?.ends ? Math.max(0, progress.ends - Date.now() / 1000) : null;
  const error = run.state !== "completed" && run.error ? `: ${run.error}` : "";
  return el("span", {}, el("span", { class: `dot ${run.state}`, "aria-hidden": "true" }), `${run.state}${about}${left === null ? "" : `, ${format.seconds(left)} left`}${error}`);
}

function statesOf(runs) {
  const counts = new Map();
  for (const run of runs) counts.set(run.state, (counts.get(run.state) ?? 0) + 1);
  return [...counts].map(([state, count]) => `${count} ${state}`).join(", ");
}

function meanOf(runs, key) {
  const values = runs.map((run) => value(run, key)).filter(format.isNumber);
  if (!values.length) return "";
  const spread = format.deviation(values);
  const text = format.metric(key, format.mean(values));
  return Number.isNaN(spread) ? text : `${text} ± ${format.isShare(key) ? (100 * spread).toFixed(2) : format.number(spread, 2)}`;
}

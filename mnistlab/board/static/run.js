// One run: its scores, and what a still picture cannot show: the images behind each number.

import { frozen, get } from "./api.js";
import { calibrationSection } from "./calibration.js";
import { confusionTable } from "./confusion.js";
import { el } from "./dom.js";
import * as format from "./format.js";
import { imagesSection } from "./gallery.js";
import { rocSection } from "./roc.js";
import { onChange, store } from "./store.js";
import { stateOf } from "./table.js";

export function oneRun(number) {
  const root = el("div", { class: "one-run" }, el("p", { role: "status" }, "Loading ..."));
  let closed = false;
  let state = store.runs.get(number)?.state;

  async function load() {
    let about;
    try {
      about = await get("run", { run: number });
    } catch (error) {
      root.replaceChildren(back(), el("p", { class: "bad", role: "alert" }, error.message));
      return;
    }
    if (!closed) draw(about);
  }

  const back = () => el("p", {}, el("a", { href: "#/runs" }, "← All runs"));

  function draw(about) {
    const run = store.runs.get(number);
    const name = run?.path ?? about.run[1];
    root.replaceChildren(back(), el("h2", { class: "name" }, el("bdi", {}, name)), facts(run, about));
    if (run?.note) root.append(el("p", { class: "note-text" }, run.note));
    if (about.problem) root.append(el("p", { class: "message" }, about.problem));
    if (about.has_report && !frozen) root.append(report());
    if (about.test) {
      const gallery = imagesSection(number, about.test);
      const confusion = confusionTable(about.test, (cell) => gallery.show(cell));
      const roc = rocSection(about.roc, about.test);
      confusion.onClass((index) => roc.highlight(index));
      root.append(
        el("section", {}, el("h3", {}, "Confusion matrix of the test set"),
          el("p", { class: "note" }, frozen ? "Rows are the true classes." : "Rows are the true classes. A cell shows its images below; a class shows its ROC curve."), el("div", { class: "side" }, confusion.root, roc.root)),
      );
      if (!frozen) {
        root.append(gallery.root);
        const calibration = calibrationSection(number, (least) => gallery.setLeast(least));
        root.append(calibration.root);
        calibration.load();
        gallery.show({});
      }
    }
    root.append(settings(about));
  }

  function facts(run, about) {
    const values = run?.values ?? {};
    const rows = [["State", run ? stateOf(run) : "-"], ["Started", format.time(run?.started)], ["Seconds", format.number(run?.seconds)], ["Seed", String(run?.seed ?? "-")]];
    for (const part of ["test", "validation", "train"]) {
      if (format.isNumber(values[`${part}.accuracy`])) rows.push([`${part} accuracy`, `${format.metric("accuracy", values[`${part}.accuracy`])} %`]);
    }
    if (run?.changed.length) rows.push(["Changed", run.changed.join(" ")]);
    if (run?.tags.length) rows.push(["Tags", run.tags.join(" ")]);
    return el("dl", { class: "facts" }, rows.map(([key, text]) => el("div", {}, el("dt", {}, key), el("dd", {}, text))));
  }

  function report() {
    const address = `run/${number}/report.html`;
    const frame = el("div");
    const details = el("details", { class: "report" }, el("summary", {}, "Report"), el("p", {}, el("a", { href: address, target: "_blank", rel: "noopener" }, "Open the report in a tab of its own")), frame);
    details.addEventListener("toggle", () => {
      if (details.open && !frame.childElementCount) frame.append(el("iframe", { src: address, title: "Report of the run", sandbox: "" }));
    });
    return details;
  }

  function settings(about) {
    const rows = Object.entries(about.settings).filter(([key]) => !/\.per_class\./.test(key));
    return el("details", {}, el("summary", {}, "Settings and metrics"),
      el("div", { class: "scroll", tabIndex: 0, role: "region", "aria-label": "Settings and metrics" },
        el("table", {}, el("tbody", {}, rows.map(([key, text]) => el("tr", {}, el("th", { scope: "row" }, key), el("td", {}, text)))))));
  }

  const off = onChange(() => {
    const now = store.runs.get(number)?.state;
    if (now === state) return;
    state = now; // it has begun, or ended
    load();
  });
  return { root, shown: load, close: () => ((closed = true), off()) };
}

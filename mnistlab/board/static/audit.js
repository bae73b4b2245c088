// Audits of data: the labels that are probably wrong and the images that occur twice, to be looked at.

import { get } from "./api.js";
import { el, toggle } from "./dom.js";
import * as format from "./format.js";
import { pictures } from "./pixels.js";

const COUNT = 60;

export function auditView(number) {
  const root = el("div", { class: "audits" }, el("p", { role: "status" }, "Loading ..."));

  async function load() {
    try {
      const { audits } = await get("audits");
      if (number !== undefined && audits[Number(number)]) one(audits[Number(number)]);
      else all(audits);
    } catch (error) {
      root.replaceChildren(el("p", { class: "bad", role: "alert" }, error.message));
    }
  }

  function all(audits) {
    root.replaceChildren(el("h2", {}, "Audits of data"));
    if (!audits.length) {
      root.append(el("p", {}, "There is no audit yet. One is made by ", el("code", {}, "mnistlab data audit data=mnist5k model=mlp_1hidden"), "."));
      return;
    }
    const rows = audits.map((audit) =>
      el("tr", {}, el("th", { scope: "row" }, el("a", { href: `#/data/${audit.number}` }, audit.folder)),
        audit.damaged ? el("td", { colSpan: 5 }, "damaged: audit.json cannot be read") : [audit.by, ...[audit.images, audit.label_errors, audit.duplicates, audit.across_parts].map((count) => format.number(count))].map((text) => el("td", {}, text))));
    root.append(
      el("div", { class: "scroll", tabIndex: 0, role: "region", "aria-label": "Audits" }, el("table", {},
        el("thead", {}, el("tr", {}, ["data", "scored by", "images", "label errors", "copies", "between train and test"].map((name) => el("th", { scope: "col" }, name)))),
        el("tbody", {}, rows))),
    );
  }

  function one(audit) {
    const errors = list("label_errors", "all", "Also labels that do not count as errors", errorCards);
    const copies = list("duplicates", "across", "Only between training and test part", pairCards);
    root.replaceChildren(
      el("p", {}, el("a", { href: "#/data" }, "← All audits")), el("h2", {}, audit.folder),
      el("p", {}, `${format.number(audit.images)} images, ${format.number(audit.scored)} scored by ${audit.by}.`),
      scores(audit),
      el("section", {}, el("h3", {}, `Labels that are probably wrong: ${format.number(audit.label_errors)}`), errors),
      el("section", {}, el("h3", {}, `Copies: ${format.number(audit.duplicates)}`), copies),
    );
  }

  const scores = (audit) => el(
    "div", { class: "scroll", tabIndex: 0, role: "region", "aria-label": "Accuracy" },
    el("table", {}, el("caption", {}, "Accuracy of the out-of-sample predictions, with and without them"),
      el("thead", {}, el("tr", {}, ["part", "images", "number", "accuracy (%)"].map((name) => el("th", { scope: "col" }, name)))),
      el("tbody", {}, (audit.scores ?? []).map((line) => el("tr", {}, el("td", {}, line.part), el("td", {}, line.images), el("td", { class: "n" }, format.number(line.n)), el("td", { class: "n" }, format.metric("accuracy", line.accuracy)))))),
    el("p", { class: "note" }, "To leave out what a model finds suspicious always raises the accuracy of that model: look at the images first."),
  );

  function list(name, flag, label, cards) {
    const asked = { audit: number, start: 0, count: COUNT, [flag]: "" };
    const says = el("p", { role: "status" });
    const grid = el("ul", { class: "gallery" });
    const more = el("button", { type: "button", hidden: true, onclick: () => ((asked.start += COUNT), load_(true)) }, "More");
    async function load_(append = false) {
      try {
        const content = await get(name, asked);
        grid[append ? "append" : "replaceChildren"](...(content.rows.length ? cards(content) : []));
        says.textContent = content.matching ? `${format.number(content.matching)} in all, the most suspicious first` : "None.";
        more.hidden = grid.childElementCount >= content.matching;
      } catch (error) {
        says.textContent = error.message;
      }
    }
    load_();
    return el("div", {}, el("div", { class: "controls" }, toggle(label, false, (on) => ((asked[flag] = on ? "1" : ""), (asked.start = 0), load_()))), says, grid, more);
  }

  const errorCards = ({ rows, images }) => pictures(images, rows.map((row) => `${row.part} image ${row.row}`)).map((canvas, i) => {
    const row = rows[i];
    return el("li", {}, canvas, el("span", {}, `label: ${row.label} ${format.percent(Number(row.quality))}`), el("span", {}, `rather: ${row.suggested} ${format.percent(Number(row.suggested_probability))}`), el("span", { class: "soft" }, `${row.part} ${row.row}`));
  });

  const pairCards = ({ rows, images, others }) => {
    const second = pictures(others, rows.map((row) => `${row.other_part} image ${row.other_row}`));
    return pictures(images, rows.map((row) => `${row.part} image ${row.row}`)).map((canvas, i) => {
      const row = rows[i];
      return el("li", { class: "pair" }, el("span", { class: "twins" }, canvas, second[i]),
        el("span", {}, row.identical === "1" ? "identical" : `similarity ${Number(row.similarity).toFixed(4)}`),
        el("span", { class: row.label === row.other_label ? null : "bad" }, `labels: ${row.label}, ${row.other_label}`),
        el("span", { class: "soft" }, `${row.part} ${row.row}, ${row.other_part} ${row.other_row}`));
    });
  };

  return { root, shown: load, close: () => {} };
}

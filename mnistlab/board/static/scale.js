// Scales from values to pixels: linear, logarithmic, or one place for each word.

import * as format from "./format.js";

const WIDE = 50; // a ratio of the largest to the smallest value from which a scale is logarithmic

export function scaleOf(values) {
  const there = values.filter((value) => value !== null && value !== undefined && value !== "");
  const numeric = there.length > 0 && there.every(format.isNumber);
  if (!numeric) return words([...new Set(there.map(String))].sort((a, b) => a.localeCompare(b, "en", { numeric: true })));
  const low = Math.min(...there);
  const high = Math.max(...there);
  const isLog = low > 0 && high / low >= WIDE;
  const to = isLog ? Math.log10 : (value) => value;
  const from = isLog ? (value) => 10 ** value : (value) => value;
  const [a, b] = low === high ? [to(low) - 1, to(high) + 1] : [to(low), to(high)];
  return {
    numeric: true, isLog, low, high,
    share: (value) => (format.isNumber(value) && (!isLog || value > 0) ? (to(value) - a) / (b - a) : null),
    value: (share) => from(a + share * (b - a)),
    ticks: () => (low === high ? [low] : ticks(a, b, isLog).map(from)),
    text: format.tick,
  };
}

function words(names) {
  const place = new Map(names.map((name, i) => [name, names.length > 1 ? i / (names.length - 1) : 0.5]));
  return {
    numeric: false, isLog: false, names,
    share: (value) => place.get(value === null || value === undefined ? "" : String(value)) ?? null,
    value: (share) => names[Math.round(share * (names.length - 1))],
    ticks: () => names,
    text: (value) => (value.length > 18 ? `${value.slice(0, 17)}…` : value),
  };
}

function ticks(a, b, isLog) {
  if (isLog) {
    const inner = b - a > 3 ? [0] : [0, Math.log10(2), Math.log10(5)]; // 1, or 1, 2 and 5 times a power of ten
    const list = [];
    for (let power = Math.floor(a); power <= b; power++) {
      for (const more of inner) if (power + more >= a - 1e-9 && power + more <= b + 1e-9) list.push(power + more);
    }
    return list;
  }
  const rough = (b - a) / 6;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((one) => one * power).find((one) => one >= rough);
  const list = [];
  for (let at = Math.ceil(a / step - 1e-9) * step; at <= b + 1e-9 * step; at += step) list.push(Number(at.toPrecision(12)));
  return list;
}

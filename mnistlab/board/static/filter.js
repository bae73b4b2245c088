// The filters of a frozen page, which has no server to ask: those of `mnistlab runs`, except times and nested lists.

const FORM = /^([A-Za-z_][\w.-]*?)\s*(!=|<=|>=|=|<|>|~)\s*(.+)$/s;

export class WrongFilter extends Error {}

const FACTS = ["state", "seconds", "path", "note", "error", "seed", "tag"];

// Return a test of runs; ``columns`` are the keys of their values, ``common`` the values that all of them share.
export function matcher(text, { columns, common }) {
  const words = text.trim().split(/\s+(?=[A-Za-z_][\w.-]*\s*(?:!=|<=|>=|=|<|>|~))/).filter(Boolean);
  const tests = words.map((word) => {
    const match = FORM.exec(word);
    if (!match) throw new WrongFilter(`${word}: not a filter; must be a key, one of != <= >= = < > ~ and a value`);
    if (match[1] === "started") throw new WrongFilter("started: a frozen page cannot filter by time");
    const [key, operator, value] = match.slice(1).map((part) => part.trim());
    if (![...FACTS, ...columns].includes(key) && !Object.hasOwn(common, key)) {
      throw new WrongFilter(`${key}${operator}...: this frozen page has no such setting or metric`);
    }
    return test(key, operator, value, common);
  });
  return (run) => tests.every((one) => one(run));
}

function test(key, operator, value, common) {
  const of = (run) => values(run, key, common);
  if ("<>".includes(operator[0])) {
    const limit = Number(value);
    if (Number.isNaN(limit)) throw new WrongFilter(`${key}${operator}${value}: must be compared with a number`);
    const holds = { "<": (x) => x < limit, ">": (x) => x > limit, "<=": (x) => x <= limit, ">=": (x) => x >= limit }[operator];
    return (run) => of(run).some((x) => typeof x === "number" && holds(x));
  }
  if (operator === "~") return (run) => of(run).some((x) => String(x).toLowerCase().includes(value.toLowerCase()));
  const wanted = value.split(",").map((one) => one.trim());
  const equal = (x) => wanted.some((one) => (one === "null" ? x === null : glob(one).test(String(x)) || (one !== "" && typeof x === "number" && Number(one) === x)));
  return operator === "=" ? (run) => of(run).some(equal) : (run) => !of(run).some(equal);
}

const glob = (text) => new RegExp(`^${text.replace(/[.+^${}()|[\]\\]/g, "\\$&").replace(/\*/g, ".*").replace(/\?/g, ".")}$`, "s");

function values(run, key, common) {
  if (key === "tag") return run.tags;
  if (FACTS.includes(key)) return [run[key] ?? null];
  return [run.values[key] ?? common[key] ?? null];
}

// The filters of a frozen page, which has no server to ask: those of `mnistlab runs`, except times and nested lists.

const FORM = /^([A-Za-z_][\w.-]*?)\s*(!=|<=|>=|=|<|>|~)\s*(.+)$/s;

export class WrongFilter extends Error {}

export function matcher(text) {
  const words = text.trim().split(/\s+(?=[A-Za-z_][\w.-]*\s*(?:!=|<=|>=|=|<|>|~))/).filter(Boolean);
  const tests = words.map((word) => {
    const match = FORM.exec(word);
    if (!match) throw new WrongFilter(`${word}: not a filter; must be a key, one of != <= >= = < > ~ and a value`);
    if (match[1] === "started") throw new WrongFilter("started: a frozen page cannot filter by time");
    return test(...match.slice(1).map((part) => part.trim()));
  });
  return (run) => tests.every((one) => one(run));
}

function test(key, operator, value) {
  if ("<>".includes(operator[0])) {
    const limit = Number(value);
    if (Number.isNaN(limit)) throw new WrongFilter(`${key}${operator}${value}: must be compared with a number`);
    const holds = { "<": (x) => x < limit, ">": (x) => x > limit, "<=": (x) => x <= limit, ">=": (x) => x >= limit }[operator];
    return (run) => of(run, key).some((x) => typeof x === "number" && holds(x));
  }
  if (operator === "~") return (run) => of(run, key).some((x) => String(x).toLowerCase().includes(value.toLowerCase()));
  const wanted = value.split(",").map((one) => one.trim());
  const equal = (x) => wanted.some((one) => (one === "null" ? x === null : glob(one).test(String(x)) || (one !== "" && typeof x === "number" && Number(one) === x)));
  return operator === "=" ? (run) => of(run, key).some(equal) : (run) => !of(run, key).some(equal);
}

const glob = (text) => new RegExp(`^${text.replace(/[.+^${}()|[\]\\]/g, "\\$&").replace(/\*/g, ".*").replace(/\?/g, ".")}$`, "s");

function of(run, key) {
  if (key === "tag") return run.tags;
  if (["state", "seconds", "path", "note", "error", "seed"].includes(key)) return [run[key] ?? null];
  return [run.values[key] ?? null];
}

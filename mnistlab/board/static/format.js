// Numbers and times as text.

export const isNumber = (value) => typeof value === "number" && Number.isFinite(value);

export const isShare = (key) => /(accuracy|precision|recall)$/.test(key);

export function number(value, digits = 4) {
  if (!isNumber(value)) return "-";
  if (Number.isInteger(value) && Math.abs(value) < 1e15) return value.toLocaleString("en");
  return String(Number(value.toPrecision(digits)));
}

export function metric(key, value) {
  if (!isNumber(value)) return "-";
  return isShare(key) ? (100 * value).toFixed(2) : number(value);
}

export function cell(key, value) {
  if (value === null || value === undefined) return "";
  if (typeof value === "number") return isShare(key) ? (100 * value).toFixed(2) : number(value, 6);
  return String(value);
}

export const title = (key) => (isShare(key) ? `${key} (%)` : key);

export function seconds(value) {
  if (!isNumber(value)) return "";
  if (value < 60) return `${value.toFixed(value < 10 ? 1 : 0)} s`;
  if (value < 3600) return `${Math.floor(value / 60)} min ${Math.round(value % 60)} s`;
  return `${Math.floor(value / 3600)} h ${Math.round((value % 3600) / 60)} min`;
}

export function time(value) {
  if (!isNumber(value)) return "";
  const at = new Date(1000 * value);
  const two = (part) => String(part).padStart(2, "0");
  return `${at.getFullYear()}-${two(at.getMonth() + 1)}-${two(at.getDate())} ${two(at.getHours())}:${two(at.getMinutes())}`;
}

export const percent = (value, digits = 1) => (isNumber(value) ? `${(100 * value).toFixed(digits)} %` : "-");

export const plural = (count, one, many = `${one}s`) => `${count.toLocaleString("en")} ${count === 1 ? one : many}`;

export const mean = (values) => values.reduce((sum, value) => sum + value, 0) / values.length;

export function deviation(values) {
  if (values.length < 2) return NaN;
  const middle = mean(values);
  return Math.sqrt(values.reduce((sum, value) => sum + (value - middle) ** 2, 0) / (values.length - 1));
}

// A number beside an axis: short, whatever its size.
export function tick(value) {
  if (!isNumber(value)) return "";
  const size = Math.abs(value);
  return size >= 1e5 || (size > 0 && size < 1e-3) ? value.toExponential().replace("+", "") : String(Number(value.toPrecision(4)));
}

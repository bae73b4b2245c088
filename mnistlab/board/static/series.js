// Curves as numbers: smoothing, a common axis, means with bands.

const MOST_POINTS = 400; // of an axis that curves with different x share

// The exponential moving average with the weight w, without the bias of its start.
export function smoothed(values, w) {
  if (!w) return values;
  const out = new Float32Array(values.length);
  let sum = 0;
  let weight = 0;
  for (let i = 0; i < values.length; i++) {
    if (Number.isNaN(values[i])) {
      out[i] = NaN;
      continue;
    }
    sum = w * sum + (1 - w) * values[i];
    weight = w * weight + (1 - w);
    out[i] = sum / weight;
  }
  return out;
}

// Put all curves on one axis: their own points if they share them, else a grid between which they are interpolated.
// `lines` are lists of {x, y}; the answer has the axis, and for every line a list of columns.
export function resampled(lines) {
  const all = lines.flat();
  const points = new Set();
  for (const { x } of all) for (const at of x) if (!Number.isNaN(at)) points.add(at);
  let x = [...points].sort((a, b) => a - b);
  if (x.length > MOST_POINTS) {
    const [low, high] = [x[0], x[x.length - 1]];
    x = Array.from({ length: MOST_POINTS }, (_, i) => low + ((high - low) * i) / (MOST_POINTS - 1));
  }
  const place = new Map(x.map((at, i) => [at, i]));
  const rows = lines.map((line) => line.map((curve) => onAxis(curve, x, place)));
  return { x, rows };
}

function onAxis({ x, y }, axis, place) {
  const out = new Array(axis.length).fill(null);
  if (x.every((at) => place.has(at)) && x.length === axis.length) {
    for (let i = 0; i < x.length; i++) out[i] = Number.isNaN(y[i]) ? null : y[i];
    return out;
  }
  let i = 0;
  for (let at = 0; at < axis.length; at++) {
    while (i + 1 < x.length && x[i + 1] <= axis[at]) i += 1;
    if (!x.length || axis[at] < x[0] || axis[at] > x[x.length - 1]) continue;
    const [x0, y0] = [x[i], y[i]];
    const [x1, y1] = i + 1 < x.length ? [x[i + 1], y[i + 1]] : [x0, y0];
    const value = x1 > x0 ? y0 + ((y1 - y0) * (axis[at] - x0)) / (x1 - x0) : y0;
    out[at] = Number.isNaN(value) ? null : value;
  }
  return out;
}

// The mean of columns, and one standard deviation below and above it where there are two or more.
export function summarised(columns) {
  if (columns.length === 1) return { middle: columns[0], low: null, high: null };
  const length = columns[0]?.length ?? 0;
  const [middle, low, high] = [0, 1, 2].map(() => new Array(length).fill(null));
  for (let i = 0; i < length; i++) {
    let n = 0;
    let sum = 0;
    for (const column of columns) if (column[i] !== null) (n += 1), (sum += column[i]);
    if (!n) continue;
    middle[i] = sum / n;
    let squares = 0;
    for (const column of columns) if (column[i] !== null) squares += (column[i] - middle[i]) ** 2;
    const deviation = n > 1 ? Math.sqrt(squares / (n - 1)) : 0;
    low[i] = middle[i] - deviation;
    high[i] = middle[i] + deviation;
  }
  return { middle, low, high };
}

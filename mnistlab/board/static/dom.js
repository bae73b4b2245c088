// Elements from plain values. Text is always text: nothing here parses HTML.

export function el(name, attributes = {}, ...children) {
  const node = document.createElement(name);
  setAttributes(node, attributes);
  node.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
  return node;
}

export function svg(name, attributes = {}, ...children) {
  const node = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
  node.append(...children.flat().filter((child) => child !== null && child !== undefined));
  return node;
}

function setAttributes(node, attributes) {
  for (const [key, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (key.startsWith("on")) node.addEventListener(key.slice(2), value);
    else if (key === "style") Object.assign(node.style, value);
    else if (key in node && typeof value !== "string") node[key] = value;
    else node.setAttribute(key, value);
  }
}

// A labelled <select>; options are texts, or [value, text].
export function choice(label, options, value, changed) {
  const select = el("select", { onchange: () => changed(select.value) });
  fill(select, options, value);
  return Object.assign(el("label", {}, `${label} `, select), { select });
}

export function fill(select, options, value) {
  const pairs = options.map((one) => (Array.isArray(one) ? one : [one, one]));
  select.replaceChildren(...pairs.map(([key, text]) => el("option", { value: String(key) }, text)));
  if (pairs.some(([key]) => String(key) === String(value))) select.value = String(value);
}

export function toggle(label, checked, changed) {
  const box = el("input", { type: "checkbox", checked, onchange: () => changed(box.checked) });
  return Object.assign(el("label", {}, box, ` ${label}`), { box });
}

// Work to do once before the next frame, however often it is asked for.
export function soon(work) {
  let waiting = false;
  return () => {
    if (waiting) return;
    waiting = true;
    requestAnimationFrame(() => {
      waiting = false;
      work();
    });
  };
}

// Work that is heavier than a frame: at most once in so many milliseconds, and once more after the last time.
export function seldom(work, milliseconds = 250) {
  let timer = null;
  let last = 0;
  return () => {
    if (timer) return;
    timer = setTimeout(() => ((timer = null), (last = performance.now()), work()), Math.max(60, last + milliseconds - performance.now()));
  };
}

export const isDark = () => matchMedia("(prefers-color-scheme: dark)").matches;
export const css = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

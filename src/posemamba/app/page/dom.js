// Elements, and numbers in words.
export const $ = (id) => document.getElementById(id);

/** Make an element: attributes by name, `on...` are listeners; texts and elements as children. Texts are never HTML. */
export function h(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (value === true) element.setAttribute(name, "");
    else if (value !== false && value !== null && value !== undefined) element.setAttribute(name, value);
  }
  element.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== ""));
  return element;
}

const SVG = "http://www.w3.org/2000/svg";
export function svg(tag, attributes, ...children) {
  const element = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

const KINDS = { good: "good", "use with care": "care", "do not trust": "bad" };
/** The verdict on a person's poses: the sign and the word. */
export function badge(word) {
  const kind = KINDS[word];
  if (!kind) return "";
  return h("span", { class: `badge ${kind}` }, svg("svg", { "aria-hidden": "true" }, svg("use", { href: `#icon-${kind}` })), word);
}

export function bytes(count) {
  for (const [unit, size] of [["GB", 1e9], ["MB", 1e6], ["kB", 1e3]]) {
    if (count >= size) return `${(count / size).toFixed(count < 10 * size ? 1 : 0)} ${unit}`;
  }
  return `${count} B`;
}

export function duration(seconds) {
  if (seconds < 10) return "a few seconds";
  if (seconds < 55) return `${Math.round(seconds / 5) * 5} seconds`;
  if (seconds < 90) return "a minute";
  const minutes = Math.round(seconds / 60);
  if (minutes < 90) return `${minutes} minutes`;
  return `${Math.round(minutes / 6) / 10} hours`;
}

export function when(unix) {
  const date = new Date(unix * 1000), today = new Date();
  const day = date.toDateString() === today.toDateString() ? {} : { day: "numeric", month: "short" };
  const year = date.getFullYear() === today.getFullYear() ? {} : { year: "numeric" };
  return date.toLocaleString(undefined, { ...year, ...day, hour: "2-digit", minute: "2-digit" });
}

/** Tell a screen reader something, once. */
export function say(text) {
  if ($("status").textContent !== text) $("status").textContent = text;
}

/** Ask before something is removed; true: remove it. */
export function confirmRemoval(words) {
  const dialog = $("ask");
  $("ask-words").textContent = words;
  dialog.returnValue = "no";
  dialog.showModal();
  return new Promise((answer) => dialog.addEventListener("close", () => answer(dialog.returnValue === "yes"), { once: true }));
}

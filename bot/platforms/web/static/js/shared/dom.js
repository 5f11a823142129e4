// Makes DOM elements. All pages do so here alone: text always becomes text, never HTML.

// Two clicks within so many milliseconds are one press.
export const DOUBLE_CLICK_MS = 600;
const SVG = "http://www.w3.org/2000/svg";

const ICONS = {
  menu: "M4 6h16M4 12h16M4 18h16",
  plus: "M12 5v14M5 12h14",
  close: "M6 6l12 12M18 6L6 18",
  back: "M15 5l-7 7 7 7",
  send: "M12 19V6m0 0-6 6m6-6 6 6",
  slash: "M4 4h16v16H4zM14 8l-4 8",
  clip: "M20 11l-8 8a5 5 0 0 1-7-7l9-9a3.5 3.5 0 0 1 5 5l-9 9a2 2 0 0 1-3-3l8-8",
  reply: "M9 7L4 12l5 5M4 12h10a6 6 0 0 1 6 6v1",
  thread: "M4 5h16v11H11l-4 4v-4H4zM8 9h8M8 12h5",
  copy: "M9 9h11v11H9zM5 15H4V4h11v1",
  check: "M5 13l4 4L19 7",
  bin: "M5 7h14M10 7V4h4v3M7 7l1 13h8l1-13",
  clock: "M12 3a9 9 0 1 0 0 18 9 9 0 0 0 0-18zM12 7v5l3 2",
  tokens: "M4 6h5v5H4zM13 6h7v5h-7zM4 14h8v5H4zM16 14h4v5h-4z",
  more: "M6 12h.01M12 12h.01M18 12h.01",
  pen: "M5 19l1-4L16 5l3 3L9 18zM14 7l3 3",
  cooler: "M12 5v14M6 13l6 6 6-6",
  warmer: "M12 19V5M6 11l6-6 6 6",
  forward: "M6 12h12m-5-5 5 5-5 5",
  dice: "M5 5h14v14H5zM9 9h.01M15 9h.01M12 12h.01M9 15h.01M15 15h.01",
  reset: "M5 5v5h5M5.5 10A7.5 7.5 0 1 1 5 14",
  projector: "M3 5h18v11H3zM12 16v4M8 20h8",
  look: "M12 3a9 9 0 1 0 0 18c2 0 2-2 1-3s0-3 2-3h3c2 0 3-1 3-3a9 9 0 0 0-9-9zM7.5 11h.01M11 7.5h.01M15.5 8.5h.01",
  full: "M4 9V4h5M20 9V4h-5M4 15v5h5M20 15v5h-5",
  download: "M12 4v11m0 0-5-5m5 5 5-5M5 20h14",
  hidden: "M3 3l18 18M10 6c6-1 10 3 11 6-.4 1-1 2-2 3M6 8c-2 1-3 3-3 4 1 3 5 7 11 5",
  dial: "M4 17a8 8 0 1 1 16 0M12 17l4-6",
  lesson: "M4 5h7v14H4zM13 5h7v14h-7z",
  settings: "M4 7h9M17 7h3M4 17h3M11 17h9M13 5v4M7 15v4",
  chart: "M5 20v-7M12 20V5M19 20v-11",
  shield: "M12 3l8 3v6c0 5-4 8-8 9-4-1-8-4-8-9V6zM8.5 12l2.5 2.5 4.5-5",
  door: "M6 21V4h12v17M3 21h18M14 12v1",
  people: "M9 11a3 3 0 1 0 0-6 3 3 0 0 0 0 6zM3 19c0-4 3-6 6-6s6 2 6 6M16 5a3 3 0 0 1 0 6M18 13c2 1 3 3 3 6",
  person: "M12 12a4 4 0 1 0 0-8 4 4 0 0 0 0 8zM4.5 20a7.5 7.5 0 0 1 15 0",
  pin: "M9 3h6l-1 7 4 4H6l4-4zM12 14v7",
  pause: "M8 5v14M16 5v14",
  eye: "M2 12c3-5 6-7 10-7s7 2 10 7c-3 5-6 7-10 7s-7-2-10-7zM12 9a3 3 0 1 0 0 6 3 3 0 0 0 0-6z",
  megaphone: "M4 10v4h3l9 5V5l-9 5zM19 9c1.5 1.5 1.5 4.5 0 6",
  class: "M2 9l10-5 10 5-10 5zM6.5 11.5V16c3 2.7 8 2.7 11 0v-4.5M22 9v6",
  room: "M9 4L7 20M17 4l-2 16M4 9h16M4 15h16",
};

export function element(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === false || value === null || value === undefined) continue;
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children.filter((child) => child !== null && child !== undefined));
  return node;
}

// Makes a line drawing. It has no text, so the element that contains it needs a label.
export function icon(name) {
  const drawing = document.createElementNS(SVG, "svg");
  drawing.setAttribute("viewBox", "0 0 24 24");
  drawing.setAttribute("aria-hidden", "true");
  drawing.setAttribute("class", "drawn");
  const path = document.createElementNS(SVG, "path");
  path.setAttribute("d", ICONS[name]);
  drawing.append(path);
  return drawing;
}

// Makes `button` show an icon alone, with `label` for screen readers and as a tooltip. Returns it.
export function setIcon(button, name, label) {
  button.replaceChildren(icon(name));
  button.setAttribute("aria-label", label);
  button.title = label;
  return button;
}

export const byId = (id) => document.getElementById(id);

// People as the page shows them.

import { element } from "../shared/dom.js";

const HUES = 360;

export function avatar(person) {
  const letters = person.name.split(" ").map((word) => [...word][0] ?? "").join("");
  const made = element("span", { class: "avatar", "aria-hidden": "true" }, [...letters].slice(0, 2).join("").toUpperCase() || "?");
  made.style.setProperty("--hue", String(Number.parseInt(person.id.slice(0, 4), 16) % HUES));
  return made;
}

export const bot = () => element("img", { class: "avatar", src: new URL("../../icon.svg", import.meta.url), alt: "", width: 40, height: 40 });

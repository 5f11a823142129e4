// Avatars of people and of the bot.

import { element } from "../shared/dom.js";

const HUES = 360;

export function avatar(person) {
  const letters = person.name.split(" ").map((word) => [...word][0] ?? "").join("");
  const circle = element("span", { class: "avatar", "aria-hidden": "true" }, [...letters].slice(0, 2).join("").toUpperCase() || "?");
  circle.style.setProperty("--hue", String(Number.parseInt(person.id.slice(0, 4), 16) % HUES));
  return circle;
}

export const botAvatar = () => element("img", { class: "avatar", src: new URL("../../icon.svg", import.meta.url), alt: "", width: 40, height: 40 });

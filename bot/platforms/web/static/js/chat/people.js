// Avatars of people and of the bot, and the badge of moderators.

import { element, icon } from "../shared/dom.js";
import { t } from "../shared/words.js";

const HUES = 360;

export function avatar(person) {
  const letters = person.name.split(" ").map((word) => [...word][0] ?? "").join("");
  const circle = element("span", { class: "avatar", "aria-hidden": "true" }, [...letters].slice(0, 2).join("").toUpperCase() || "?");
  circle.style.setProperty("--hue", String(Number.parseInt(person.id.slice(0, 4), 16) % HUES));
  return circle;
}

export const botAvatar = () => element("img", { class: "avatar", src: new URL("../../icon.svg", import.meta.url), alt: "", width: 40, height: 40 });

// The badge that stands beside a moderator's name: a shape and a word. No name can hold such a sign.
export const badge = () => element("span", { class: "badge moderator" }, icon("shield"), t("Moderator"));

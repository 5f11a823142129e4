// The card of presets: each first says what it would change, and the newest one can be taken back.

import { byId, element } from "../shared/dom.js";
import { fill } from "./fill.js";
import { formatValue } from "../shared/names.js";
import { t } from "../shared/words.js";

// The name of the preset whose changes are shown.
let opened = "";

export function showPresets(rules, desk) {
  const newest = rules.presets.find(({ name }) => name === rules.applied);
  const back = newest && element("div", { class: "applied" },
    element("p", {}, t("“{preset}” was applied here.", { preset: newest.title })),
    element("button", { id: "take-back", type: "button", class: "secondary", "aria-label": `${t("Take it back")}: ${newest.title}`, onclick: () => desk.order("preset", { name: null }) }, t("Take it back")));
  fill(byId("presets"), back, element("ul", { class: "presets" }, ...rules.presets.map((preset) => item(preset, rules, desk))));
}

function item(preset, rules, desk) {
  const { name, title, about } = preset, isOpen = opened === name;
  const label = isOpen ? t("Close") : t("Choose …");
  const toggle = () => {
    opened = isOpen ? "" : name;
    showPresets(rules, desk);
  };
  const head = element("div", { class: "row" },
    element("div", {}, element("h3", {}, title), element("p", { class: "about" }, about)),
    element("button", { id: `preset-${name}`, type: "button", class: "secondary", "aria-expanded": String(isOpen), "aria-label": `${label}: ${title}`, onclick: toggle }, label));
  return element("li", {}, head, ...isOpen ? [preview(preset, rules, desk)] : []);
}

function preview({ name, title, changes }, rules, desk) {
  const apply = async () => {
    opened = "";
    // At once, so that the page does not become shorter later, under somebody who reads on.
    showPresets(rules, desk);
    byId(`preset-${name}`).focus();
    if (await desk.order("preset", { name })) byId("take-back")?.scrollIntoView({ block: "nearest" });
  };
  if (!changes.length) return element("p", { class: "about" }, t("All of this is set already."));
  return element("div", { class: "preview" },
    element("table", {},
      element("caption", { class: "unseen" }, t("What changes")),
      element("thead", {}, element("tr", {}, ...[t("Setting"), t("Now"), t("Then")].map((word) => element("th", { scope: "col" }, word)))),
      element("tbody", {}, ...changes.map((one) => element("tr", {}, element("th", { scope: "row" }, one.about), element("td", {}, formatValue(one.before)), element("td", {}, formatValue(one.after)))))),
    element("button", { id: `apply-${name}`, type: "button", class: "primary", "aria-label": `${t("Apply it")}: ${title}`, onclick: apply }, t("Apply it")));
}

// How the page looks: light or dark, and large for a projector. Kept in this browser; theme.js reads it again.

import { byId, drawn, element } from "./dom.js";
import { t } from "./words.js";

const CHOICES = {
  theme: ["tempera-theme", () => t("Colours"), [["", () => t("As the system")], ["light", () => t("Light")], ["dark", () => t("Dark")]]],
  size: ["tempera-size", () => t("Size"), [["", () => t("Normal")], ["projector", () => t("Projector")]]],
};

export function set(name, value) {
  const [key] = CHOICES[name];
  if (value) {
    document.documentElement.dataset[name] = value;
    localStorage.setItem(key, value);
  } else {
    delete document.documentElement.dataset[name];
    localStorage.removeItem(key);
  }
  show();
  // What measures itself when the window changes has to do so now, too.
  window.dispatchEvent(new Event("resize"));
}

// Fills the panel #look, and makes #projector a switch; both may be missing on a page.
export function show() {
  const now = document.documentElement.dataset;
  const projector = byId("projector");
  projector?.setAttribute("aria-pressed", String(now.size === "projector"));
  for (const input of byId("look")?.querySelectorAll("input") ?? []) input.checked = (now[input.name] ?? "") === input.value;
}

export function begin() {
  const panel = byId("look"), projector = byId("projector");
  panel?.prepend(...Object.entries(CHOICES).map(([name, [, title, values]]) => element("fieldset", {},
    element("legend", {}, title()),
    ...values.map(([value, label]) => element("label", {},
      element("input", { type: "radio", name, value, onchange: () => set(name, value) }), label())))));
  if (byId("look-button")) drawn(byId("look-button"), "look", t("Appearance"));
  if (projector) {
    drawn(projector, "projector", t("Large type for a projector"));
    projector.addEventListener("click", () => set("size", document.documentElement.dataset.size ? "" : "projector"));
  }
  show();
}

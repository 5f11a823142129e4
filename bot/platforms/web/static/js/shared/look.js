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
  // Where style.css has only the light colours there are none to choose.
  const isTwofold = CSS.supports("color", "light-dark(#000, #fff)");
  panel?.prepend(...Object.entries(CHOICES).filter(([name]) => isTwofold || name !== "theme").map(([name, [, title, values]]) => element("fieldset", {},
    element("legend", {}, title()),
    ...values.map(([value, label]) => element("label", {},
      element("input", { type: "radio", name, value, onchange: () => set(name, value) }), label())))));
  if (panel) {
    drawn(byId("look-button"), "look", t("Appearance"));
    if (!panel.showPopover) openByHand(panel, byId("look-button"));
  }
  if (projector) {
    drawn(projector, "projector", t("Large type for a projector"));
    projector.addEventListener("click", () => set("size", document.documentElement.dataset.size ? "" : "projector"));
  }
  show();
}

// Browsers of some years ago know no popovers.
function openByHand(panel, button) {
  const open = (wanted) => {
    panel.hidden = !wanted;
    button.setAttribute("aria-expanded", String(wanted));
    if (wanted) panel.querySelector("input").focus();
  };
  panel.hidePopover = () => open(false);
  button.addEventListener("click", () => open(panel.hidden));
  document.addEventListener("click", ({ target }) => { if (!panel.contains(target) && !button.contains(target)) open(false); });
  document.addEventListener("keydown", ({ key }) => { if (key === "Escape" && !panel.hidden) { open(false); button.focus(); } });
  open(false);
}

// The appearance of the page: light or dark, and large for a projector. The browser stores it, the size for this
// tab alone, since a teacher has other pages open beside the one on the projector; first.js restores it.

import { chatAddress, openingRoom } from "./address.js";
import { byId, element, setIcon } from "./dom.js";
import { t } from "./words.js";

const CHOICES = {
  theme: [localStorage, "tempera-theme", () => t("Colours"), [["", () => t("As the system")], ["light", () => t("Light")], ["dark", () => t("Dark")]]],
  size: [sessionStorage, "tempera-size", () => t("Size"), [["", () => t("Normal")], ["projector", () => t("Projector")]]],
};

export function set(name, value) {
  const [kept, key] = CHOICES[name];
  if (value) {
    document.documentElement.dataset[name] = value;
    kept.setItem(key, value);
  } else {
    delete document.documentElement.dataset[name];
    kept.removeItem(key);
  }
  show();
  // Elements that measure themselves when the window is resized have to do so now, too.
  window.dispatchEvent(new Event("resize"));
}

// Shows the present choice in the panel #look and on the button #projector; a page may lack either.
export function show() {
  const now = document.documentElement.dataset;
  const projector = byId("projector");
  projector?.setAttribute("aria-pressed", String(now.size === "projector"));
  for (const input of byId("look")?.querySelectorAll("input") ?? []) input.checked = (now[input.name] ?? "") === input.value;
}

export function begin() {
  const panel = byId("look"), projector = byId("projector");
  // In browsers without light-dark(), style.css has only the light colours, so there is no choice.
  const hasDark = CSS.supports("color", "light-dark(#000, #fff)");
  panel?.prepend(...Object.entries(CHOICES).filter(([name]) => hasDark || name !== "theme").map(([name, [, , title, values]]) => element("fieldset", {},
    element("legend", {}, title()),
    ...values.map(([value, label]) => element("label", {},
      element("input", { type: "radio", name, value, onchange: () => set(name, value) }), label())))));
  if (panel) {
    setIcon(byId("look-button"), "look", t("Appearance"));
    if (!panel.showPopover) emulatePopover(panel, byId("look-button"));
  }
  const home = byId("home"), room = openingRoom();
  if (home) home.href = chatAddress();
  if (home && /^[a-z0-9]/.test(room)) home.querySelector("span").textContent = t("Back to {room}", { room });
  if (projector) {
    setIcon(projector, "projector", t("Large type for a projector"));
    projector.addEventListener("click", () => set("size", document.documentElement.dataset.size ? "" : "projector"));
  }
  show();
}

// Opens and closes the panel in older browsers, which have no popovers.
function emulatePopover(panel, button) {
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

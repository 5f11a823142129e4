// The picture viewer: shows one picture large or on the whole screen, and offers it for download.

import { byId, element, icon, setIcon } from "../shared/dom.js";
import { t } from "../shared/words.js";

const viewer = byId("viewer");
// The element inside the dialog, since browsers do not let a dialog itself fill the screen.
const inside = byId("viewer-inside");

export function open(picture) {
  const image = byId("viewer-picture");
  image.src = picture.url;
  image.alt = picture.alt || picture.name;
  byId("viewer-text").textContent = picture.alt;
  byId("viewer-tools").replaceChildren(
    ...(document.fullscreenEnabled ? [fullScreenButton()] : []),
    element("a", { class: "icon", href: picture.url, download: picture.name, "aria-label": t("Download"), title: t("Download") }, icon("download")),
    setIcon(element("button", { type: "button", class: "icon", onclick: () => viewer.close() }), "close", t("Close")));
  viewer.showModal();
}

const fullScreenButton = () => setIcon(
  element("button", { type: "button", class: "icon", onclick: () => inside.requestFullscreen() }), "full", t("Full screen"));

viewer.addEventListener("click", (event) => { if (event.target === viewer) viewer.close(); });
viewer.addEventListener("close", () => { if (document.fullscreenElement) document.exitFullscreen(); });

// A picture by itself: large, on the whole screen, or as a file.

import { byId, drawn, element, icon } from "../shared/dom.js";
import { t } from "../shared/words.js";

const viewer = byId("viewer");
// The standard lets no dialog fill the screen.
const inside = byId("viewer-inside");

export function open(picture) {
  const image = byId("viewer-picture");
  image.src = picture.url;
  image.alt = picture.alt || picture.name;
  byId("viewer-text").textContent = picture.alt;
  byId("viewer-tools").replaceChildren(
    ...(document.fullscreenEnabled ? [full()] : []),
    element("a", { class: "icon", href: picture.url, download: picture.name, "aria-label": t("Download"), title: t("Download") }, icon("download")),
    drawn(element("button", { type: "button", class: "icon", onclick: () => viewer.close() }), "close", t("Close")));
  viewer.showModal();
}

const full = () => drawn(
  element("button", { type: "button", class: "icon", onclick: () => inside.requestFullscreen() }), "full", t("Full screen"));

viewer.addEventListener("click", (event) => { if (event.target === viewer) viewer.close(); });
viewer.addEventListener("close", () => { if (document.fullscreenElement) document.exitFullscreen(); });

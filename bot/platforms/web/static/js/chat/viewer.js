// The picture viewer: shows a picture, or one of those that it consists of, large or on the whole screen.

import { byId, element, icon, setIcon } from "../shared/dom.js";
import { t } from "../shared/words.js";

const viewer = byId("viewer");
// The element inside the dialog, since browsers do not let a dialog itself fill the screen.
const inside = byId("viewer-inside");

// The gap between the pictures of a grid, in pixels.
const GAP = 4;

// Shows a picture. With `part` it is only the one with this `number` of the `count` in the grid, and `part.actions` has
// what can be done with it, as {label, press()}.
export async function open(picture, part = null) {
  const image = byId("viewer-picture"), cut = byId("viewer-part");
  image.src = picture.url;
  image.alt = picture.alt || picture.name;
  image.hidden = Boolean(part);
  cut.hidden = !part;
  const text = part ? t("Picture {number} of {count}", part) : picture.alt;
  byId("viewer-text").textContent = text;
  byId("viewer-actions").replaceChildren(...(part?.actions ?? []).map(({ label, press }) => (
    element("button", { type: "button", onclick: () => { viewer.close(); press(); } }, label))));
  byId("viewer-tools").replaceChildren(
    ...(document.fullscreenEnabled ? [fullScreenButton()] : []),
    ...(part ? [] : [element("a", { class: "icon", href: picture.url, download: picture.name, "aria-label": t("Download"), title: t("Download") }, icon("download"))]),
    setIcon(element("button", { type: "button", class: "icon", onclick: () => viewer.close() }), "close", t("Close")));
  viewer.showModal();
  if (!part) return;
  cut.setAttribute("aria-label", text);
  await image.decode();
  const columns = Math.ceil(Math.sqrt(part.count)), rows = Math.ceil(part.count / columns), place = part.number - 1;
  cut.width = (image.naturalWidth + GAP) / columns - GAP;
  cut.height = (image.naturalHeight + GAP) / rows - GAP;
  cut.getContext("2d").drawImage(image, -(place % columns) * (cut.width + GAP), -Math.floor(place / columns) * (cut.height + GAP));
}

const fullScreenButton = () => setIcon(
  element("button", { type: "button", class: "icon", onclick: () => inside.requestFullscreen() }), "full", t("Full screen"));

viewer.addEventListener("click", (event) => { if (event.target === viewer) viewer.close(); });
viewer.addEventListener("close", () => { if (document.fullscreenElement) document.exitFullscreen(); });

// The rail at the left: rooms, pages and the visitor's name. On a narrow screen it slides in over the messages.

import { byId, element, icon, setIcon } from "../shared/dom.js";
import { avatar } from "./people.js";
import { t } from "../shared/words.js";

const rail = byId("rail"), menu = byId("menu"), veil = byId("veil");
const narrow = matchMedia("(max-width: 52rem)");
const unread = new Set();
let shown = { rooms: [], room: "", own: "", you: null };

// `actions` has rename(), signOut(), makeRoom() and closeRoom(name).
export function begin(actions) {
  setIcon(menu, "menu", t("Rooms and pages"));
  setIcon(byId("make-room"), "plus", t("Open a room"));
  menu.addEventListener("click", () => open(menu.getAttribute("aria-expanded") === "false"));
  veil.addEventListener("click", () => open(false));
  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape" && menu.getAttribute("aria-expanded") === "true") { open(false); menu.focus(); }
  });
  rail.addEventListener("click", (event) => { if (event.target.closest("a")) open(false); });
  narrow.addEventListener("change", () => open(false));
  byId("who").addEventListener("click", actions.rename);
  byId("make-room").addEventListener("click", actions.makeRoom);
  byId("sign-out").addEventListener("click", actions.signOut);
  rail.addEventListener("click", (event) => {
    const closing = event.target.closest("[data-close]");
    if (closing) actions.closeRoom(closing.dataset.close);
  });
  open(false);
}

// Shows what has changed: any of rooms, room, links, you, and own, the name of the visitor's private place.
export function show(changes) {
  shown = { ...shown, ...changes };
  unread.delete(shown.room);
  replaceItems(byId("rooms"), [...(shown.own ? [shown.own] : []), ...shown.rooms].map((name) => roomItem(name)));
  if (changes.links) {
    replaceItems(byId("pages"), changes.links.map(({ url, label }) => element("li", {},
      element("a", { href: url }, icon(iconFor(url)), element("span", {}, label)))));
  }
  if (!shown.you) return;
  const who = byId("who");
  const role = shown.you.moderator ? t("Moderator") : t("Change your name");
  who.replaceChildren(avatar(shown.you), element("span", {}, element("b", {}, shown.you.name), element("small", {}, shown.you.moderator ? icon("shield") : null, role)));
  who.hidden = false;
  byId("make-room").hidden = byId("sign-out").hidden = !shown.you.moderator;
}

// Marks a room as unread.
export function markUnread(name) {
  if (unread.has(name)) return;
  unread.add(name);
  show({});
}

// Replaces the items of a list. The keyboard focus stays on the item with the same link or button, or else goes to the
// link to what is shown, or to the first one.
function replaceItems(list, items) {
  const focused = list.contains(document.activeElement) ? document.activeElement : null;
  list.replaceChildren(...items);
  if (!focused) return;
  const all = [...list.querySelectorAll("a, button")];
  (all.find((one) => one.href === focused.href && one.dataset.close === focused.dataset.close) ?? list.querySelector("[aria-current]") ?? all[0])?.focus();
}

function roomItem(name) {
  const here = name === shown.room, isNew = unread.has(name);
  const link = element("a", { href: `#${encodeURIComponent(name)}`, "aria-current": here ? "page" : null, class: isNew ? "unread" : null },
    icon(name === shown.own ? "person" : "room"), element("span", {}, name === shown.own ? t("Just me") : name), isNew ? element("span", { class: "unseen" }, t("unread")) : null);
  const closes = shown.you?.moderator && name !== "general" && name !== shown.own;
  const close = closes && setIcon(element("button", { type: "button", class: "icon", "data-close": name }), "close", t("Close the room {room}", { room: name }));
  return element("li", {}, link, close || null);
}

function iconFor(url) {
  if (url.startsWith("/class")) return "class";
  if (url.startsWith("/dial")) return "dial";
  if (url.startsWith("/duel")) return "eye";
  if (url.startsWith("/read")) return "lesson";
  if (url.startsWith("/people")) return "people";
  if (url.startsWith("/private")) return "person";
  return url.startsWith("/settings") ? "settings" : "chart";
}

// Slides the rail in or out; only a narrow screen shows the difference.
function open(isOpen) {
  menu.setAttribute("aria-expanded", String(isOpen));
  rail.classList.toggle("open", isOpen);
  veil.hidden = !isOpen;
  // A rail that is off the screen must not be reached by the keyboard.
  rail.inert = narrow.matches && !isOpen;
  if (isOpen) rail.querySelector("a, button").focus();
}

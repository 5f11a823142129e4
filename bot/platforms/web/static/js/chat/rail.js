// The rail at the left: rooms, pages, and who you are. On a narrow screen it slides in over the messages.

import { byId, drawn, element, icon } from "../shared/dom.js";
import { avatar } from "./people.js";
import { t } from "../shared/words.js";

const rail = byId("rail"), menu = byId("menu"), veil = byId("veil");
const narrow = matchMedia("(max-width: 52rem)");
const unread = new Set();
let shown = { rooms: [], room: "", you: null };

// `actions` has rename(), signOut(), makeRoom() and closeRoom(name).
export function begin(actions) {
  drawn(menu, "menu", t("Rooms and pages"));
  drawn(byId("make-room"), "plus", t("Open a room"));
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

export function show(news) {
  shown = { ...shown, ...news };
  unread.delete(shown.room);
  fill(byId("rooms"), shown.rooms.map((name) => place(name)));
  if (news.links) {
    fill(byId("pages"), news.links.map(({ url, label }) => element("li", {},
      element("a", { href: url }, icon(pictured(url)), element("span", {}, label)))));
  }
  if (!shown.you) return;
  const who = byId("who");
  const role = shown.you.moderator ? t("Moderator") : t("Change your name");
  who.replaceChildren(avatar(shown.you), element("span", {}, element("b", {}, shown.you.name), element("small", {}, role)));
  who.hidden = false;
  byId("make-room").hidden = byId("sign-out").hidden = !shown.you.moderator;
}

export function spoken(name) {
  if (unread.has(name)) return;
  unread.add(name);
  show({});
}

// Makes a list anew. Whoever stands in it by keyboard stays at what leads to the same, or in the list.
function fill(list, items) {
  const focused = list.contains(document.activeElement) ? document.activeElement : null;
  list.replaceChildren(...items);
  if (!focused) return;
  const all = [...list.querySelectorAll("a, button")];
  (all.find((one) => one.href === focused.href && one.dataset.close === focused.dataset.close) ?? all[0])?.focus();
}

function place(name) {
  const here = name === shown.room, isNew = unread.has(name);
  const link = element("a", { href: `#${encodeURIComponent(name)}`, "aria-current": here ? "page" : null, class: isNew ? "unread" : null },
    icon("room"), element("span", {}, name), isNew ? element("span", { class: "unseen" }, t("unread")) : null);
  const closes = shown.you?.moderator && name !== "general";
  const close = closes && drawn(element("button", { type: "button", class: "icon", "data-close": name }), "close", t("Close the room {room}", { room: name }));
  return element("li", {}, link, close || null);
}

function pictured(url) {
  if (url.startsWith("/dial")) return "dial";
  if (url.startsWith("/read")) return "lesson";
  return url.startsWith("/settings") ? "settings" : "chart";
}

function open(wanted) {
  menu.setAttribute("aria-expanded", String(wanted));
  rail.classList.toggle("open", wanted);
  veil.hidden = !wanted;
  // What is off the screen must not be reached by the keyboard.
  rail.inert = narrow.matches && !wanted;
  if (wanted) rail.querySelector("a, button").focus();
}

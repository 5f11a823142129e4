// What can be done with an answer: the most useful three actions as buttons, all others in a menu behind “…”.

import { element, icon, setIcon } from "../shared/dom.js";
import { t } from "../shared/words.js";

const SHOWN = 3;
// The end of the menu, after everything else.
const LAST = ["up", "down", "delete"];

let open = null;
document.addEventListener("click", ({ target }) => { if (open && !open.root.contains(target)) open.close(); });
document.addEventListener("keydown", (event) => {
  if (event.key !== "Escape" || !open) return;
  const { more } = open;
  open.close();
  more.focus();
});

export class Actions {
  constructor() {
    this.buttons = element("div", { class: "buttons" });
    this.more = setIcon(element("button", {
      type: "button", class: "icon more-actions", "aria-expanded": "false", hidden: true, onclick: () => (open === this ? this.close() : this.#open()),
    }), "more", t("More actions"));
    this.menu = element("div", { class: "menu-of-actions", role: "group", "aria-label": t("More actions"), hidden: true });
    this.menu.addEventListener("keydown", (event) => this.#onKey(event));
    this.root = element("div", { class: "actions" }, this.buttons, this.more, this.menu);
  }

  // Shows actions: {name, label, press()} and, as far as it has them, `title`, `icon`, `style`; `sign` is shown in place
  // of an icon. With `isShown` it is a button in any case, with `isPage` one beside the three, and with `isAside` none, since a
  // whole class may look on; the others are chosen by `useful`, a list of names. Without press() it cannot be pressed now. The
  // keyboard focus stays on the same action; if that is gone, it moves to `fallback`, so that the next key does not press
  // another one.
  show(actions, useful, fallback) {
    const focused = this.root.contains(document.activeElement) ? document.activeElement : null;
    const free = Math.max(0, SHOWN - actions.filter(({ isShown, isPage }) => isShown && !isPage).length);
    const shown = new Set(actions.filter(({ isShown }) => isShown).map(({ name }) => name));
    const next = useful.filter((name) => actions.some((one) => one.name === name) && !shown.has(name));
    // A menu of one is shown as a button.
    const isWhole = actions.length - shown.size <= free && !actions.some(({ isAside }) => isAside);
    for (const name of isWhole ? actions.map((one) => one.name) : next.slice(0, free)) shown.add(name);
    this.buttons.replaceChildren(...actions.filter(({ name }) => shown.has(name)).map((action) => this.#button(action)));
    const hidden = actions.filter(({ name }) => !shown.has(name)).sort((a, b) => LAST.indexOf(a.name) - LAST.indexOf(b.name));
    this.menu.replaceChildren(...hidden.map((action) => this.#item(action)));
    this.more.hidden = !hidden.length;
    if (!hidden.length) this.close();
    if (!focused || this.root.contains(document.activeElement)) return;
    const now = [...this.root.querySelectorAll("button[data-name]")], { dataset, textContent } = focused;
    const same = now.find((one) => one.dataset.name === dataset.name) ?? now.find((one) => one.textContent === textContent);
    (same && this.menu.hidden && this.menu.contains(same) ? this.more : same ?? fallback).focus();
  }

  // Puts the keyboard focus on the action of this name, or on “…” if the menu has it.
  focus(name) {
    const found = this.root.querySelector(`button[data-name="${name}"]`);
    (found && !this.menu.contains(found) ? found : this.more).focus();
  }

  close() {
    if (open === this) open = null;
    this.menu.hidden = true;
    this.more.setAttribute("aria-expanded", "false");
  }

  #open() {
    open?.close();
    open = this;
    this.menu.hidden = false;
    this.more.setAttribute("aria-expanded", "true");
    // Upwards, unless it would begin above the messages.
    const room = this.root.getBoundingClientRect().top - this.root.closest("main").getBoundingClientRect().top;
    this.menu.classList.toggle("below", room < this.menu.offsetHeight + 8);
    this.menu.firstChild.focus();
  }

  #button({ name, label, title, style, press }) {
    return element("button", { type: "button", class: style, "data-name": name, title, disabled: !press, onclick: press }, label);
  }

  #item({ name, label, title, icon: drawn = "forward", sign, style, press }) {
    const choose = () => {
      this.close();
      this.more.focus();
      press();
    };
    return element("button", { type: "button", class: style, "data-name": name, onclick: choose },
      sign ? element("span", { class: "sign", "aria-hidden": "true" }, sign) : icon(drawn), element("span", {}, title ?? label));
  }

  #onKey(event) {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key], items = [...this.menu.children];
    if (!step) return;
    event.preventDefault();
    items.at((items.indexOf(document.activeElement) + step) % items.length).focus();
  }
}

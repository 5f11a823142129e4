// The message box: completes commands and options, and keeps what was typed until it has been taken.

import { hint, itemsOf, suggest } from "./completion.js";
import { mark } from "./connection.js";
import { byId, drawn, element } from "../shared/dom.js";
import { DRAFT, KEPT } from "../shared/draft.js";
import { Fields, isComposing } from "./fields.js";
import { upload } from "./upload.js";
import { t } from "../shared/words.js";

const MOST_TEXT = 64 * 1024;
const TALLEST = 200;
const TYPING_MS = 3000;

export class Composer {
  #commands = [];
  #found = null;
  #active = -1;
  #dismissed = false;
  #asked = "";
  #sent = null;
  #told = 0;
  #parent = 0;
  // What the bot calls the files that it has of the line.
  #names = new Map();
  #uploading = false;

  // `send(message)` returns whether it went out; `where()` gives the room and the thread that are shown.
  constructor({ send, where }) {
    this.send = send;
    this.where = where;
    this.input = byId("input");
    this.list = byId("suggestions");
    this.notice = byId("notice");
    this.input.value = sessionStorage.getItem(DRAFT) ?? "";
    this.fields = new Fields({ change: (line) => this.#rewrite(line), send: () => this.#submit() });
    drawn(byId("send"), "send", t("Send"));
    drawn(byId("slash"), "slash", t("Commands"));
    byId("slash").addEventListener("click", () => this.fill(this.input.value.startsWith("/") ? this.input.value : `/${this.input.value}`));
    this.input.addEventListener("input", () => { this.#dismissed = false; this.#changed(); this.#tellTyping(); });
    this.input.addEventListener("keydown", (event) => this.#key(event));
    this.input.addEventListener("click", () => this.#look());
    this.input.addEventListener("blur", () => this.#close());
    window.addEventListener("resize", () => this.#fit());
    byId("composer").addEventListener("submit", (event) => { event.preventDefault(); this.#submit(); });
    this.#changed();
    this.#close();
  }

  set commands(commands) {
    this.#commands = commands;
    this.fields.show(this.input.value, commands);
    if (document.activeElement === this.input) this.#look();
  }

  // The next message replies to the answer `row`, which says `text`; 0 is none.
  replyTo(row, text = "") {
    this.#parent = row;
    const line = byId("replying");
    line.hidden = !row;
    if (!row) return;
    const cancel = drawn(element("button", { type: "button", class: "icon", onclick: () => { this.replyTo(0); this.input.focus(); } }), "close", t("Do not reply"));
    line.replaceChildren(element("span", {}, t("Replying to"), " ", element("b", {}, "Tempera"), ` ${text.slice(0, 120)}`), cancel);
    this.input.focus();
  }

  // Put a line into the box, ready to be sent or changed.
  fill(line) {
    this.input.value = line;
    this.input.focus();
    this.input.setSelectionRange(line.length, line.length);
    this.#changed();
  }

  // The bot took the message `ref`.
  taken(ref) {
    if (this.#sent?.ref !== ref) return;
    if (this.input.value === this.#sent.text) {
      this.input.value = sessionStorage.getItem(KEPT) ?? "";
      sessionStorage.removeItem(KEPT);
    }
    this.#sent = null;
    this.replyTo(0);
    this.#told = 0;
    this.fields.forgetFiles();
    this.#names.clear();
    this.say("");
    this.#changed();
  }

  // The bot did not take the message `ref`, for this reason. Returns whether it was one of ours.
  refused(ref, text) {
    if (this.#sent?.ref !== ref) return false;
    this.#sent = null;
    // It may be that the bot has a file no longer.
    this.#names.clear();
    this.say(text);
    return true;
  }

  // The connection is back, in this room: what went out there without an answer goes out again, under the same mark.
  reconnected(room) {
    if (!this.#sent) return;
    const { room: sentIn, ...message } = this.#sent;
    if (sentIn === room && this.input.value === message.text) this.send({ type: "say", ...message });
    else this.#sent = null;
  }

  // Say something to the visitor, above the box; "" takes it back.
  say(text) {
    this.notice.textContent = text;
    this.notice.hidden = !text;
  }

  completed(ref, values) {
    if (ref !== this.#asked || !this.#found) return;
    const known = new Set(this.#found.items.map((item) => item.insert));
    const { isText, ask } = this.#found;
    const offered = itemsOf(values, isText).filter((item) => !known.has(item.insert) && !(isText && item.insert === ask.typed));
    this.#found.items.push(...offered);
    this.#show();
  }

  async #submit() {
    const text = this.input.value;
    if (!text.trim() || this.#uploading) return;
    if (text.length > MOST_TEXT) return this.say(t("A message may have {most} characters; this one has {count}.", { most: MOST_TEXT, count: text.length }));
    // The same text keeps its mark, so that a message whose answer was lost on the way is not said twice.
    const ref = this.#sent?.text === text ? this.#sent.ref : mark();
    const { room, thread } = this.where(), parent = this.#parent;
    this.#uploading = true;
    let files;
    try {
      files = await this.#upload();
    } catch (problem) {
      return this.say(problem.message);
    } finally {
      this.#uploading = false;
    }
    // What was sent in one room is not said in the one that was entered while its files went up.
    if (this.where().room !== room) return;
    const message = { text, ref, thread, parent, files };
    const out = this.send({ type: "say", ...message });
    // Of a line that went out before under the same mark the answer may still come.
    this.#sent = out || this.#sent?.ref === ref ? { room, ...message } : null;
    this.say(out ? "" : t("Not connected at the moment. Your message is kept here; send it when the connection is back."));
    this.#close();
  }

  // The names of the chosen files, each of which goes up once.
  async #upload() {
    const names = {};
    for (const [option, file] of this.fields.files) {
      if (!this.#names.has(file)) this.#names.set(file, await upload(file));
      names[option] = this.#names.get(file);
    }
    return names;
  }

  #key(event) {
    if (isComposing(event) || event.altKey || event.ctrlKey || event.metaKey) return;
    const open = !this.list.hidden;
    if (open && (event.key === "ArrowDown" || event.key === "ArrowUp")) {
      event.preventDefault();
      this.#move(event.key === "ArrowDown" ? 1 : -1);
    } else if (open && event.key === "Tab" && !event.shiftKey) {
      event.preventDefault();
      this.#accept(Math.max(this.#active, 0));
    } else if (open && event.key === "Escape") {
      event.preventDefault();
      this.#dismissed = true;
      this.#close();
    } else if (event.key === "Escape" && this.#parent) {
      this.replyTo(0);
    } else if (event.key === "Enter" && !event.shiftKey) {
      event.preventDefault();
      if (open && this.#active >= 0) this.#accept(this.#active);
      else this.#submit();
    }
  }

  #changed() {
    sessionStorage.setItem(DRAFT, this.input.value);
    this.fields.show(this.input.value, this.#commands);
    this.#fit();
    this.#look();
  }

  // A field changed the line; the box keeps what it shows, and the field its focus.
  #rewrite(line) {
    this.input.value = line;
    this.#dismissed = true;
    this.#changed();
  }

  #tellTyping() {
    if (!this.input.value || Date.now() - this.#told < TYPING_MS) return;
    this.#told = Date.now();
    this.send({ type: "typing" });
  }

  #fit() {
    this.input.style.height = "auto";
    this.input.style.height = `${Math.min(this.input.scrollHeight, TALLEST)}px`;
  }

  #look() {
    const before = this.input.value.slice(0, this.input.selectionStart);
    byId("hint").textContent = hint(before, this.#commands);
    this.#found = this.#dismissed ? null : suggest(before, this.#commands);
    this.#active = this.#found?.active ?? -1;
    if (this.#found?.ask) {
      this.#asked = `${this.#found.ask.option}:${this.#found.ask.typed}`.slice(0, 200);
      this.send({ type: "complete", ...this.#found.ask, typed: this.#found.ask.typed.slice(0, 200), ref: this.#asked });
    }
    this.#show();
  }

  #show() {
    const items = this.#found?.items ?? [];
    this.list.replaceChildren(...items.map((item, index) => element("li", {
      id: `suggestion-${index}`, role: "option", "aria-selected": String(index === this.#active),
      // Before the box loses its focus, which would close the list.
      onmousedown: (event) => { event.preventDefault(); this.#accept(index); },
    },
    element("span", { class: "label" }, item.label),
    element("span", { class: "detail" }, item.detail),
    element("span", { class: "aside" }, item.aside))));
    this.list.hidden = !items.length;
    this.#mark();
  }

  #mark() {
    const active = this.list.hidden ? null : this.list.children[this.#active];
    for (const item of this.list.children) item.setAttribute("aria-selected", String(item === active));
    if (active) this.input.setAttribute("aria-activedescendant", active.id);
    else this.input.removeAttribute("aria-activedescendant");
    active?.scrollIntoView({ block: "nearest" });
  }

  #move(step) {
    const count = this.list.children.length;
    this.#active = this.#active < 0 && step < 0 ? count - 1 : (this.#active + step + count) % count;
    this.#mark();
  }

  #accept(index) {
    const { start, items } = this.#found;
    const caret = this.input.selectionStart;
    const after = this.input.value.slice(caret);
    const before = this.input.value.slice(0, start) + items[index].insert;
    this.input.value = before + after.replace(/^ /, before.endsWith(" ") ? "" : " ");
    this.input.setSelectionRange(before.length, before.length);
    this.#changed();
  }

  #close() {
    this.list.hidden = true;
    this.input.removeAttribute("aria-activedescendant");
  }
}

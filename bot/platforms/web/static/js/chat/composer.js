// The message box: completes commands and options, and keeps what was typed until the bot has accepted it.

import { hint, suggest, toItems } from "./completion.js";
import { createRef } from "./connection.js";
import { byId, element, setIcon } from "../shared/dom.js";
import { DRAFT, KEPT, SENT } from "../shared/draft.js";
import { Fields, isComposing } from "./fields.js";
import { commandOf } from "./line.js";
import { AttachedFile, uploadFile } from "./upload.js";
import { t } from "../shared/words.js";

const MAX_TEXT = 64 * 1024;
const MAX_HEIGHT = 200;
const TYPING_MS = 3000;

export class Composer {
  #commands = [];
  #suggestion = null;
  #active = -1;
  #dismissed = false;
  #completionRef = "";
  #sent = null;
  #typingSentAt = 0;
  #parent = 0;
  // The names of files that were uploaded for this line, by file.
  #uploadNames = new Map();
  #uploading = false;

  // `send(message)` returns whether it was sent; `where()` returns the room and the thread that are shown; `usual` is as
  // for Fields.
  constructor({ send, where, usual }) {
    this.send = send;
    this.where = where;
    this.input = byId("input");
    this.list = byId("suggestions");
    this.notice = byId("notice");
    // Somebody may have begun to write while the scripts were loaded.
    this.input.value ||= sessionStorage.getItem(DRAFT) ?? "";
    this.attached = new AttachedFile(() => this.input.focus());
    this.fields = new Fields({ change: (line) => this.#setLine(line), send: () => this.#submit(), usual });
    setIcon(byId("send"), "send", t("Send"));
    setIcon(byId("slash"), "slash", t("Commands"));
    byId("slash").addEventListener("click", () => this.fill(this.input.value.startsWith("/") ? this.input.value : `/${this.input.value}`));
    this.input.addEventListener("input", () => { this.#dismissed = false; this.#onChange(); this.#tellTyping(); });
    this.input.addEventListener("keydown", (event) => this.#onKey(event));
    this.input.addEventListener("click", () => this.#suggest());
    this.input.addEventListener("blur", () => this.#close());
    window.addEventListener("resize", () => this.#fitHeight());
    byId("composer").addEventListener("submit", (event) => { event.preventDefault(); this.#submit(); });
    this.#onChange();
    this.#close();
  }

  set commands(commands) {
    this.#commands = commands;
    this.fields.show(this.input.value, commands);
    if (document.activeElement === this.input) this.#suggest();
  }

  // Makes the next message a reply to the answer `row`, whose text is `text`; 0 is no reply.
  replyTo(row, text = "") {
    this.#parent = row;
    const line = byId("replying");
    line.hidden = !row;
    if (!row) return;
    const cancel = setIcon(element("button", { type: "button", class: "icon", onclick: () => { this.replyTo(0); this.input.focus(); } }), "close", t("Do not reply"));
    line.replaceChildren(element("span", {}, t("Replying to"), " ", element("b", {}, "Tempera"), ` ${text.slice(0, 120)}`), cancel);
    this.input.focus();
  }

  // Puts a line into the box, ready to be sent or changed.
  fill(line) {
    this.input.value = line;
    this.input.focus();
    this.input.setSelectionRange(line.length, line.length);
    this.#onChange();
  }

  // The bot has accepted the message `ref`.
  onAccepted(ref) {
    if (this.#sent?.ref !== ref) return;
    if (this.input.value === this.#sent.text) {
      this.input.value = sessionStorage.getItem(KEPT) ?? "";
      sessionStorage.removeItem(KEPT);
    }
    this.#sent = null;
    this.replyTo(0);
    this.#typingSentAt = 0;
    this.fields.forgetFiles();
    this.attached.forget();
    this.#uploadNames.clear();
    this.showNotice("");
    this.#onChange();
  }

  // The bot has refused the message `ref`, for this reason. Returns whether it was sent from here.
  onRefused(ref, text) {
    if (this.#sent?.ref !== ref) return false;
    this.#sent = null;
    // The bot may no longer have the files.
    this.#uploadNames.clear();
    this.showNotice(text);
    return true;
  }

  // Sends a message that was not answered again after a reconnection to its room, with the same reference, or for the
  // first time one that was written before a room was entered.
  resend(room) {
    if (!this.#sent) return;
    const { room: sentIn, ...message } = this.#sent;
    if ((sentIn || room) === room && this.input.value === message.text) this.send({ type: "say", again: true, ...message });
    else this.#sent = null;
  }

  // Shows a notice above the box; "" hides it.
  showNotice(text) {
    this.notice.textContent = text;
    this.notice.hidden = !text;
  }

  // Adds values that the bot suggests to the list.
  showCompletions(ref, values) {
    if (ref !== this.#completionRef || !this.#suggestion) return;
    const known = new Set(this.#suggestion.items.map((item) => item.insert));
    const { isText, ask } = this.#suggestion;
    const offered = toItems(values, isText).filter((item) => !known.has(item.insert) && !(isText && item.insert === ask.typed));
    this.#suggestion.items.push(...offered);
    this.#show();
  }

  async #submit() {
    const text = this.input.value;
    if (!text.trim() || this.#uploading) return;
    if (text.length > MAX_TEXT) return this.showNotice(t("A message may have {most} characters; this one has {count}.", { most: MAX_TEXT, count: text.length }));
    // The same text keeps its reference, so that a message whose acceptance was lost on the way is not answered twice.
    const again = this.#sent?.text === text, ref = again ? this.#sent.ref : createRef();
    const { room, thread } = this.where(), parent = this.#parent;
    this.#uploading = true;
    let files;
    try {
      files = await this.#upload();
    } catch (problem) {
      return this.showNotice(problem.message);
    } finally {
      this.#uploading = false;
    }
    // Not if another room was entered while the files were uploaded.
    if (this.where().room !== room) return;
    const message = { text, ref, thread, parent, files };
    const isSent = room !== "" && this.send({ type: "say", ...message, ...(again && { again }) });
    sessionStorage.setItem(SENT, text);
    // If this line was sent before with the same reference, the bot may still answer that.
    this.#sent = isSent || room === "" || this.#sent?.ref === ref ? { room, ...message } : null;
    this.showNotice(isSent || room === "" ? "" : t("Not connected at the moment. Your message is kept here; send it when the connection is back."));
    this.#close();
  }

  // Uploads the chosen files, each once, and returns their names by option.
  async #upload() {
    const names = {}, files = this.fields.files;
    if (this.attached.file) files.set(this.#optionForFile(files), this.attached.file);
    for (const [option, file] of files) {
      if (!this.#uploadNames.has(file)) this.#uploadNames.set(file, await uploadFile(file));
      names[option] = this.#uploadNames.get(file);
    }
    return names;
  }

  // Returns the option of the line's command that gets the attached file. A line without a command has only a question.
  #optionForFile(files) {
    const command = commandOf(`${this.input.value.trim()} `, this.#commands);
    if (!command) return "file";
    const option = command.options.find(({ kind, name }) => kind === "attachment" && !files.has(name));
    if (!option) throw new Error(t("/{command} takes no file.", { command: command.name }));
    return option.name;
  }

  #onKey(event) {
    if (isComposing(event) || event.altKey || event.ctrlKey || event.metaKey) return;
    const open = !this.list.hidden;
    if (open && (event.key === "ArrowDown" || event.key === "ArrowUp")) {
      event.preventDefault();
      this.#moveActive(event.key === "ArrowDown" ? 1 : -1);
    } else if (open && event.key === "Tab" && !event.shiftKey) {
      event.preventDefault();
      this.#accept(Math.max(this.#active, 0));
    } else if (open && event.key === "Escape") {
      event.preventDefault();
      this.#dismissed = true;
      this.#close();
    } else if (event.key === "ArrowUp" && !this.input.value && sessionStorage.getItem(SENT)) {
      event.preventDefault();
      this.#dismissed = true;
      this.fill(sessionStorage.getItem(SENT));
    } else if (event.key === "ArrowUp" && this.input.value && this.input.value === this.#sent?.text) {
      // The answer may be there before the bot has accepted the line, which then comes back instead of leaving.
      event.preventDefault();
      this.#dismissed = true;
      sessionStorage.setItem(KEPT, this.input.value);
    } else if (event.key === "Escape" && this.#parent) {
      this.replyTo(0);
    } else if (event.key === "Enter" && !event.shiftKey) {
      event.preventDefault();
      if (open && this.#active >= 0) this.#accept(this.#active);
      else this.#submit();
    }
  }

  #onChange() {
    sessionStorage.setItem(DRAFT, this.input.value);
    this.fields.show(this.input.value, this.#commands);
    this.#fitHeight();
    this.#suggest();
  }

  // A field has changed the line. No completions open, and the field keeps the focus.
  #setLine(line) {
    this.input.value = line;
    this.#dismissed = true;
    this.#onChange();
  }

  #tellTyping() {
    if (!this.input.value || Date.now() - this.#typingSentAt < TYPING_MS) return;
    this.#typingSentAt = Date.now();
    this.send({ type: "typing" });
  }

  #fitHeight() {
    this.input.style.height = "auto";
    this.input.style.height = `${Math.min(this.input.scrollHeight, MAX_HEIGHT)}px`;
  }

  #suggest() {
    const before = this.input.value.slice(0, this.input.selectionStart);
    byId("hint").textContent = hint(before, this.#commands);
    this.#suggestion = this.#dismissed ? null : suggest(before, this.#commands);
    this.#active = this.#suggestion?.active ?? -1;
    if (this.#suggestion?.ask) {
      this.#completionRef = `${this.#suggestion.ask.option}:${this.#suggestion.ask.typed}`.slice(0, 200);
      this.send({ type: "complete", ...this.#suggestion.ask, typed: this.#suggestion.ask.typed.slice(0, 200), ref: this.#completionRef });
    }
    this.#show();
  }

  #show() {
    const items = this.#suggestion?.items ?? [];
    this.list.replaceChildren(...items.map((item, index) => element("li", {
      id: `suggestion-${index}`, role: "option", "aria-selected": String(index === this.#active),
      // On mousedown, since the box loses its focus before a click, which would close the list.
      onmousedown: (event) => { event.preventDefault(); this.#accept(index); },
    },
    element("span", { class: "label" }, item.label),
    element("span", { class: "detail" }, item.detail),
    element("span", { class: "aside" }, item.aside))));
    this.list.hidden = !items.length;
    this.#markActive();
  }

  #markActive() {
    const active = this.list.hidden ? null : this.list.children[this.#active];
    for (const item of this.list.children) item.setAttribute("aria-selected", String(item === active));
    if (active) this.input.setAttribute("aria-activedescendant", active.id);
    else this.input.removeAttribute("aria-activedescendant");
    active?.scrollIntoView({ block: "nearest" });
  }

  #moveActive(step) {
    const count = this.list.children.length;
    this.#active = this.#active < 0 && step < 0 ? count - 1 : (this.#active + step + count) % count;
    this.#markActive();
  }

  #accept(index) {
    const { start, items } = this.#suggestion;
    const caret = this.input.selectionStart;
    const after = this.input.value.slice(caret);
    const before = this.input.value.slice(0, start) + items[index].insert;
    this.input.value = before + after.replace(/^ /, before.endsWith(" ") ? "" : " ");
    this.input.setSelectionRange(before.length, before.length);
    this.#onChange();
  }

  #close() {
    this.list.hidden = true;
    this.input.removeAttribute("aria-activedescendant");
  }
}

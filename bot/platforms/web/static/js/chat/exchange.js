// The view of one exchange: a question with the bot's reply under it. `update` shows the newest state.

import { Actions } from "./actions.js";
import { Columns } from "./columns.js";
import { copyText } from "../shared/copy.js";
import { element, icon, setIcon } from "../shared/dom.js";
import { showHeat } from "../shared/heat.js";
import { loadLater } from "../shared/later.js";
import { Markdown, MARKS } from "../shared/markdown.js";
import { avatar, badge, botAvatar } from "./people.js";
import { shownValue } from "../shared/names.js";
import { withLocalTimes } from "../shared/times.js";
import { t, tn } from "../shared/words.js";

const VOTES = { up: { sign: "👍", title: t("A good answer") }, down: { sign: "👎", title: t("Not a good answer") } };
const ICONS = { again: "reset", cooler: "cooler", warmer: "warmer", edit: "pen", delete: "bin" };
// Buttons that turn the pages of an answer. Where some of them are missing, as on the first page, they are shown as
// disabled, so that the others keep their places.
const PAGE_BUTTONS = ["◀◀", "◀", "▶", "▶▶"];
const LONG_QUESTION = 900, LONG_LINES = 12;
const time = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit" });

export class ExchangeView {
  #shown = {};
  // The number of the newest update of the pictures, and of the one that is shown.
  #pictureUpdate = 0;
  #shownPictureUpdate = 0;
  #markdown;
  #isLast = false;

  // `actions` has press(id, button), dismiss(id), open(picture), reply(view), thread(row), canInspect(), inspect(row), origin(row), tokens(view), moderates(),
  // remove(view) and timeOut(view).
  constructor(data, actions) {
    this.actions = actions;
    this.question = element("div", { class: "text" });
    this.more = element("div", { class: "more" });
    this.author = element("span", { class: "name" });
    this.badge = badge();
    this.above = element("div", { class: "above" });
    this.asked = element("div", { class: "question" },
      avatar(data.author),
      element("div", { class: "body" },
        element("p", { class: "by" }, this.author, this.badge, timeOf(data)),
        this.question, this.more));
    this.quote = element("p", { class: "quote" });
    this.text = element("div", { class: "markdown" });
    this.#markdown = new Markdown(this.text);
    this.lab = element("div", { class: "lab" });
    this.pictures = element("div", { class: "pictures" });
    this.files = element("ul", { class: "files" });
    this.status = element("p", { class: "status" });
    this.card = element("dl", { class: "card" });
    this.bar = new Actions();
    this.replies = element("div", { class: "replies" });
    this.marked = element("p", { class: "private", hidden: true }, icon("hidden"),
      element("span", {}, data.for_moderators ? t("Only moderators can see this") : t("Only you can see this")));
    this.dismiss = setIcon(element("button", { type: "button", class: "icon", onclick: () => this.actions.dismiss(this.data.id) }), "close", t("Dismiss this"));
    this.marked.append(this.dismiss);
    this.reply = element("div", { class: "reply" }, botAvatar(),
      element("div", { class: "body" },
        element("p", { class: "by" }, element("span", { class: "name" }, "Tempera"), element("span", { class: "badge" }, t("bot")), this.marked),
        this.quote, this.text, this.lab, this.pictures, this.files, this.status, this.card,
        this.bar.root, this.replies));
    this.root = element("li", { class: "exchange", tabindex: -1 }, this.above, this.asked, this.reply);
    if (data.announcement) this.#makeAnnouncement();
    this.update(data);
  }

  update(data) {
    const pressed = this.bar.root.contains(document.activeElement) ? document.activeElement : null;
    const top = pressed?.getBoundingClientRect().top;
    this.#showNewest(data);
    const now = pressed && [...this.bar.buttons.children].find(({ textContent }) => textContent === pressed.textContent);
    // A page that is longer than the one before must not push the button from under the pointer.
    if (now && this.root.isConnected) this.root.closest("main").scrollTop += now.getBoundingClientRect().top - top;
  }

  #showNewest(data) {
    const { reply } = this.data = data;
    this.root.classList.toggle("running", !reply.final);
    this.root.classList.toggle("failed", reply.error);
    this.root.classList.toggle("hidden-from-others", data.private);
    this.root.classList.toggle("unchecked", data.unchecked);
    this.root.setAttribute("aria-busy", String(!reply.final));
    this.marked.hidden = !data.private;
    this.dismiss.hidden = !data.mine || !reply.final || data.for_moderators;
    this.author.textContent = data.author.name;
    this.badge.hidden = !data.author.moderator && !data.announcement;
    this.asked.hidden = !data.question;
    this.#updatePart("question", data.question, (text) => this.#showQuestion(text));
    // Right under the question itself a quote of it would be repetition.
    const hasQuote = reply.quote && !data.question.includes(reply.quote);
    this.quote.hidden = !hasQuote;
    this.quote.textContent = reply.quote;
    const facts = new Map(reply.card);
    // The button Again involves no typed command; then the card shows that the answer is a comparison.
    const isCompared = reply.columns.length > 0 || /^\/dial\b/.test(data.question) || facts.has("temperatures");
    if (isCompared && !(this.#markdown instanceof Columns)) this.#markdown = new Columns(this.text);
    const isWhole = reply.final && (reply.error || facts.has("temperatures"));
    this.#updatePart("text", [isCompared ? reply.text : marked(reply.text, data.cause), reply.columns, isWhole], (shown) => this.#markdown.show(...shown));
    this.#updatePart("pictures", reply.pictures, (list) => this.#showPictures(list));
    this.#updatePart("files", reply.files, (list) => this.files.replaceChildren(...list.map(fileItem)));
    this.#updatePart("card", reply.card, (facts) => this.card.replaceChildren(...facts.map(([, value], place) => fact(reply.card_titles[place], value))));
    const dialText = isCompared ? reply.quote || splitLine(data.question).words.trim() : facts.has("top_p") ? fencedText(reply.text) : "";
    this.#updatePart("odds", reply.final && !reply.error ? dialText : "", (text) => this.#offerDial(text));
    const decides = [this.#isLast, reply.buttons, reply.final, reply.error, data.private, reply.pictures.length, this.actions.canInspect(), Boolean(reply.text), Boolean(reply.tokens), data.thread, this.actions.moderates()];
    this.#updatePart("actions", decides, () => this.#showActions());
    const waiting = !reply.final && !reply.text && !reply.status;
    // Columns show all parts at once, so the status would add nothing.
    const status = waiting ? "…" : reply.columns.length ? "" : reply.status;
    this.#updatePart("status", status, (line) => this.status.replaceChildren(...withCode(line)));
  }

  // Has a teacher's line stand for itself, without an answer.
  #makeAnnouncement() {
    this.root.classList.add("announcement");
    this.reply.hidden = true;
    this.asked.querySelector(".by").prepend(icon("megaphone"));
    this.asked.querySelector(".body").append(this.bar.root);
  }

  // Loads pictures whose download failed again at the next update.
  retry() {
    if (this.pictures.querySelector(".lost")) delete this.#shown.pictures;
  }

  // Shows the question. A long one is cut, with a button for the rest, so that the answer stays in sight.
  #showQuestion(text) {
    this.question.replaceChildren(...showLine(text));
    const isLong = text.length > LONG_QUESTION || text.split("\n").length > LONG_LINES;
    this.question.classList.toggle("cut", isLong);
    if (!isLong) return this.more.replaceChildren();
    const more = element("button", { type: "button", class: "secondary", "aria-expanded": "false", onclick: () => {
      const isCut = this.question.classList.toggle("cut");
      more.setAttribute("aria-expanded", String(!isCut));
      more.textContent = isCut ? t("Show all of it") : t("Show less");
    } }, t("Show all of it"));
    this.more.replaceChildren(more);
  }

  // Shows a line above the message: which button led to it, or what it replies to. It leads to `origin`, that message's
  // view, or null.
  showOrigin(origin) {
    const { data } = this, { cause } = data;
    if (!cause && (!data.parent || data.thread || !origin)) return this.above.replaceChildren();
    const row = cause ? cause.source : data.parent;
    const start = cause ? cause.text : (origin.data.reply.text || origin.data.question).slice(0, 120);
    this.#updatePart("origin", [start, row, Boolean(origin)], () => {
      const parts = cause
        ? [avatar(data.author), element("span", {}, start), timeOf(data)]
        : [icon("reply"), element("b", {}, "Tempera"), element("span", {}, start)];
      this.above.replaceChildren(origin
        ? element("button", { type: "button", class: "origin", onclick: () => this.actions.origin(row) }, ...parts)
        : element("p", { class: "origin" }, ...parts));
    });
  }

  // Whether it has Continue, which only the last of one's own answers in the room shows: others can be replied to.
  get canContinue() {
    const { data } = this;
    return data.mine && !data.thread && data.reply.final && data.reply.buttons.some(isContinue);
  }

  offerContinue(isLast) {
    if (this.#isLast === isLast) return;
    this.#isLast = isLast;
    this.update(this.data);
  }

  // Shows how many messages its thread has.
  showReplies(count) {
    this.#updatePart("replies", count, () => this.replies.replaceChildren(...(count ? [
      element("button", { type: "button", class: "to-thread", onclick: () => this.actions.thread(this.data.row) },
        icon("thread"), tn("1 reply", "{count} replies", count)),
    ] : [])));
  }

  // Rebuilds a part only if it has changed, so that a focused button or a selection survives changes beside it.
  #updatePart(part, value, rebuild) {
    const key = JSON.stringify(value);
    if (this.#shown[part] === key) return;
    this.#shown[part] = key;
    rebuild(value);
  }

  // Shows the pictures. New ones replace others, such as previews, only once they are loaded, so that nothing flickers.
  async #showPictures(list) {
    const update = ++this.#pictureUpdate;
    const replaces = list.length > 0 && this.pictures.children.length > 0;
    const links = list.map((one) => this.#picture(one, replaces));
    if (replaces) {
      const loaded = await Promise.allSettled(links.map((link) => link.firstChild.decode()));
      const isLost = loaded.some(({ status }) => status === "rejected");
      if (update < this.#shownPictureUpdate || (isLost && update < this.#pictureUpdate)) return;
    }
    this.#shownPictureUpdate = update;
    [...this.pictures.children].forEach((old, place) => {
      if (!old.classList.contains("spoiler")) links[place]?.classList.remove("spoiler");
    });
    const focused = [...this.pictures.children].indexOf(document.activeElement);
    this.pictures.replaceChildren(...links);
    links[focused]?.focus();
  }

  // Makes a picture. One that is not loaded `atOnce` is when it comes near, so that a long room does not fetch all of its own.
  #picture(picture, atOnce) {
    const image = element("img", {
      // Before the address, since that begins the download.
      loading: atOnce ? null : "lazy",
      src: picture.url, alt: picture.alt || picture.name, width: picture.width, height: picture.height, decoding: "async",
    });
    image.addEventListener("error", () => link.classList.add("lost"));
    const link = element("a", { class: "picture", href: picture.url, target: "_blank" }, image);
    link.classList.toggle("spoiler", picture.spoiler);
    link.classList.toggle("wide", picture.width > 2 * picture.height);
    link.addEventListener("click", (event) => {
      event.preventDefault();
      if (link.classList.contains("lost")) return;
      if (link.classList.contains("spoiler")) link.classList.remove("spoiler");
      else this.actions.open(picture);
    });
    return link;
  }

  // Offers the live dial for the text of /odds or /dial, in place of the answer and its picture.
  #offerDial(text) {
    if (!text) return this.lab.replaceChildren();
    const showAnswer = (isShown) => { this.text.hidden = this.pictures.hidden = !isShown; };
    const close = element("button", { type: "button", class: "secondary", onclick: () => {
      showAnswer(true);
      this.#offerDial(text);
      this.lab.querySelector("button").focus();
    } }, t("Back to the text"));
    const open = async () => {
      const loaded = await loadLater(() => import("../shared/dialview.js"));
      if (!loaded) return;
      const root = element("div", { class: "dial" }), facts = new Map(this.data.reply.card);
      showAnswer(false);
      this.lab.replaceChildren(root, close);
      const dial = new loaded.DialView(root, {
        text, room: this.actions.room(), temperature: Number(facts.get("temperature") ?? 1), topP: Number(facts.get("top_p") ?? 1),
      });
      dial.slider.focus();
    };
    this.lab.replaceChildren(element("button", { type: "button", class: "to-thread", onclick: open }, icon("dial"), t("Turn the dial")));
  }

  // Shows what can be done with the answer: the buttons that the bot offers, and what the page itself can do.
  #showActions() {
    const { data, actions } = this, { reply } = data;
    const canFollow = reply.final && !reply.error && !data.private && !data.thread && !data.announcement;
    // Under the last of one's own answers Continue takes the place of Reply.
    const isContinued = this.#isLast && this.canContinue;
    const buttons = reply.buttons.filter((button) => !button.picture && (isContinued || !isContinue(button)));
    const canInspect = actions.canInspect() && reply.final && !reply.error && !data.private && reply.pictures.length > 0;
    const moderates = actions.moderates() && data.row > 0 && !data.private;
    const has = (condition, name, label, press, more = {}) => condition && { name, label, press, ...more };
    const offered = [
      ...numbered(reply.buttons, (buttons) => this.#zoom(buttons)),
      ...withAllPageButtons(buttons).map((button) => this.#offered(button)),
      has(canFollow && !isContinued, "reply", t("Reply"), () => actions.reply(this), { icon: "reply" }),
      has(canFollow, "thread", t("Go on in a thread"), () => actions.thread(data.row), { icon: "thread" }),
      has(reply.tokens, "tokens", t("Show how surprising each word was"), () => actions.tokens(this), { icon: "tokens" }),
      has(reply.final && reply.text && !reply.error, "copy", t("Copy the text"), () => copyText(this.bar.more, () => withLocalTimes(this.data.reply.text)), { icon: "copy" }),
      has(canInspect, "inspect", t("Inspect"), () => actions.inspect(data.row), { icon: "eye", isAside: true }),
      has(moderates, "bin", t("Remove this, as a moderator"), () => actions.remove(this), { icon: "bin", isAside: true }),
      has(moderates && !data.mine && !data.announcement, "clock", t("Time {name} out", { name: data.author.name }), () => actions.timeOut(this), { icon: "clock", isAside: true }),
    ].filter(Boolean);
    this.bar.show(offered, reply.pictures.length ? ["again", "edit", "reply"] : ["again", "warmer", "continue", "reply", "edit", "cooler"], this.root);
  }

  // Returns a button of the bot's as an action.
  #offered({ id, style = "secondary", label, aside }) {
    const name = id ? id.split(":")[1] : label, isPage = PAGE_BUTTONS.includes(label);
    const action = { name, label, style, isPage, press: id && (() => this.#press(id)) };
    if (name in VOTES) return { ...action, isShown: label !== VOTES[name].sign, ...VOTES[name] };
    return { ...action, icon: ICONS[name], isShown: isPage || (/^(b|p|c\d|stop)/.test(name) && !aside) };
  }

  // Presses a button. What Continue asks for is typed in the message box, unless nobody can reply to the answer.
  #press(id) {
    if (isContinue({ id }) && !this.data.private) this.actions.reply(this);
    else this.actions.press(this.data.id, id);
  }

  // Shows one picture of several large, with the buttons that are about it.
  #zoom(buttons) {
    const count = Math.max(...this.data.reply.buttons.map(({ picture }) => picture));
    this.actions.open(this.data.reply.pictures[0], {
      number: buttons[0].picture, count, actions: buttons.map(({ id, title, label }) => ({ label: title || label, press: () => this.actions.press(this.data.id, id) })),
    });
  }
}

// Returns an action for each picture that buttons are about: what they do can be chosen once `zoom` has shown it large.
function numbered(buttons, zoom) {
  const numbers = [...new Set(buttons.map(({ picture }) => picture).filter(Boolean))];
  return numbers.map((number) => ({
    name: `picture-${number}`, label: String(number), title: t("Picture {number}, large", { number }), isShown: true, isPage: true,
    press: () => zoom(buttons.filter(({ picture }) => picture === number)),
  }));
}

const isContinue = ({ id }) => Boolean(id?.startsWith("t:continue:"));

// Returns the buttons; if some turn pages, with all of those, the missing ones without an id.
function withAllPageButtons(buttons) {
  const first = buttons.findIndex(({ label }) => PAGE_BUTTONS.includes(label));
  if (first < 0) return buttons;
  const others = buttons.filter(({ label }) => !PAGE_BUTTONS.includes(label));
  const isWide = buttons.some(({ label }) => label.length === 2 && PAGE_BUTTONS.includes(label));
  const pages = PAGE_BUTTONS.filter((label) => isWide || label.length === 1).map((label) => buttons.find((button) => button.label === label) ?? { label });
  return [...others.slice(0, first), ...pages, ...others.slice(first)];
}

// Returns the text with marks around the token that a fork put there. Where they could change what the Markdown means,
// as in an address, there are none.
function marked(text, cause) {
  const { mark = "", at = 0 } = cause ?? {};
  const before = text.slice(0, at), after = text.slice(at + mark.length);
  if (!/^\p{L}[\p{L}\p{N}’'-]*$/u.test(mark) || !text.startsWith(mark, at) || !/(^|[\s("“„«])$/.test(before)) return text;
  return before + MARKS[0] + mark + MARKS[1] + after;
}

// Returns a line of text as nodes, with the parts in backticks as code.
function withCode(line) {
  return line.split(/`([^`]+)`/).map((part, place) => place % 2 ? element("code", {}, part) : part);
}

// Returns a typed line as nodes, with its command and its options set apart from the words.
function showLine(line) {
  const { command, options, words } = splitLine(line);
  return [
    command ? element("code", { class: "command" }, command) : "",
    ...options.flatMap((option) => [" ", showHeat(element("code", { class: "option" }, option), option.match(/^temperature:(.+)/i)?.[1])]),
    words,
  ];
}

// Splits a typed line into its command, its options and the words after them.
function splitLine(line) {
  const command = line.match(/^\/[\w-]+/)?.[0] ?? "", options = [];
  let words = line.slice(command.length);
  for (let pair; command && (pair = words.match(/^\s+([a-z_][\w-]*:(?:"[^"]*"|[^\s"/][^\s"]*))/i)); words = words.slice(pair[0].length)) {
    options.push(pair[1]);
  }
  return { command, options, words };
}

// Returns the text in the answer of /odds, with the tokens that were pressed: the only code block there.
const fencedText = (markdown) => markdown.match(/^(`{3,})\n([^]*?)\n\1$/m)?.[2] ?? "";
const timeOf = ({ at }) => element("time", { datetime: new Date(at * 1000).toISOString() }, time.format(at * 1000));
const fact = (title, value) => element("div", {}, element("dt", {}, title), element("dd", {}, shownValue(value)));
const fileItem = (file) => element("li", {},
  element("a", { href: file.url, download: file.name }, file.name), ` ${Math.max(1, Math.round(file.size / 1024))} KB`);

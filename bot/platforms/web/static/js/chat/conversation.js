// The list of messages: those of the room that is shown, or of one of its threads.

import { byId, element, setIcon } from "../shared/dom.js";
import { ExchangeView } from "./exchange.js";
import { groupBy } from "../shared/group.js";
import { withLocalTimes } from "../shared/times.js";
import { t } from "../shared/words.js";

const FLASH_MS = 1600;
const day = new Intl.DateTimeFormat(document.documentElement.lang || undefined, { weekday: "long", day: "numeric", month: "long" });
const list = byId("exchanges"), scroller = byId("scroller"), newer = byId("newer"), announcer = byId("announcer");

// The key under which the browser remembers that somebody has asked something, and needs no welcome.
const KNOWN = "tempera-known";

export class Conversation {
  #views = new Map();
  #follows = true;
  #top = 0;
  thread = 0;

  constructor(actions) {
    setIcon(byId("welcome-close"), "close", t("Close"));
    byId("welcome-close").addEventListener("click", () => {
      localStorage.setItem(KNOWN, "true");
      this.#arrange();
      byId("input").focus();
    });
    this.actions = { ...actions, origin: (row) => this.#goTo(row) };
    newer.addEventListener("click", () => this.toBottom());
    scroller.addEventListener("scroll", () => {
      const isAtEnd = scroller.scrollHeight - scroller.scrollTop - scroller.clientHeight < 80;
      // Only who scrolls up wants to stay there: what has grown since the page itself scrolled moves the end away, too.
      this.#follows = isAtEnd || (this.#follows && scroller.scrollTop >= this.#top);
      this.#top = scroller.scrollTop;
      if (this.#follows) newer.hidden = true;
    }, { passive: true });
    // A picture that is loaded, or a message box that grows, must not push the newest message out of sight.
    const resized = new ResizeObserver(() => { if (this.#follows) this.toBottom(); });
    resized.observe(list);
    resized.observe(scroller);
  }

  // Shows these exchanges and no others. If the room `isSame` as before, those that were shown already stay as they are,
  // with everything that is opened in them, and a reader who has scrolled up is not moved. Of the `earlier` ones, which are
  // received afterwards, only those are shown for now that were before.
  fill(earlier, exchanges, isSame) {
    const received = new Map([...earlier, ...exchanges].map((exchange) => [exchange.id, exchange]));
    for (const [id, { data }] of [...this.#views]) if (!isSameExchange(data, received.get(id))) this.#drop(id);
    const known = new Set(this.#views.keys());
    for (const view of this.#views.values()) view.retry();
    const placed = exchanges.map((exchange) => this.#put(exchange));
    this.#arrange();
    if (!isSame || this.#follows) this.toBottom();
    else if (placed.some(({ data, root }) => !known.has(data.id) && !root.hidden)) newer.hidden = false;
  }

  // Shows an exchange. A reader at the bottom stays there; one who has scrolled up is not moved.
  show(exchange) {
    const known = this.#views.get(exchange.id);
    // The earlier part of a long room comes after its newest.
    const isEarlier = !known && exchange.reply.final && [...this.#views.keys()].some((id) => id > exchange.id);
    const follow = this.#follows || (exchange.mine && !known && !isEarlier);
    const ended = exchange.reply.final && !known?.data.reply.final;
    const isNewText = ended || (exchange.reply.final && exchange.reply.text !== known.data.reply.text);
    const placed = this.#put(exchange);
    if (!known || ended) this.#arrange();
    if (follow) this.toBottom();
    else if (!placed.root.hidden && !isEarlier) newer.hidden = false;
    if (isNewText && !isEarlier) announcer.textContent = exchange.announcement ? exchange.question : withLocalTimes(exchange.reply.text) || exchange.reply.pictures.map(({ alt }) => alt).join(" ");
  }

  has(id) {
    return this.#views.has(id);
  }

  // Returns the value of an option in the newest answer to a command whose line does not name it; "" if there is none.
  usual(command, option) {
    const left = [...this.#views.values()].map(({ data }) => data).filter(({ question, reply }) => (
      reply.final && (question === `/${command}` || question.startsWith(`/${command} `)) && !question.includes(`${option}:`)));
    const value = new Map(left.sort((a, b) => b.id - a.id)[0]?.reply.card).get(option);
    return Number.isFinite(Number(value)) ? String(value) : "";
  }

  isRunning(id) {
    return this.#views.get(id)?.data.reply.final === false;
  }

  remove(id) {
    this.#drop(id);
    this.#arrange();
  }

  // Shows the thread of the answer `row`, or the room for 0. Returns whether there is such an answer.
  enter(row) {
    if (row !== this.thread) {
      this.thread = row;
      this.#arrange();
      this.toBottom();
    }
    return !row || Boolean(this.#withRow(row));
  }

  toBottom() {
    // The welcome of an empty room is read from its top.
    scroller.scrollTop = list.clientHeight ? scroller.scrollHeight : 0;
    newer.hidden = true;
  }

  #put(exchange) {
    const known = this.#views.get(exchange.id);
    if (known) {
      known.update(exchange);
      return known;
    }
    const view = new ExchangeView(exchange, this.actions);
    this.#views.set(exchange.id, view);
    const after = [...this.#views.values()].filter(({ data }) => data.id > exchange.id).sort((a, b) => a.data.id - b.data.id)[0];
    list.insertBefore(view.root, after?.root ?? null);
    return view;
  }

  #drop(id) {
    const root = this.#views.get(id)?.root;
    if (root?.contains(document.activeElement)) byId("input").focus();
    root?.remove();
    this.#views.delete(id);
  }

  // Updates what depends on other messages: which are shown, the days between them, replies and threads.
  #arrange() {
    for (const line of list.querySelectorAll(".day")) line.remove();
    const views = [...this.#views.values()].sort((a, b) => a.data.id - b.data.id);
    const replies = groupBy(views.filter(({ data }) => data.thread), ({ data }) => data.thread);
    const ownLast = this.thread ? null : views.findLast((view) => view.canContinue);
    let last = "";
    for (const view of views) {
      const { data } = view;
      view.root.hidden = this.thread ? data.row !== this.thread && data.thread !== this.thread : data.thread > 0;
      view.offerContinue(view === ownLast);
      view.showOrigin(this.#withRow(data.cause?.source || data.parent));
      view.showReplies(this.thread || !data.row ? 0 : replies.get(data.row)?.length ?? 0);
      if (view.root.hidden) continue;
      const date = day.format(data.at * 1000);
      if (date !== last) view.root.before(element("li", { class: "day" }, element("span", {}, dayName(data.at, date))));
      last = date;
    }
    if (views.some(({ data }) => data.mine)) localStorage.setItem(KNOWN, "true");
    const isEmpty = last === "", welcome = byId("welcome");
    welcome.hidden = this.thread > 0 || (!isEmpty && Boolean(localStorage.getItem(KNOWN)));
    welcome.classList.toggle("below", !isEmpty);
  }

  #withRow(row) {
    return row ? [...this.#views.values()].find(({ data }) => data.row === row) ?? null : null;
  }

  #goTo(row) {
    const view = this.#withRow(row);
    if (!view) return;
    view.root.scrollIntoView({ block: "center" });
    view.root.classList.add("flash");
    setTimeout(() => view.root.classList.remove("flash"), FLASH_MS);
  }
}

// After a restart of the bot the ids begin at 1 again, so the id alone is not enough. The row may arrive after the rest.
const isSameExchange = (data, received) => received !== undefined && received.at === data.at && (!data.row || received.row === data.row);

function dayName(at, date) {
  const today = day.format(Date.now()) === date, yesterday = day.format(Date.now() - 86_400_000) === date;
  if (Date.now() / 1000 - at > 3 * 86_400) return date;
  return today ? t("Today") : yesterday ? t("Yesterday") : date;
}

// Connects the parts of the chat page: passes the bot's messages to the list, the rail, the message box and the dialogs.

import { LAST_ROOM } from "../shared/address.js";
import * as board from "./board.js";
import { Composer } from "./composer.js";
import { Connection, createRef } from "./connection.js";
import { Conversation } from "./conversation.js";
import { byId, element, icon, setIcon } from "../shared/dom.js";
import { decodeFragment } from "../shared/fragment.js";
import { closeForm, refuseForm, showForm } from "./form.js";
import { loadLater } from "../shared/later.js";
import * as look from "../shared/look.js";
import * as rail from "./rail.js";
import { withLocalTimes } from "../shared/times.js";
import { language, t } from "../shared/words.js";
import { open } from "./viewer.js";

const NAME = "tempera-name";
const TYPING_MS = 5000;
const EXAMPLES = [
  [t("/ask What is a neural network?"), t("A language model answers, word by word")],
  [t("/ask temperature:1.2 Tell me a story about an egg"), t("The same model, more daring")],
  [t("/imagine a red apple"), t("A diffusion model takes noise away until an apple is left")],
  [t("/dial Describe the sea in one sentence"), t("The same prompt at three temperatures, side by side")],
  [t("/odds The cat sat on the"), t("What could come next, and how likely each word is")],
  ["/face", t("A GAN draws a person who does not exist")],
];

look.begin();

// Who is writing, by user id; and views that wait for their tokens, by the reference of the request.
const writers = new Map(), awaitingTokens = new Map();
let you = null, room = "", own = "", offeredCommands = "", canInspect = false, formRef = "";

const connection = new Connection({
  query: () => ({ name: localStorage.getItem(NAME) ?? "", locale: language, room: address().room || (localStorage.getItem(LAST_ROOM) ?? "") }),
  onMessage: (message) => receive[message.type]?.(message),
  onState: (isOpen, why) => {
    byId("connection").textContent = isOpen ? "" : why || t("reconnecting …");
    document.body.classList.toggle("offline", !isOpen);
    if (!isOpen) refuseForm(t("The connection was lost. Send it again when it is back."));
  },
});
const conversation = new Conversation({
  open,
  press: (exchange, id) => sendOrNotify({ type: "press", exchange, id, ref: createRef(), thread: conversation.thread }),
  dismiss: (exchange) => sendOrNotify({ type: "dismiss", exchange }),
  reply: ({ data }) => composer.replyTo(data.row, data.reply.text || data.question),
  room: () => room,
  thread: (row) => { location.hash = `${encodeURIComponent(room)}/${row}`; },
  canInspect: () => canInspect,
  inspect: (row) => sendOrNotify({ type: "say", text: "/inspect", ref: createRef(), thread: conversation.thread, parent: row, files: {} }),
  moderates: () => Boolean(you?.moderator),
  remove: ({ data }) => showForm({
    title: t("Remove this message?"), submit: t("Remove it"), grave: true, fields: [],
    about: t("Nobody will see what {name} asked and what was answered any more, and it cannot be brought back.", { name: data.author.name }),
  }, ({ ref }) => sendForm({ type: "submit", id: "c:mod remove", fields: { message: String(data.row) }, files: {}, thread: data.thread, ref })),
  timeOut: ({ data: { author } }) => composer.fill(`/timeout user:"${author.id}|${author.name.replaceAll('"', "")}" duration:10m`),
  tokens(view) {
    const ref = createRef();
    if (sendOrNotify({ type: "tokens", exchange: view.data.id, ref })) awaitingTokens.set(ref, view);
  },
});
const composer = new Composer({ send: (message) => connection.send(message), where: () => ({ room, thread: conversation.thread }), usual: (command, option) => conversation.usual(command, option) });

const receive = {
  welcome({ you: me, room: entered, private: mine, rooms, earlier, exchanges, notice, ...offers }) {
    const isSame = entered === room;
    keepName(me);
    room = entered;
    own = mine;
    byId("who-reads").hidden = room === own;
    localStorage.setItem(LAST_ROOM, room);
    forgetWriters(...writers.keys());
    rail.show({ you, room, own, rooms });
    receive.offers(offers);
    composer.resend(room);
    conversation.fill(earlier, exchanges, isSame);
    // If the room of the address no longer exists, the bot shows another one.
    if (address().room !== room) history.replaceState(null, "", `#${encodeURIComponent(room)}`);
    showThread(isSame);
    if (notice) composer.showNotice(notice);
  },
  // What the page offers: commands, pages, and who can read a private place.
  offers({ links, commands, rules, about }) {
    rail.show({ links });
    offer(commands);
    board.show(rules, you.moderator);
    byId("about-place").textContent = about;
    byId("about-place").hidden = !about;
  },
  exchange(exchange) {
    // Not for an older answer of theirs, which may grow while they write.
    const isKnown = conversation.has(exchange.id) && !conversation.isRunning(exchange.id);
    if (!conversation.has(exchange.id)) forgetWriters(exchange.author.id);
    conversation.show(exchange);
    const isHidden = exchange.private && exchange.mine && document.documentElement.dataset.size === "projector";
    if (isHidden && exchange.reply.final && !isKnown) composer.showNotice(t("Only you may see the answer. It is there once you leave the view for a projector."));
  },
  gone: ({ id }) => conversation.remove(id),
  taken({ ref, room: opened }) {
    composer.onAccepted(ref);
    if (ref === formRef) closeForm();
    if (opened && opened !== room) location.hash = encodeURIComponent(opened);
  },
  refused({ ref, text: sentence }) {
    const text = withLocalTimes(sentence);
    awaitingTokens.delete(ref);
    if (composer.onRefused(ref, text)) return;
    if (ref && ref === formRef) refuseForm(text);
    else composer.showNotice(text);
  },
  completed: ({ ref, values }) => composer.showCompletions(ref, values),
  form: (form) => showForm(form, (filled) => sendForm({ type: "submit", id: form.id, thread: conversation.thread, ...filled })),
  you({ you: me }) {
    keepName(me);
    rail.show({ you });
  },
  rooms: ({ rooms }) => rail.show({ rooms }),
  spoken: ({ room: name }) => rail.markUnread(name),
  async tokens({ ref, tokens }) {
    const view = awaitingTokens.get(ref);
    awaitingTokens.delete(ref);
    const lab = await loadLater(() => import("./tokens.js"));
    lab?.show(view, tokens, (at, choice) => sendOrNotify({
      type: "submit", id: `t:fork:${view.data.row}`, fields: { at: String(at), choice: String(choice) }, files: {}, ref: createRef(), thread: conversation.thread,
    }));
  },
  async waiting(waiting) {
    const knocking = await loadLater(() => import("./knocking.js"));
    knocking?.showWaiting(waiting, (sentence) => composer.showNotice(sentence));
  },
  closed: () => connection.send({ type: "enter", room: "general" }),
  typing({ who }) {
    clearTimeout(writers.get(who.id)?.timer);
    writers.set(who.id, { name: who.name, timer: setTimeout(() => forgetWriters(who.id), TYPING_MS) });
    showWriters();
  },
};

// Keeps what the visitor is called, for the next time; the bot decides whether they can be called as they wish.
function keepName(me) {
  you = me;
  localStorage.setItem(NAME, me.named ? me.name : "");
}

// The fragment of the address names the room and the thread, so that links and the back button work. Without one, the
// page is where its visitor was last; the bot decides where somebody begins who is new.
function address() {
  const [name, thread] = location.hash.slice(1).split("/");
  return { room: decodeFragment(name), thread: Number(thread) || 0 };
}

// Shows the thread in the address, or the room. If both are the same as before, a reply that was begun stays.
function showThread(isSame = true) {
  const { thread } = address();
  const isUnchanged = isSame && thread === conversation.thread;
  const exists = conversation.enter(thread);
  composer.showNotice(exists ? "" : t("The beginning of this thread is no longer here."));
  if (isUnchanged) return;
  const name = room === own ? t("Just me") : room;
  const title = thread ? t("Thread in {room}", { room: name }) : name;
  const back = thread && setIcon(element("a", { class: "icon", href: `#${encodeURIComponent(room)}` }), "back", t("Back to {room}", { room: name }));
  byId("title").replaceChildren(back || icon(room === own ? "person" : "room"), element("span", {}, title));
  document.title = `${title} · Tempera`;
  composer.replyTo(0);
}

window.addEventListener("hashchange", () => {
  if (address().room === room) showThread();
  else connection.send({ type: "enter", room: address().room });
});

// Sends a message. Returns a sentence if it could not be sent, else "".
function trySending(message) {
  return connection.send(message) ? "" : t("Not connected at the moment. Try again in a little while.");
}

function sendForm(message) {
  formRef = message.ref;
  return trySending(message);
}

// Sends a message and shows a notice if it could not be sent. Returns whether it was.
function sendOrNotify(message) {
  const problem = trySending(message);
  if (problem) composer.showNotice(problem);
  return !problem;
}

function forgetWriters(...ids) {
  for (const id of ids) {
    clearTimeout(writers.get(id)?.timer);
    writers.delete(id);
  }
  showWriters();
}

function showWriters() {
  const names = [...writers.values()].map(({ name }) => name);
  const several = names.length > 3 ? t("Several people are writing …") : t("{names} are writing …", { names: names.join(", ") });
  byId("typing").textContent = names.length > 1 ? several : names.length ? t("{name} is writing …", { name: names[0] }) : "";
}

// Offers these commands. If they are the same as before, nothing is touched, since somebody may be using one.
function offer(commands) {
  const text = JSON.stringify(commands);
  if (text === offeredCommands) return;
  offeredCommands = text;
  composer.commands = commands;
  canInspect = commands.some(({ name }) => name === "inspect");
  const examples = EXAMPLES.filter(([line]) => commands.some(({ name, options }) => {
    const degree = Number(line.match(/temperature:(\S+)/)?.[1] ?? 0), most = options.find((option) => option.name === "temperature")?.maximum;
    return line.startsWith(`/${name}`) && degree <= (most ?? degree);
  }));
  byId("examples").replaceChildren(...examples.map(([line, about]) => element("li", {},
    // Alone with the bot, an example would read what was said before, and could not be compared with what it promises.
    element("button", { type: "button", onclick: () => composer.fill(room === own ? line.replace(/^\/ask /, "/ask fresh:yes ") : line) },
      element("code", {}, line), element("span", {}, about)))));
}

const oneField = (label, value = "") => [
  { name: "name", title: t("Name"), label, kind: "name", value, required: true, minimum: 1, maximum: 32, choices: [] },
];

rail.begin({
  rename: () => showForm({ title: t("Your name"), submit: t("Save"), fields: oneField(t("How others see you"), you.name) },
    ({ fields, ref }) => sendForm({ type: "name", name: fields.name.slice(0, 200), ref })),
  signOut() {
    if (sendOrNotify({ type: "sign_out" })) byId("look").hidePopover();
  },
  makeRoom: () => showForm({ title: t("A new room"), submit: t("Open it"), fields: oneField(t("Letters, digits and hyphens, such as lesson-1")) },
    ({ fields, ref }) => sendForm({ type: "make_room", name: fields.name.slice(0, 200), ref })),
  closeRoom: (name) => showForm({
    title: t("Close the room {room}", { room: name }), submit: t("Close it"), fields: [],
    about: t("Whoever is in it goes to general. What was said stays stored, and is there again in a new room of this name."),
  }, ({ ref }) => sendForm({ type: "close_room", room: name, ref })),
});
byId("skip").addEventListener("click", (event) => { event.preventDefault(); byId("input").focus(); });
connection.open();

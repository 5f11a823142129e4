// Wires the page together: what the bot sends goes to the list, the rail, the message box and the dialogs.

import { decoded } from "../shared/address.js";
import { Composer } from "./composer.js";
import { Connection, mark } from "./connection.js";
import { Conversation } from "./conversation.js";
import { byId, drawn, element, icon } from "../shared/dom.js";
import { closeForm, refuseForm, showForm } from "./form.js";
import * as look from "../shared/look.js";
import * as rail from "./rail.js";
import { language, t } from "../shared/words.js";
import { open } from "./viewer.js";

const NAME = "tempera-name";
const TYPING_MS = 5000;
const EXAMPLES = [
  ["/ask What is a neural network?", t("A language model answers, word by word")],
  ["/ask temperature:1.2 Tell me a story about an egg", t("The same model, more daring")],
  ["/imagine a red apple", t("A diffusion model takes noise away until an apple is left")],
  ["/dial Describe the sea in one sentence", t("The same prompt at three temperatures, side by side")],
  ["/odds The cat sat on the", t("What could come next, and how likely each word is")],
  ["/face", t("A GAN draws a person who does not exist")],
];

look.begin();

const writers = new Map(), coloured = new Map();
let you = null, room = "", offered = "", formRef = "";

const connection = new Connection({
  query: () => ({ name: localStorage.getItem(NAME) ?? "", locale: language, room: address().room }),
  onMessage: (message) => receive[message.type]?.(message),
  onState: (state) => {
    byId("connection").textContent = state === "open" ? "" : t("reconnecting …");
    document.body.classList.toggle("offline", state !== "open");
    if (state !== "open") refuseForm(t("The connection was lost. Send it again when it is back."));
  },
});
const conversation = new Conversation({
  open,
  press: (exchange, id) => tell({ type: "press", exchange, id, ref: mark(), thread: conversation.thread }),
  reply: ({ data }) => composer.replyTo(data.row, data.reply.text || data.question),
  room: () => room,
  thread: (row) => { location.hash = `${encodeURIComponent(room)}/${row}`; },
  moderates: () => Boolean(you?.moderator),
  remove: ({ data }) => showForm({
    title: t("Remove this message?"), submit: t("Remove it"), grave: true, fields: [],
    about: t("Nobody will see what {name} asked and what was answered any more, and it cannot be brought back.", { name: data.author.name }),
  }, ({ ref }) => sendForm({ type: "submit", id: "c:mod remove", fields: { message: String(data.row) }, files: {}, thread: data.thread, ref })),
  timeOut: ({ data: { author } }) => composer.fill(`/timeout user:"${author.id}|${author.name.replaceAll('"', "")}" duration:10m`),
  tokens(view) {
    const ref = mark();
    if (tell({ type: "tokens", exchange: view.data.id, ref })) coloured.set(ref, view);
  },
});
const composer = new Composer({ send: (message) => connection.send(message), where: () => ({ room, thread: conversation.thread }) });

const receive = {
  welcome({ you: me, room: entered, rooms, links, commands, exchanges }) {
    const isSame = entered === room;
    you = me;
    room = entered;
    forgetWriters(...writers.keys());
    rail.show({ you, room, rooms, links });
    offer(commands);
    composer.reconnected(room);
    conversation.fill(exchanges, isSame);
    // A room that is gone leads to another one, and the address says which.
    if (address().room !== room) history.replaceState(null, "", `#${encodeURIComponent(room)}`);
    showThread(isSame);
  },
  exchange(exchange) {
    // An older answer of theirs may grow while they write.
    if (!conversation.has(exchange.id)) forgetWriters(exchange.author.id);
    conversation.show(exchange);
  },
  gone: ({ id }) => conversation.remove(id),
  taken({ ref, room: made }) {
    composer.taken(ref);
    if (ref === formRef) closeForm();
    if (made && made !== room) location.hash = encodeURIComponent(made);
  },
  refused({ ref, text }) {
    if (composer.refused(ref, text)) return;
    if (ref && ref === formRef) refuseForm(text);
    else composer.say(text);
  },
  completed: ({ ref, values }) => composer.completed(ref, values),
  form: (form) => showForm(form, (filled) => sendForm({ type: "submit", id: form.id, thread: conversation.thread, ...filled })),
  you({ you: me }) {
    you = me;
    rail.show({ you });
  },
  rooms: ({ rooms }) => rail.show({ rooms }),
  spoken: ({ room: name }) => rail.spoken(name),
  async tokens({ ref, tokens }) {
    const view = coloured.get(ref);
    coloured.delete(ref);
    const lab = await import("./tokens.js");
    lab.show(view, tokens, (at, choice) => tell({
      type: "submit", id: `t:fork:${view.data.row}`, fields: { at: String(at), choice: String(choice) }, files: {}, ref: mark(), thread: conversation.thread,
    }));
  },
  closed: () => connection.send({ type: "enter", room: "general" }),
  typing({ who }) {
    clearTimeout(writers.get(who.id)?.timer);
    writers.set(who.id, { name: who.name, timer: setTimeout(() => forgetWriters(who.id), TYPING_MS) });
    showWriters();
  },
};

// Room and thread stand behind the # of the address, so that they can be linked to and gone back from.
function address() {
  const [name, thread] = location.hash.slice(1).split("/");
  return { room: decoded(name || "general"), thread: Number(thread) || 0 };
}

// Of a room that `isSame` as before and of its same thread there is nothing to begin anew, such as a reply.
function showThread(isSame = true) {
  const { thread } = address();
  const stays = isSame && thread === conversation.thread;
  const isThere = conversation.enter(thread);
  composer.say(isThere ? "" : t("The beginning of this thread is no longer here."));
  if (stays) return;
  const title = thread ? t("Thread in {room}", { room }) : room;
  const back = thread && drawn(element("a", { class: "icon", href: `#${encodeURIComponent(room)}` }), "back", t("Back to {room}", { room }));
  byId("title").replaceChildren(back || icon("room"), element("span", {}, title));
  document.title = `${title} · Tempera`;
  composer.replyTo(0);
}

window.addEventListener("hashchange", () => {
  if (address().room === room) showThread();
  else connection.send({ type: "enter", room: address().room });
});

// Returns a sentence where the message could not go out, else "".
function problemOf(message) {
  return connection.send(message) ? "" : t("Not connected at the moment. Try again in a little while.");
}

function sendForm(message) {
  formRef = message.ref;
  return problemOf(message);
}

// Sends what was pressed, and says so where it cannot go out. Returns whether it did.
function tell(message) {
  const problem = problemOf(message);
  if (problem) composer.say(problem);
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

// What can be asked. The same as before leaves alone whoever is about to ask it.
function offer(commands) {
  const told = JSON.stringify(commands);
  if (told === offered) return;
  offered = told;
  composer.commands = commands;
  const examples = EXAMPLES.filter(([line]) => commands.some(({ name }) => line.startsWith(`/${name}`)));
  byId("examples").replaceChildren(...examples.map(([line, about]) => element("li", {},
    element("button", { type: "button", onclick: () => composer.fill(line) },
      element("code", {}, line), element("span", {}, about)))));
}

const oneField = (label, value = "") => [
  { name: "name", title: t("Name"), label, kind: "name", value, required: true, minimum: 1, maximum: 32, choices: [] },
];

rail.begin({
  rename: () => showForm({ title: t("Your name"), submit: t("Save"), fields: oneField(t("How others see you"), you.name) }, ({ fields }) => {
    localStorage.setItem(NAME, fields.name);
    connection.send({ type: "name", name: fields.name.slice(0, 200) });
    closeForm();
  }),
  signOut() {
    if (tell({ type: "sign_out" })) byId("look").hidePopover();
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

// Wires the page together: what the bot sends goes to the list, the message box and the dialogs.

import { Composer } from "./composer.js";
import { Connection } from "./connection.js";
import { byId, element } from "./dom.js";
import { ExchangeView } from "./exchange.js";
import { closeForm, refuseForm, showForm } from "./form.js";

const NAME = "tempera-name";
const EXAMPLES = [
  ["/ask What is a neural network?", "A language model answers, word by word"],
  ["/ask temperature:1.2 Tell me a story about an egg", "The same model, more daring"],
  ["/imagine a red apple", "A diffusion model takes noise away until an apple is left"],
  ["/face", "A GAN draws a person who does not exist"],
];

const views = new Map();
const list = byId("exchanges"), scroller = byId("scroller"), newer = byId("newer"), announcer = byId("announcer");
let you = null;
let formRef = "", nextRef = 0, follows = true;

const connection = new Connection({
  query: () => ({ name: localStorage.getItem(NAME) ?? "", locale: navigator.language }),
  onMessage: (message) => receive[message.type]?.(message),
  onState: (state) => {
    byId("connection").textContent = state === "open" ? "" : "reconnecting …";
    document.body.classList.toggle("offline", state !== "open");
    if (state !== "open") refuseForm("The connection was lost. Send it again when it is back.");
  },
});
const composer = new Composer({ send: (message) => connection.send(message) });
const actions = {
  press: (exchange, id) => connection.send({ type: "press", exchange, id, ref: `press-${nextRef++}` }),
  open: openPicture,
};

const receive = {
  welcome({ you: me, commands, exchanges }) {
    receive.you({ you: me });
    composer.commands = commands;
    composer.reconnected();
    showExamples(commands);
    // After a restart the ids begin anew, so nothing of the old page may stay.
    for (const id of [...views.keys()]) remove(id);
    for (const exchange of exchanges) show(exchange, { quietly: true });
    byId("welcome").hidden = views.size > 0;
    toBottom();
  },
  exchange: (exchange) => keepingPlace(() => show(exchange), { mine: exchange.mine && !views.has(exchange.id) }),
  gone: ({ id }) => remove(id),
  taken({ ref }) {
    composer.taken(ref);
    if (ref === formRef) closeForm();
  },
  refused({ ref, text }) {
    if (composer.refused(ref, text)) return;
    if (ref && ref === formRef) refuseForm(text);
    else composer.say(text);
  },
  completed: ({ ref, values }) => composer.completed(ref, values),
  form: (form) => showForm(form, ({ fields, files }) => {
    formRef = `form-${nextRef++}`;
    const out = connection.send({ type: "submit", id: form.id, fields, files, ref: formRef });
    return out ? "" : "Not connected at the moment. Try again in a little while.";
  }),
  you({ you: me }) {
    you = me;
    const who = byId("who");
    who.textContent = me.name;
    who.hidden = false;
  },
};

function show(exchange, { quietly = false } = {}) {
  byId("welcome").hidden = true;
  const known = views.get(exchange.id);
  const ended = exchange.reply.final && !(known?.data.reply.final);
  if (known) {
    known.update(exchange);
  } else {
    const view = new ExchangeView(exchange, actions);
    views.set(exchange.id, view);
    const after = [...views.values()].filter(({ data }) => data.id > exchange.id).sort((a, b) => a.data.id - b.data.id)[0];
    list.insertBefore(view.root, after?.root ?? null);
  }
  if (ended && !quietly) announce(exchange.reply.text || exchange.reply.pictures.map(({ alt }) => alt).join(" "));
}

function remove(id) {
  views.get(id)?.root.remove();
  views.delete(id);
  byId("welcome").hidden = views.size > 0;
}

// A reader at the bottom stays there; one who has scrolled up is not moved.
function keepingPlace(change, { mine }) {
  const follow = follows || mine;
  change();
  if (follow) toBottom();
  else newer.hidden = false;
}

const isAtBottom = () => scroller.scrollHeight - scroller.scrollTop - scroller.clientHeight < 80;

function toBottom() {
  scroller.scrollTop = scroller.scrollHeight;
  newer.hidden = true;
}

function announce(text) {
  announcer.textContent = text;
}

function showExamples(commands) {
  const offered = EXAMPLES.filter(([line]) => commands.some(({ name }) => line.startsWith(`/${name}`)));
  byId("examples").replaceChildren(...offered.map(([line, about]) => element("li", {},
    element("button", { type: "button", onclick: () => composer.fill(line) },
      element("code", {}, line), element("span", {}, about)))));
}

function openPicture(picture) {
  const image = byId("viewer-picture");
  image.src = picture.url;
  image.alt = picture.alt || picture.name;
  byId("viewer-text").textContent = picture.alt;
  byId("viewer-link").href = picture.url;
  byId("viewer").showModal();
}

byId("viewer").addEventListener("click", (event) => {
  if (event.target === event.currentTarget) event.currentTarget.close();
});
newer.addEventListener("click", toBottom);
scroller.addEventListener("scroll", () => {
  follows = isAtBottom();
  if (follows) newer.hidden = true;
}, { passive: true });
// A picture that arrives, or a message box that grows, must not push the newest message out of sight.
const resized = new ResizeObserver(() => { if (follows) toBottom(); });
resized.observe(list);
resized.observe(scroller);

byId("who").addEventListener("click", () => showForm({
  title: "Your name",
  submit: "Save",
  fields: [{ name: "name", label: "How others see you", kind: "name", value: you.name, required: true, minimum: 1, maximum: 32, choices: [] }],
}, ({ fields }) => {
  localStorage.setItem(NAME, fields.name);
  connection.send({ type: "name", name: fields.name.slice(0, 200) });
  closeForm();
}));

connection.open();

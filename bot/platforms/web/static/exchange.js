// One question with the bot's reply under it. `update` makes the elements show the newest state.

import { element } from "./dom.js";
import { render } from "./markdown.js";

const time = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit" });
const HUES = 360;

export class ExchangeView {
  #shown = {};
  #asked = 0;
  #seen = 0;

  // `actions` has press(id, button) and open(picture).
  constructor(data, actions) {
    this.actions = actions;
    this.question = element("div", { class: "text" });
    this.author = element("span", { class: "name" });
    this.asked = element("div", { class: "question" },
      avatar(data.author),
      element("div", { class: "body" },
        element("p", { class: "by" }, this.author, element("time", { datetime: stamp(data.at) }, time.format(data.at * 1000))),
        this.question));
    this.quote = element("p", { class: "quote" });
    this.text = element("div", { class: "markdown" });
    this.pictures = element("div", { class: "pictures" });
    this.files = element("ul", { class: "files" });
    this.status = element("p", { class: "status" });
    this.card = element("dl", { class: "card" });
    this.buttons = element("div", { class: "buttons" });
    this.marked = element("p", { class: "private", hidden: true }, "Only you can see this");
    this.reply = element("div", { class: "reply" },
      element("img", { class: "avatar", src: "/static/icon.svg", alt: "", width: 32, height: 32 }),
      element("div", { class: "body" },
        element("p", { class: "by" }, element("span", { class: "name" }, "Tempera"), this.marked),
        this.quote, this.text, this.pictures, this.files, this.status, this.card, this.buttons));
    this.root = element("li", { class: "exchange" }, this.asked, this.reply);
    this.update(data);
  }

  update(data) {
    const { reply } = this.data = data;
    this.root.classList.toggle("running", !reply.final);
    this.root.classList.toggle("failed", reply.error);
    this.root.setAttribute("aria-busy", String(!reply.final));
    this.marked.hidden = !data.private;
    this.author.textContent = data.author.name;
    this.asked.hidden = !data.question;
    this.#when("question", data.question, (text) => this.question.replaceChildren(...asTyped(text)));
    this.quote.hidden = !reply.quote;
    this.quote.textContent = reply.quote;
    this.#when("text", reply.text, (text) => this.text.replaceChildren(render(text)));
    this.#when("pictures", reply.pictures, (list) => this.#showPictures(list));
    this.#when("files", reply.files, (list) => this.files.replaceChildren(...list.map(fileItem)));
    this.#when("card", reply.card, (facts) => this.card.replaceChildren(...facts.map(fact)));
    this.#when("buttons", reply.buttons, (buttons) => this.buttons.replaceChildren(...buttons.map((one) => this.#button(one))));
    const waiting = !reply.final && !reply.text && !reply.status;
    this.status.textContent = waiting ? "…" : reply.status;
  }

  // Rebuild a part only when it differs, so that a pressed button or a selection survives what grows beside it.
  #when(part, value, rebuild) {
    const key = JSON.stringify(value);
    if (this.#shown[part] === key) return;
    this.#shown[part] = key;
    rebuild(value);
  }

  // A picture that takes the place of another one, as previews do, comes when it can be seen, so that nothing flickers.
  async #showPictures(list) {
    const turn = ++this.#asked;
    const links = list.map((one) => this.#picture(one));
    if (links.length && this.pictures.children.length) {
      const loaded = await Promise.allSettled(links.map((link) => link.firstChild.decode()));
      const isLost = loaded.some(({ status }) => status === "rejected");
      if (turn < this.#seen || (isLost && turn < this.#asked)) return;
    }
    this.#seen = turn;
    [...this.pictures.children].forEach((old, place) => {
      if (!old.classList.contains("spoiler")) links[place]?.classList.remove("spoiler");
    });
    const focused = [...this.pictures.children].indexOf(document.activeElement);
    this.pictures.replaceChildren(...links);
    links[focused]?.focus();
  }

  #picture(picture) {
    const image = element("img", {
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

  #button(button) {
    const press = () => this.actions.press(this.data.id, button.id);
    return element("button", { type: "button", class: button.style, onclick: press }, button.label);
  }
}

function avatar(person) {
  const made = element("span", { class: "avatar", "aria-hidden": "true" }, [...person.name][0]?.toUpperCase() ?? "?");
  made.style.setProperty("--hue", String(Number.parseInt(person.id.slice(0, 4), 16) % HUES));
  return made;
}

// The line as typed, its command and its options set apart from the words.
function asTyped(line) {
  const parts = [];
  let rest = line;
  const command = rest.match(/^\/[\w-]+/)?.[0];
  if (command) {
    parts.push(element("code", { class: "command" }, command));
    rest = rest.slice(command.length);
    for (let pair; (pair = rest.match(/^\s+([a-z_][\w-]*:(?:"[^"]*"|[^\s"/][^\s"]*))/i)); rest = rest.slice(pair[0].length)) {
      parts.push(" ", element("code", { class: "option" }, pair[1]));
    }
  }
  return [...parts, rest];
}

const stamp = (seconds) => new Date(seconds * 1000).toISOString();
const fact = ([name, value]) => element("div", {}, element("dt", {}, name), element("dd", {}, value));
const fileItem = (file) => element("li", {},
  element("a", { href: file.url, download: file.name }, file.name), ` ${Math.max(1, Math.round(file.size / 1024))} KB`);

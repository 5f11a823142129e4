// What stands above the messages: the task that teachers have pinned, and that the chat is paused or only to be read.

import { byId, element, icon } from "../shared/dom.js";
import { Markdown } from "../shared/markdown.js";
import { t } from "../shared/words.js";

const board = byId("board"), text = element("div", { class: "markdown" });
const task = element("div", { class: "task" }, icon("pin"), element("div", {}, element("p", { class: "unseen" }, t("Task")), text));
const closed = element("p", { class: "closed" });
const markdown = new Markdown(text);

// Shows the rules of a room. `moderates` says whether they hold for this visitor.
export function show({ paused_by, read_only, task: line }, moderates) {
  markdown.show(line);
  const sentence = describe(paused_by, read_only, moderates);
  closed.replaceChildren(icon(paused_by === null ? "eye" : "pause"), sentence);
  board.replaceChildren(...[line && task, sentence && closed].filter(Boolean));
  board.hidden = !board.children.length;
  document.body.classList.toggle("closed-room", Boolean(sentence) && !moderates);
}

function describe(pausedBy, readOnly, moderates) {
  if (pausedBy !== null) {
    if (moderates) return t("The chat is paused for everybody but teachers.");
    return pausedBy ? t("{name} has paused the chat. You can read now, and ask again later.", { name: pausedBy }) : t("The chat is paused. You can read now, and ask again later.");
  }
  if (!readOnly) return "";
  return moderates ? t("Only teachers can write in this room.") : t("This room is only for reading.");
}

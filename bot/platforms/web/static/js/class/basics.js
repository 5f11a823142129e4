// The card of the settings that most teachers need, in plain words. Each is saved as soon as it is changed.

import { byId, element } from "../shared/dom.js";
import { fill } from "./fill.js";
import { t } from "../shared/words.js";

const WORDS = new Map([
  ["safety.level", [t("How strictly everything is checked"), t("“classroom” is the strictest; “off” checks only the words that you have forbidden yourself.")]],
  ["limits.user.hour", [t("Questions of one person in an hour"), t("0 is no limit.")]],
  ["limits.cooldown", [t("Seconds between two questions of one person"), t("0 is no pause.")]],
  ["ask.max_tokens.maximum", [t("Longest answer, in tokens"), t("Three words are about four tokens.")]],
  ["imagine.count.maximum", [t("Most pictures at once"), t("Fewer pictures are a shorter wait for all.")]],
  ["ask.model", [t("The model that answers"), t("A larger one knows more, and takes longer.")]],
  ["answers.language", [t("The language of the bot’s own words"), t("With “each”, everybody reads their own language.")]],
  ["answers.private", [t("Answers are private"), t("Only the person who asked sees them.")]],
  ["ask.use_lessons", [t("/ask knows the lessons"), t("It is told what a lesson says about the question.")]],
  ["ask.system_prompt", [t("What the model is told first"), t("Before every conversation, such as how it should speak.")]],
]);

export function showBasics(list, desk) {
  fill(byId("basics"), ...list.map((setting) => row(setting, desk)));
}

function row(setting, desk) {
  const { name, kind } = setting, [title, about] = WORDS.get(name);
  const id = `basic-${name.replaceAll(".", "-")}`;
  const input = control(setting, { id, "aria-describedby": `${id}-about` });
  const save = () => {
    delete input.dataset.typed;
    desk.set(name, input.type === "checkbox" ? String(input.checked) : input.value);
  };
  input.addEventListener("input", () => { input.dataset.typed = "yes"; });
  input.addEventListener("change", save);
  const isLong = input.tagName === "TEXTAREA";
  return element("div", { class: isLong ? "basic field long" : kind === "boolean" ? "row basic" : "row basic field" },
    element("div", {}, element("label", { for: id }, title), element("p", { class: "about", id: `${id}-about` }, about)), input);
}

function control({ name, kind, choices, minimum, maximum, value }, common) {
  if (kind === "boolean") return element("input", { ...common, type: "checkbox", role: "switch", class: "switch", checked: value === true });
  if (choices.length) {
    return element("select", common, ...choices.map(([choice, title]) => element("option", { value: choice, selected: choice === String(value ?? "") }, title || t("default"))));
  }
  if (kind === "integer" || kind === "number") return element("input", { ...common, type: "number", min: minimum, max: maximum, value });
  if (name !== "ask.system_prompt") return element("input", { ...common, type: "text", value: value ?? "" });
  const area = element("textarea", { ...common, rows: 3, maxlength: maximum, dir: "auto" });
  area.value = value ?? "";
  return area;
}

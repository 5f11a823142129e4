// Fields above the message box for the options of the command in it. Fields and line always agree: moving a slider
// changes the line, and typing moves the slider.

import { byId, element, setIcon } from "../shared/dom.js";
import { showTemperatureRange } from "../shared/heat.js";
import { commandOf, valueOf, withValue } from "./line.js";
import { shownValue } from "../shared/names.js";
import { t } from "../shared/words.js";

const MAX_SEED = 2 ** 31 - 1;
const SLIDER_STEPS = 40;
// With these steps a slider can stand at the numbers that people use, such as 0.95.
const STEPS = [1, 0.5, 0.1, 0.05, 0.01, 0.005, 0.001];
const MAX_SLIDER_RANGE = 100_000;

const ENDS = { temperature: () => [t("predictable"), t("wild")], guidance: () => [t("freely"), t("to the letter")] };
// Where the handle of a slider stands while the model chooses the value: the usual value, not the middle.
const USUAL = { guidance: 5, steps: 30 };

export class Fields {
  #command = null;
  #rows = [];
  #files = new Map();

  // `change(line)` is called with a new line for the box; `send()` sends it. `usual(command, option)` returns the value
  // that the model chose last where nobody named one, or "", for models that do not tell what they will choose.
  constructor({ change, send, usual }) {
    this.change = change;
    this.usual = usual;
    this.root = byId("fields");
    this.root.addEventListener("keydown", (event) => {
      if (event.key !== "Enter" || isComposing(event) || !event.target.matches("input:not([type=file])")) return;
      event.preventDefault();
      send();
    });
  }

  // The files that were chosen, by option.
  get files() {
    return new Map(this.#files);
  }

  forgetFiles() {
    this.#files.clear();
    this.#command = undefined;
  }

  show(line, commands) {
    this.line = line;
    const command = commandOf(line, commands) ?? null;
    if (command !== this.#command) this.#build(command);
    for (const row of this.#rows) row.show(valueOf(line, row.option.name));
  }

  #build(command) {
    this.#command = command;
    this.#files.clear();
    const options = (command?.options ?? []).filter(({ free_text: isText }) => !isText);
    this.#rows = options.map((option) => this.#row(option));
    this.root.replaceChildren(...this.#rows.map(({ root }) => root));
    this.root.hidden = !this.#rows.length;
    if (command) this.root.setAttribute("aria-label", t("Options of /{command}", { command: command.name }));
  }

  #set(option, value) {
    this.change(withValue(this.line, this.#command, option.name, value));
  }

  #row(option) {
    const id = `option-${option.name}`;
    const label = element("label", { for: id, title: option.description }, option.title);
    const control = this.#control(option, id);
    control.input.setAttribute("id", id);
    if (option.description) control.input.setAttribute("title", option.description);
    return { option, show: control.show, root: element("div", { class: `field ${control.kind}` }, label, ...control.parts) };
  }

  #control(option, id) {
    if (option.kind === "attachment") return this.#file(option);
    if (option.name === "seed") return this.#seed(option);
    if (option.choices.length) return this.#menu(option);
    const isNumber = option.kind === "number" || option.kind === "integer";
    const isRange = isNumber && option.minimum !== null && option.maximum !== null && option.maximum - option.minimum <= MAX_SLIDER_RANGE;
    return isRange ? this.#slider(option, id) : this.#text(option, isNumber);
  }

  #slider(option, id) {
    const { minimum: min, maximum: max } = option;
    const step = option.kind === "integer" ? 1 : stepOf(min, max);
    const middle = option.kind === "integer" ? Math.round((min + max) / 2) : (min + max) / 2;
    const start = option.default ?? String(USUAL[option.name] ?? middle);
    const input = element("input", { type: "range", min, max, step });
    if (option.name === "temperature") showTemperatureRange(input, min, max);
    const output = element("output", { for: id });
    const reset = setIcon(element("button", { type: "button", class: "icon reset" }), "reset", t("{option}: back to the default", { option: option.title }));
    const [low, high] = ENDS[option.name]?.() ?? [shownValue(min), shownValue(max)];
    const ends = element("span", { class: "ends", "aria-hidden": "true" }, element("span", {}, low), element("span", {}, high));
    input.addEventListener("input", () => this.#set(option, roundValue(input.value)));
    reset.addEventListener("click", () => { this.#set(option, null); input.focus(); });
    const show = (value) => {
      const chosen = value === null && option.default === null ? option.usual || this.usual(this.#command.name, option.name) : "";
      const number = Number(String(value ?? (chosen || start)).replace(",", "."));
      if (!Number.isNaN(number)) input.value = String(number);
      const share = max > min ? (Number(input.value) - min) / (max - min) : 0;
      input.style.setProperty("--share", `${100 * share}%`);
      output.textContent = shownValue(value ?? option.default ?? "") || [t("auto"), shownValue(chosen)].filter(Boolean).join(" · ");
      input.setAttribute("aria-valuetext", output.textContent);
      reset.hidden = value === null;
    };
    return { kind: "slider", input, show, parts: [output, reset, element("span", { class: "pull" }, input, ends)] };
  }

  #menu(option) {
    const typed = (text) => option.choices.map(([value]) => value).find((value) => value.toLowerCase() === text?.toLowerCase()) ?? "";
    const standard = option.default === null ? "–" : t("default {value}", { value: new Map(option.choices).get(typed(option.default)) });
    const input = element("select", {}, element("option", { value: "" }, standard), ...option.choices.map(([value, title]) => element("option", { value }, title)));
    input.addEventListener("change", () => this.#set(option, input.value || null));
    return { kind: "menu", input, parts: [input], show: (value) => { input.value = typed(value); } };
  }

  #seed(option) {
    const input = element("input", { type: "text", inputmode: "numeric", size: 11, placeholder: t("random") });
    const throwDice = () => this.#set(option, crypto.getRandomValues(new Uint32Array(1))[0] % Math.min(MAX_SEED, option.maximum ?? MAX_SEED));
    const dice = setIcon(element("button", { type: "button", class: "icon dice", onclick: throwDice }), "dice", t("Throw the dice for a seed"));
    input.addEventListener("input", () => this.#set(option, input.value.trim() || null));
    return { kind: "seed", input, parts: [input, dice], show: (value) => keepTyping(input, value) };
  }

  #text(option, isNumber) {
    const input = element("input", { type: "text", inputmode: isNumber ? "decimal" : null, size: 14, placeholder: option.default ?? "" });
    input.addEventListener("input", () => this.#set(option, input.value.trim() ? input.value.replaceAll('"', "") : null));
    return { kind: "words", input, parts: [input], show: (value) => keepTyping(input, value) };
  }

  #file(option) {
    const input = element("input", { type: "file" });
    input.addEventListener("change", () => {
      if (input.files.length) this.#files.set(option.name, input.files[0]);
      else this.#files.delete(option.name);
    });
    return { kind: "file", input, parts: [input], show: () => {} };
  }
}

// Whether a key belongs to an input method. For the Enter that ends a word, Safari shows this by the key code alone.
export const isComposing = (event) => event.isComposing || event.keyCode === 229;

// Sets a value, but not the one that is there already, which would move the caret.
function keepTyping(input, value) {
  if (document.activeElement !== input || value !== input.value.trim()) input.value = value ?? "";
}

// Returns a step that divides the range, since a slider cannot reach an end that is no whole number of steps away.
function stepOf(min, max) {
  const finest = (max - min) / SLIDER_STEPS;
  return STEPS.find((step) => step <= finest && Number.isInteger(Number(((max - min) / step).toFixed(6)))) ?? finest;
}

const roundValue = (value) => String(Number(Number(value).toPrecision(12)));

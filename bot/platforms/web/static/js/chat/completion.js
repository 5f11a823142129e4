// Suggests completions of a typed line: commands, then their options, then values. Does not touch the page.

import { commandOf, quote } from "./line.js";
import { t } from "../shared/words.js";

const MAX_LINE = 200;

// `before` is the line up to the caret. Returns {start, items, active, ask} or null: each item replaces the text from
// `start` on; `active` is the index of the item selected at first, or -1; `ask` is a request for values from the bot.
export function suggest(before, commands) {
  if (!before.startsWith("/")) return null;
  const command = commandOf(before, commands);
  if (!command) return suggestCommands(before, commands);
  const rest = before.slice(command.name.length + 2);
  if ((rest.match(/"/g) ?? []).length % 2) return null;
  const word = rest.match(/\S*$/)[0];
  const start = before.length - word.length;
  const pair = word.match(/^([a-z_][\w-]*):(.*)$/i);
  if (pair) return suggestValues(command, pair[1].toLowerCase(), pair[2], start + pair[1].length + 1, before.slice(0, start));
  const options = suggestOptions(command, rest.slice(0, rest.length - word.length), word.toLowerCase(), start);
  return suggestText(command, before, rest, options);
}

// Suggests the free text after the pairs, if the bot completes it; its first word may also be an option.
function suggestText(command, before, rest, options) {
  const option = command.options.find(({ free_text, completes }) => free_text && completes);
  if (!option) return options;
  const typed = rest.replace(/^(?:\s*[a-z_][\w-]*:(?:"[^"]*"|[^\s"]+)(?=\s))*\s*/i, "");
  const items = /\s/.test(typed) ? [] : options?.items ?? [];
  return { ...suggestion(before.length - typed.length, items, -1, { command: command.name, option: option.name, typed }), isText: true };
}

// Returns one line that explains the option being typed, or "".
export function hint(before, commands) {
  const command = before.startsWith("/") ? commandOf(before, commands) : null;
  if (!command) return "";
  const name = before.match(/(?:^|\s)([a-z_][\w-]*):\S*$/i)?.[1].toLowerCase();
  const option = command.options.find((known) => known.name === name);
  if (!option) return "";
  return `${option.name}: ${[option.expects, option.description].filter(Boolean).join(" – ")}`;
}

function suggestCommands(before, commands) {
  const typed = before.slice(1).toLowerCase();
  const rank = ({ name }) => (name.startsWith(typed) ? 0 : name.includes(typed) ? 1 : 2);
  const items = commands
    .filter((command) => rank(command) < 2)
    .sort((one, other) => rank(one) - rank(other))
    .map(({ name, description }) => ({ insert: `/${name} `, label: `/${name}`, detail: description, aside: "" }));
  const whole = commands.some(({ name }) => name === typed);
  return suggestion(0, items, whole ? -1 : 0);
}

function suggestOptions(command, earlier, word, start) {
  const begun = earlier.replace(/[a-z_][\w-]*:("[^"]*"|\S*)/gi, "").trim() !== "";
  // The fields above the box show all options; here only those that are being typed are suggested.
  if (word.length < (begun ? 2 : 1)) return null;
  const used = (name) => new RegExp(`(?:^|\\s)${name}:`, "i").test(earlier);
  const items = command.options
    .filter(({ name, free_text }) => !free_text && name.startsWith(word) && !used(name))
    .map((option) => ({
      insert: `${option.name}:`,
      label: `${option.name}:`,
      detail: option.description,
      aside: option.default === null ? "" : t("default {value}", { value: option.default }),
    }));
  return suggestion(start, items, -1);
}

function suggestValues(command, name, typed, start, line) {
  const option = command.options.find((known) => known.name === name);
  if (!option) return null;
  const offered = valuesOf(option).filter(({ insert }) => insert.toLowerCase().startsWith(typed.toLowerCase()));
  const done = offered.length === 1 && offered[0].insert === typed;
  const items = done ? [] : offered.map((item) => ({ ...item, insert: `${quote(item.insert)} ` }));
  const ask = option.completes ? { command: command.name, option: name, typed, line: line.slice(0, MAX_LINE) } : null;
  return suggestion(start, items, -1, ask);
}

// Returns values from the bot as items. Values of an option are quoted if need be, those of free text (`isText`) are not.
export const toItems = (values, isText) => values.map((value) => (
  { insert: isText ? value : `${quote(value)} `, label: value, detail: "", aside: "" }
));

function valuesOf(option) {
  const standard = option.default?.toLowerCase();
  const item = (value, aside = "", title = value) => (
    { insert: value, label: value, detail: title === value ? "" : title, aside: value.toLowerCase() === standard ? t("default") : aside }
  );
  if (option.choices.length) return option.choices.map(([choice, title]) => item(choice, "", title));
  if (option.kind !== "number" && option.kind !== "integer") return [];
  const limits = [[option.minimum, t("smallest")], [option.default, ""], [option.maximum, t("largest")]];
  // Keyed by number, since "2" and "2.0" are one value, and the default may equal a limit.
  const values = new Map(limits.filter(([value]) => value !== null).map(([value, aside]) => [Number(value), aside]));
  const isDefault = (value) => option.default !== null && value === Number(option.default);
  return [...values].map(([value, aside]) => item(String(value), isDefault(value) ? t("default") : aside));
}

const suggestion = (start, items, active, ask = null) => (items.length || ask ? { start, items, active, ask } : null);

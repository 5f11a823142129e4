// The settings page: each setting is saved by itself, and shows its old and new value and who changed it last.

import { visitorQuery } from "../shared/address.js";
import { byId, element, setIcon } from "../shared/dom.js";
import { fetchJson } from "../shared/json.js";
import { groupBy } from "../shared/group.js";
import * as look from "../shared/look.js";
import { formatValue } from "../shared/names.js";
import * as moderators from "./moderators.js";
import { t } from "../shared/words.js";

const LONG = 80;
const when = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "short" });
const queryFor = (room) => visitorQuery({ room });
const rows = [];
// The room whose settings are shown; "" is the whole chat.
let loaded = "";
let loads = 0;

look.begin();
byId("scope").addEventListener("change", show);
byId("find").addEventListener("input", filter);
byId("only").addEventListener("change", filter);
byId("choosing").addEventListener("submit", (event) => event.preventDefault());
// The list stands below the settings, which would push it away.
show().then(() => moderators.begin());

function fetchSettings(room, change) {
  return fetchJson(`/settings/data?${queryFor(room)}`, change && { method: "POST", body: JSON.stringify(change) });
}

// Shows the settings of the chosen room. Until the newest choice is loaded, nothing can be saved.
async function show() {
  const scope = byId("scope"), room = scope.value, load = loads += 1;
  byId("settings").inert = true;
  try {
    const { rooms, settings } = await fetchSettings(room);
    if (load !== loads) return;
    byId("refused").textContent = "";
    scope.replaceChildren(element("option", { value: "" }, t("the whole chat")), ...rooms.map((name) => element("option", { value: name }, `# ${name}`)));
    scope.value = loaded = room;
    const groups = groupBy(settings, ({ group }) => group);
    rows.splice(0);
    byId("settings").replaceChildren(...[...groups].map(([name, found]) => element("section", { class: "group" },
      element("h2", {}, name), element("ul", {}, ...found.map((setting) => row(setting, room))))));
    byId("choosing").hidden = false;
    filter();
  } catch (error) {
    if (load !== loads) return;
    // The settings on the page are still those of the room before.
    scope.value = loaded;
    byId("refused").textContent = error.message;
  }
  byId("settings").inert = false;
}

function filter() {
  const words = byId("find").value.trim().toLowerCase();
  for (const { root, setting } of rows) {
    const fits = `${setting.name} ${setting.group} ${setting.about}`.toLowerCase().includes(words);
    root.hidden = !fits || (byId("only").checked && setting.where !== "server" && setting.where !== "channel");
  }
  for (const group of document.querySelectorAll(".group")) group.hidden = !group.querySelector(".setting:not([hidden])");
  const none = byId("none");
  none.hidden = rows.some(({ root }) => !root.hidden);
  none.textContent = none.hidden ? "" : t("There is no such setting.");
}

function row(setting, room) {
  const root = element("li", { class: "setting" });
  const entry = { root, setting, room };
  rows.push(entry);
  fill(entry, "");
  return root;
}

// Fills a row; `notice` is the text about a change that was just saved.
function fill(entry, notice) {
  const { root, setting, room } = entry;
  const id = `setting-${setting.name}`;
  const input = control(setting, id);
  const value = () => (input.type === "checkbox" ? String(input.checked) : input.value);
  const before = value();
  const error = element("p", { class: "error", role: "alert" });
  const save = element("button", { type: "button", class: "primary", hidden: true, onclick: () => change(value()) }, t("Save"));
  const reset = setIcon(element("button", { type: "button", class: "icon", hidden: !setting.here, onclick: () => change(null) }), "reset", t("Take back what is set here: {setting}", { setting: setting.name }));
  const showSave = () => {
    save.hidden = value() === before;
    if (input.type === "checkbox") input.nextSibling.textContent = formatValue(input.checked);
  };
  input.addEventListener("input", showSave);
  input.addEventListener("change", showSave);
  input.addEventListener("keydown", (event) => { if (event.key === "Enter" && input.tagName !== "TEXTAREA" && !save.hidden) change(value()); });

  async function change(newValue) {
    error.textContent = "";
    try {
      const old = formatValue(setting.value);
      entry.setting = await fetchSettings(room, { room, name: setting.name, value: newValue, seen: setting.value });
      fill(entry, `${old} → ${formatValue(entry.setting.value)}`);
      root.querySelector("input, select, textarea").focus();
    } catch (problem) {
      error.textContent = problem.message;
    }
  }

  root.replaceChildren(
    element("div", {},
      element("h3", { id: `${id}-name` }, setting.name),
      element("p", { class: "about", id: `${id}-about` }, setting.about),
      element("p", { class: "from" }, ...origin(setting))),
    element("div", { class: "control" }, input, input.type === "checkbox" ? element("span", { "aria-hidden": "true" }, formatValue(setting.value)) : null, save, reset, element("p", { class: "said", role: "status" }, notice), error));
}

function origin({ where, levels, changed }) {
  const names = { default: t("default"), deployment: t("set by the deployment"), server: t("set for the whole chat"), channel: t("set for this room") };
  const inherited = levels.at(-2);
  const beneath = (where === "server" || where === "channel") && inherited ? ` ${t("instead of {value}", { value: formatValue(inherited.value) })}` : "";
  const last = changed ? ` · ${t("last changed by {name}, {time}", { name: changed.by, time: when.format(changed.at * 1000) })}` : "";
  return [element("b", { class: where === "server" || where === "channel" ? "here" : null }, names[where]), beneath, last];
}

function control(setting, id) {
  const labelled = { id, "aria-labelledby": `${id}-name`, "aria-describedby": `${id}-about` };
  const { kind, value } = setting;
  if (kind === "boolean") return element("input", { ...labelled, type: "checkbox", checked: value === true });
  if (setting.choices.length) {
    return element("select", labelled, value === null ? element("option", { value: "", selected: true }, "–") : null,
      ...setting.choices.map(([choice, title]) => element("option", { value: choice, selected: choice === String(value) }, title || t("default"))));
  }
  const text = value === null ? "" : String(value);
  if (kind === "text" && (text.length > LONG || setting.maximum > 1000)) {
    const area = element("textarea", labelled);
    area.value = text;
    return area;
  }
  const isNumber = kind === "number" || kind === "integer";
  const range = isNumber ? { type: "number", min: setting.minimum, max: setting.maximum, step: kind === "integer" ? 1 : "any" } : { type: "text" };
  return element("input", { ...labelled, ...range, value: text });
}

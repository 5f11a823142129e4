// The card of what is allowed: pause, only for reading, which commands, the highest temperature.

import { byId, element } from "../shared/dom.js";
import { showTemperatureRange } from "../shared/heat.js";
import { fill } from "./fill.js";
import { t } from "../shared/words.js";

export function showRules(rules, desk) {
  fill(byId("rules"),
    toggle("pause", t("Pause everybody"), t("Nobody but teachers gets an answer until you switch this off. Answers that have begun are finished."),
      rules.paused, (on) => desk.set("access.paused", String(on)), notIn(rules, "access.paused")),
    desk.room && toggle("read-only", t("Only for reading"), t("Everybody can read this room, and only teachers can write in it."),
      rules.read_only, (on) => desk.order("read-only", { on })),
    commands(rules, desk),
    temperature(rules.temperature, desk, notIn(rules, "temperature.maximum")));
}

// Says in which rooms something else holds than in the whole chat.
function notIn(rules, name) {
  const rooms = rules.exceptions[name];
  return rooms ? element("p", { class: "about exception" }, t("Not so in: {rooms}", { rooms: rooms.join(", ") })) : null;
}

function toggle(id, title, about, on, change, exception = null) {
  const input = element("input", { id, type: "checkbox", role: "switch", class: "switch", checked: on, "aria-describedby": `${id}-about`, onchange: () => change(input.checked) });
  return element("div", { class: "row" },
    element("div", {}, element("label", { for: id }, title), element("p", { class: "about", id: `${id}-about` }, about), exception), input);
}

function commands(rules, desk) {
  const list = rules.commands;
  const row = ({ plugin, names, switch: setting, on }) => {
    const words = names.map((name) => `/${name}`).join(", ");
    const isAlone = on && list.every((other) => other.plugin === plugin || !other.on);
    // Of its own command alone: the other boxes may be older than what another teacher has set.
    const change = ({ target }) => desk.set(setting, String(target.checked));
    return element("li", {},
      element("label", {}, element("input", { id: `command-${plugin}`, type: "checkbox", checked: on, onchange: change }), " ", element("code", { class: "command" }, words)),
      isAlone ? element("span", { class: "about" }, t("alone")) : element("button", {
        id: `only-${plugin}`, type: "button", class: "secondary", "aria-label": `${t("Only this")}: ${words}`, onclick: () => desk.order("commands", { plugins: [plugin] }),
      }, t("Only this")), notIn(rules, setting));
  };
  const all = list.every(({ on }) => on) ? null : element("button", { id: "all-commands", type: "button", class: "secondary", "aria-label": `${t("Allow all of them")}: ${t("Commands")}`, onclick: () => desk.order("commands", { plugins: list.map(({ plugin }) => plugin) }) }, t("Allow all of them"));
  return element("fieldset", { class: "commands" },
    element("legend", {}, desk.room ? t("Commands in this room") : t("Commands")),
    element("ul", {}, ...list.map(row)), ...[all].filter(Boolean));
}

function temperature(value, desk, exception) {
  const shown = element("output", { for: "temperature" }, String(value));
  const input = element("input", {
    id: "temperature", type: "range", min: 0, max: 2, step: 0.1, value, "aria-describedby": "temperature-about",
    oninput: () => { shown.textContent = input.value; }, onchange: () => desk.set("temperature.maximum", input.value),
  });
  showTemperatureRange(input, 0, 2);
  return element("div", { class: "heat" },
    element("div", { class: "row" }, element("label", { for: "temperature" }, t("Highest temperature")), shown), input,
    element("p", { class: "about", id: "temperature-about" }, t("Low is safe, 1 is lively, and 2 may be nonsense.")), exception);
}

// The statistics page: a chart of the days, and tables with the same numbers and more.

import { byId, element } from "../shared/dom.js";
import { fetchJson } from "../shared/json.js";
import * as look from "../shared/look.js";
import { language, t } from "../shared/words.js";

const NAMED = 5, FEW = 10;
const date = new Intl.DateTimeFormat(undefined, { day: "numeric", month: "short", timeZone: "UTC" });
const short = new Intl.DateTimeFormat(undefined, { day: "numeric", month: "numeric", timeZone: "UTC" });
const sum = (numbers) => numbers.reduce((all, one) => all + one, 0);

look.begin();
byId("days").addEventListener("change", show);
byId("choosing").addEventListener("submit", (event) => event.preventDefault());
show();

async function show() {
  try {
    const figures = await fetchJson(`/statistics/data?${new URLSearchParams({ days: byId("days").value, locale: language })}`);
    byId("refused").textContent = "";
    byId("choosing").hidden = false;
    fill(figures);
  } catch (error) {
    byId("refused").textContent = error.message;
  }
}

function fill({ days, commands, refused, reasons, total, failed }) {
  byId("summary").textContent = total || reasons.length
    ? t("Answers: {count}, with an error: {failed}. Refusals: {refused}.", { count: total, failed, refused: sum(refused) })
    : t("Nobody used the chat in these days.");
  const kinds = mergeRare(commands, days.length);
  byId("figures").replaceChildren(...(total ? [chart(days, kinds), byCommand(commands)] : []),
    ...(total || reasons.length ? [byDay(days, kinds, refused)] : []), ...(reasons.length ? [byReason(reasons)] : []));
}

// Returns the commands that are used most, and all others as one.
function mergeRare(commands, length) {
  const kinds = commands.map(({ name, numbers }) => ({ name: `/${name}`, numbers }));
  if (kinds.length <= NAMED + 1) return kinds;
  const others = Array.from({ length }, (_, day) => sum(kinds.slice(NAMED).map(({ numbers }) => numbers[day])));
  return [...kinds.slice(0, NAMED), { name: t("all others"), numbers: others }];
}

// Hidden from screen readers, since the tables have the same numbers.
function chart(days, kinds) {
  const totals = days.map((_, day) => sum(kinds.map(({ numbers }) => numbers[day])));
  const highest = Math.max(...totals, 1);
  const bars = days.map((day, place) => {
    const parts = kinds.map(({ numbers }, kind) => ({ kind, number: numbers[place] })).filter(({ number }) => number).reverse();
    return element("div", { class: "day" },
      element("div", { class: "stack" }, element("b", {}, totals[place] || ""), ...parts.map(({ kind, number }) => {
        const part = element("i", { class: `kind-${kind}` });
        part.style.height = `${90 * number / highest}%`;
        return part;
      })),
      element("span", {}, short.format(new Date(day))));
  });
  return element("figure", { class: "chart", "aria-hidden": "true" },
    element("div", { class: days.length > FEW ? "bars many" : "bars" }, ...bars),
    element("ul", { class: "legend" }, ...kinds.map(({ name }, kind) => element("li", {}, element("i", { class: `kind-${kind}` }), name))));
}

function byCommand(commands) {
  const wait = (seconds) => (seconds === null ? t("more than 5 min") : `< ${seconds} s`);
  return table(t("By command"), [t("Command"), t("Answers"), t("Half waited"), t("Nine in ten waited"), "👍", "👎"],
    commands.map(({ name, numbers, wait: waited, up, down }) => [
      `/${name}`, sum(numbers), waited ? wait(waited.half) : "–", waited ? wait(waited.most) : "–", up, down]), "command");
}

function byDay(days, kinds, refused) {
  return table(t("By day"), [t("Day"), ...kinds.map(({ name }) => name), t("All"), t("Refused")], days.map((day, place) => [
    date.format(new Date(day)), ...kinds.map(({ numbers }) => numbers[place]),
    sum(kinds.map(({ numbers }) => numbers[place])), refused[place]]).reverse());
}

function byReason(reasons) {
  return table(t("Refused"), [t("Reason"), t("How often")], reasons, "command");
}

function table(title, heads, rows, style = null) {
  const id = `table-${title.replaceAll(/\W+/g, "-")}`;
  return element("section", { class: "table" }, element("h2", { id }, title),
    element("div", { class: "scrolls", tabindex: 0, role: "region", "aria-labelledby": id }, element("table", { "aria-labelledby": id },
      element("thead", {}, element("tr", {}, ...heads.map((head) => element("th", { scope: "col" }, head)))),
      element("tbody", {}, ...rows.map(([first, ...others]) => element("tr", {},
        element("th", { scope: "row", class: style }, first), ...others.map((value) => element("td", {}, value))))))));
}

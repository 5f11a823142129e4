// Tells moderators in the chat who waits to be let in.

import { visitorQuery } from "../shared/address.js";
import { DOUBLE_CLICK_MS, element } from "../shared/dom.js";
import { fetchJson } from "../shared/json.js";
import { t } from "../shared/words.js";

const section = element("section", { class: "knocking", role: "status", hidden: true });

// Shows the first of those who wait; `fail(sentence)` is called if an answer to them could not be given.
export function showWaiting({ first, count }, fail) {
  if (!section.isConnected) document.querySelector(".composer").prepend(section);
  section.hidden = count === 0;
  if (section.hidden) return;
  const shownAt = Date.now();
  const act = async (what) => {
    // The second click was not meant for the one who is shown since the first.
    if (Date.now() - shownAt < DOUBLE_CLICK_MS) return;
    try {
      await fetchJson(`/people/data?${visitorQuery()}`, { method: "POST", body: JSON.stringify({ do: what, ids: [first.id] }) });
    } catch (problem) {
      fail(problem.message);
    }
  };
  section.replaceChildren(
    element("span", {}, t("{name} would like to come in.", { name: first.name })),
    element("button", { type: "button", class: "primary", "aria-label": `${t("Let in")}: ${first.name}`, onclick: () => act("let_in") }, t("Let in")),
    element("button", { type: "button", class: "secondary", "aria-label": `${t("Not now")}: ${first.name}`, onclick: () => act("turn_away") }, t("Not now")),
    ...(count > 1 ? [element("a", { href: "/people" }, t("{count} people are waiting", { count }))] : []));
}

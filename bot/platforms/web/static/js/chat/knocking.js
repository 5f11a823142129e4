// Tells moderators in the chat who waits to be let in.

import { visitorQuery } from "../shared/address.js";
import { DOUBLE_CLICK_MS, element } from "../shared/dom.js";
import { fetchJson } from "../shared/json.js";
import { t, tn } from "../shared/words.js";

const section = element("section", { class: "knocking", role: "status", hidden: true });
let shown = {};

// Shows the first of those who wait; `fail(sentence)` is called if an answer to them could not be given.
export function showWaiting({ first, count }, fail) {
  if (!section.isConnected) document.querySelector(".composer").prepend(section);
  section.hidden = count === 0;
  if (section.hidden) return;
  if (shown.id !== first.id) shown = { id: first.id, since: Date.now() };
  const act = async (what) => {
    try {
      await fetchJson(`/people/data?${visitorQuery()}`, { method: "POST", body: JSON.stringify({ do: what, ids: [first.id] }) });
    } catch (problem) {
      fail(problem.message);
    }
  };
  const buttons = [["let_in", t("Let in"), "primary"], ["turn_away", t("Not now"), "secondary"]].map(([what, label, look]) =>
    element("button", { type: "button", class: look, "aria-label": `${label}: ${first.name}`, onclick: () => act(what) }, label));
  section.replaceChildren(
    element("span", {}, t("{name} would like to come in.", { name: first.name })),
    ...buttons,
    ...(count > 1 ? [element("a", { href: "/people" }, tn("One person is waiting", "{count} people are waiting", count))] : []));
  // The second click of two was not meant for the one who is shown since the first.
  const early = shown.since + DOUBLE_CLICK_MS - Date.now();
  if (early <= 0) return;
  for (const button of buttons) button.disabled = true;
  setTimeout(() => buttons.forEach((button) => { button.disabled = false; }), early);
}

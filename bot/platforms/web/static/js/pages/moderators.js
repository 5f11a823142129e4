// The list of moderators on the settings page: each sign-in can be ended.

import { visitorQuery } from "../shared/address.js";
import { byId, element } from "../shared/dom.js";
import { fetchJson } from "../shared/json.js";
import { localTime } from "../shared/times.js";
import { t } from "../shared/words.js";


export function begin() {
  byId("end-others").addEventListener("click", () => end(null));
  show();
}

function fetchList(options) {
  return fetchJson(`/settings/moderators?${visitorQuery()}`, options);
}

// Shows the list after a request, and returns whether it was granted. Whoever is no moderator reads so above the settings.
async function show(options) {
  try {
    const { moderators } = await fetchList(options);
    byId("moderators-refused").textContent = "";
    byId("moderators-list").replaceChildren(...moderators.map(row));
    byId("end-others").hidden = !moderators.some(({ own }) => !own);
    byId("moderators").hidden = false;
    return true;
  } catch (error) {
    byId("moderators-refused").textContent = error.message;
    return false;
  }
}

async function end(id, own) {
  if (!await show({ method: "POST", body: JSON.stringify({ id }) })) return;
  if (own) location.assign("/");
  else byId("moderators-title").focus();
}

function row({ id, name, own, ...times }) {
  const { since, used, ends } = Object.fromEntries(Object.entries(times).map(([key, seconds]) => [key, localTime(seconds)]));
  return element("li", {},
    element("div", {},
      element("h3", {}, name, " ", own ? element("b", {}, t("this browser")) : null),
      element("p", { class: "from" }, t("signed in {since} · last used {used} · expires {ends}", { since, used, ends }))),
    element("div", { class: "control" },
      element("button", { type: "button", class: "secondary", "aria-label": t("End the sign-in of {name}", { name }), onclick: () => end(id, own) }, t("End"))));
}

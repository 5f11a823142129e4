// The page of private places: lists the visitors, and shows what one of them asked. Nothing there can be pressed.

import { ExchangeView } from "../chat/exchange.js";
import { visitorQuery } from "../shared/address.js";
import { byId, element } from "../shared/dom.js";
import { fetchJson } from "../shared/json.js";
import * as look from "../shared/look.js";
import { localTime } from "../shared/times.js";
import { t } from "../shared/words.js";

const NO_ACTIONS = new Proxy({}, { get: () => () => false });

look.begin();
list();

function fetchPart(path) {
  return fetchJson(`/private/data${path}?${visitorQuery()}`);
}

async function list() {
  try {
    const { places } = await fetchPart("");
    byId("nothing").hidden = places.length > 0;
    byId("visitors").replaceChildren(...places.map((place) => element("li", {}, button(place))));
  } catch (error) {
    byId("refused").textContent = error.message;
  }
}

function button({ id, name, at, answers }) {
  const shown = element("button", { type: "button", "aria-pressed": "false", onclick: () => show(id, name, shown) },
    element("b", {}, name),
    element("small", {}, t("Answers: {count}, the last {when}", { count: answers, when: localTime(at) })));
  return shown;
}

async function show(id, name, pressed) {
  try {
    const { exchanges } = await fetchPart(`/${id}`);
    byId("refused").textContent = "";
    for (const one of byId("visitors").querySelectorAll("button")) one.setAttribute("aria-pressed", String(one === pressed));
    byId("place-title").textContent = name;
    byId("exchanges").replaceChildren(...exchanges.map((exchange) => new ExchangeView(exchange, NO_ACTIONS).root));
    byId("place").hidden = false;
    byId("place").focus();
  } catch (error) {
    byId("refused").textContent = error.message;
  }
}

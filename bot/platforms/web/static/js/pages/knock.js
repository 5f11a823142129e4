// The page of newcomers: they say how they would like to be called, and wait until they are let in.

import { byId } from "../shared/dom.js";
import { fetchJson } from "../shared/json.js";
import { t, tn } from "../shared/words.js";

const NAME = "tempera-name", KNOCKED = "tempera-knocked";
const PAUSE_MS = 3000;
const form = byId("knock"), name = byId("name"), error = byId("error");

name.value = localStorage.getItem(NAME) ?? "";
form.addEventListener("submit", (event) => {
  event.preventDefault();
  knock();
});
follow();

async function knock() {
  error.textContent = "";
  try {
    const answer = await fetchJson("/knock", { method: "POST", body: JSON.stringify({ name: name.value }) });
    localStorage.setItem(NAME, answer.name);
    sessionStorage.setItem(KNOCKED, "yes");
    show(answer);
  } catch (problem) {
    sessionStorage.removeItem(KNOCKED);
    form.hidden = false;
    byId("waiting").hidden = true;
    error.textContent = problem.message;
  }
}

// Asks again and again how it stands. The bot forgets who waits when it is started again; then the page knocks by itself.
async function follow() {
  try {
    const answer = await fetchJson("/knock/state");
    if (answer.state === "new" && answer.waits && sessionStorage.getItem(KNOCKED) && name.value) await knock();
    else show(answer);
  } catch {
    // The chat cannot be reached at the moment.
  }
  setTimeout(follow, PAUSE_MS);
}

function show({ state, name: called, ended, minutes, waits }) {
  if (state === "code") return location.replace(`/join${location.hash}`);
  if (state === "in") {
    sessionStorage.removeItem(KNOCKED);
    return location.replace(target());
  }
  const isWaiting = state === "waiting", isTurnedAway = state === "turned away";
  if (isTurnedAway) sessionStorage.removeItem(KNOCKED);
  form.hidden = isWaiting;
  byId("waiting").hidden = !isWaiting;
  byId("waiting-text").textContent = t("You are “{name}”. This page goes on by itself as soon as you are let in.", { name: called });
  byId("why").textContent = isTurnedAway ? tn("Not now. You can knock again in a minute.", "Not now. You can knock again in {count} minutes.", minutes)
    : ended ? t("A moderator has ended your visit.") : t("Say who you are. A teacher lets newcomers in one by one.");
  byId("submit").textContent = waits ? t("Knock") : t("Come in");
  byId("submit").disabled = isTurnedAway;
}

// Returns the page of this chat that led here.
function target() {
  let wanted;
  try {
    wanted = new URL(new URLSearchParams(location.search).get("to") ?? "/", location.origin);
  } catch {
    return "/";
  }
  wanted.hash = location.hash;
  // The whole address: a path that begins with two slashes would lead elsewhere by itself.
  return wanted.origin === location.origin ? wanted.href : "/";
}

// The teachers' start page: fetches what it shows in one piece, and hands each card its part.

import { chatAddress, visitorQuery } from "../shared/address.js";
import { byId, element } from "../shared/dom.js";
import { fetchJson } from "../shared/json.js";
import * as look from "../shared/look.js";
import { showBasics } from "./basics.js";
import { showInvitation } from "./invite.js";
import { showLessons } from "./lessons.js";
import { showPeople } from "../shared/people.js";
import { showPresets } from "./presets.js";
import { showRules } from "./rules.js";
import * as talk from "./talk.js";
import { t } from "../shared/words.js";

// The room that everything is for; "" is the whole chat.
let room = "";
let loads = 0, changes = 0;

// What the cards may do: `order` and `set` return the answer, or null if it was refused, and show the page anew. `done` is
// what is then said.
const desk = {
  get room() { return room; },
  order: (path, values, done) => change(`/class/${path}`, { room, ...values }, done),
  set: (name, value) => change("/settings/data", { room, name, value, follows: true }),
  fail,
};

const query = () => visitorQuery({ room });

look.begin();
talk.begin(desk);
byId("home").href = byId("to-chat").href = chatAddress();
byId("scope").addEventListener("change", () => {
  room = byId("scope").value;
  say("");
  // What the cards still show is of the room before, and must not be saved for this one.
  document.querySelector(".cards").inert = true;
  show();
});
// Another teacher may have changed something since the page was last seen.
document.addEventListener("visibilitychange", () => { if (!document.hidden) show(); });
window.addEventListener("pageshow", ({ persisted }) => { if (persisted) show(); });
show();

async function show() {
  const load = loads += 1;
  try {
    const data = await fetchJson(`/class/data?${query()}`);
    if (load !== loads) return;
    byId("refused").textContent = "";
    showScope(data.rooms);
    showInvitation(data.invitation);
    showRules(data.rules, desk);
    showPresets(data.rules, desk);
    showLessons(data.lessons, desk);
    showBasics(data.basics, desk);
    talk.showTask(data.rules);
    talk.showTranscripts(data.rooms, room);
    document.querySelector(".cards").inert = false;
    if (byId("cards").hidden) showPeople(byId("people"));
    byId("cards").hidden = false;
  } catch (error) {
    if (load === loads) fail(error.message);
  }
}

function showScope(rooms) {
  const choices = [["", t("the whole chat")], ...rooms.map((name) => [name, `# ${name}`])];
  byId("scope").replaceChildren(...choices.map(([value, label]) => element("option", { value, selected: value === room }, label)));
}

async function change(address, values, done = t("Saved. Everybody’s page shows it.")) {
  const mine = changes += 1;
  // What is being fetched is of before this change.
  loads += 1;
  say("");
  let answer;
  try {
    answer = await fetchJson(`${address}?${query()}`, { method: "POST", body: JSON.stringify(values) });
  } catch (error) {
    await show();
    fail(error.message);
    return null;
  }
  await show();
  if (mine === changes) say(done);
  return answer;
}

function fail(sentence) {
  const refused = byId("refused");
  refused.textContent = sentence;
  refused.scrollIntoView({ block: "nearest" });
}

function say(sentence) {
  byId("said").textContent = sentence;
}

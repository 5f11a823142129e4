// The list of who is here, for moderators: tells people apart, and lets one rename them, time them out and end their visits; and those
// who wait are let in.

import { visitorQuery } from "./address.js";
import { element, icon } from "./dom.js";
import { fetchJson } from "./json.js";
import { localTime } from "./times.js";
import { t, tn } from "./words.js";

const PAUSE_MS = 4000;
const time = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit" });
const clock = (seconds) => time.format(seconds * 1000);
// Returns a time to come, with its day if that is not today.
const moment = (seconds) => (new Date(seconds * 1000).toDateString() === new Date().toDateString() ? clock : localTime)(seconds);

// Shows the list in `root` and keeps it up to date while the page can be seen.
export function showPeople(root) {
  const list = element("ul"), count = element("p", { role: "status", tabindex: -1 }), error = element("p", { class: "error", role: "alert" });
  const dialog = element("dialog", { "aria-labelledby": "person-title" });
  root.classList.add("people");
  const waitingList = element("ul", { class: "waiting", hidden: true });
  root.append(error, waitingList, count, list, dialog);
  let shown = "", opener = "";

  async function load(act) {
    try {
      const answer = await fetchJson(`/people/data?${visitorQuery()}`, act && { method: "POST", body: JSON.stringify(act) });
      error.textContent = "";
      const text = JSON.stringify(answer);
      if (text !== shown) fill(answer);
      shown = text;
    } catch (problem) {
      if (act) throw problem;
      error.textContent = problem.message;
    }
  }

  function fill({ people, waiting }) {
    const focused = root.contains(document.activeElement) ? document.activeElement.dataset.key : "";
    const here = people.filter((person) => person.here).length;
    count.textContent = tn("One person is here.", "{count} people are here.", here);
    list.replaceChildren(...people.map(row));
    waitingList.hidden = !waiting.length;
    waitingList.replaceChildren(...(waiting.length > 1 ? [everybody(waiting)] : []), ...waiting.map(newcomer));
    if (focused) focusOn(focused);
  }

  // Puts the focus on a button of the list. A person may have gone, and the button with them; then the list stays where
  // it is, though the focus is at its top.
  const focusOn = (key) => {
    const button = root.querySelector(`[data-key="${key}"]`);
    if (button) button.focus();
    else count.focus({ preventScroll: true });
  };

  function row(person) {
    const { id, name, mark } = person;
    const sign = element("span", { class: "mark", role: "img", "aria-label": t("mark {letters}", mark) }, mark.letters);
    sign.style.setProperty("--hue", String(mark.hue));
    const button = (key, label, press) => element("button", {
      type: "button", "data-key": `${id}-${key}`, "aria-label": t("{action}: {name}, mark {letters}", { action: label, name, letters: mark.letters }),
      // Safari gives a button that is clicked no focus, so what is focused does not tell which one it was.
      onclick: () => { opener = `${id}-${key}`; press(); },
    }, label);
    const buttons = person.own || person.moderator ? [] : [
      button("rename", t("Rename"), () => rename(person)),
      person.timed_out ? button("lift", t("Let them ask again"), () => act({ do: "lift", id })) : button("out", t("Time out"), () => timeOut(person)),
      button("end", t("End"), () => end(person)),
      person.met > 1 && !person.timed_out ? button("all", t("Whole address"), () => timeOutAddress(person)) : null,
    ];
    return element("li", {}, sign,
      element("div", {},
        element("p", { class: "who" }, name, ...states(person)),
        element("p", {}, facts(person).join(" · ")),
        person.asked ? element("p", { class: "asked" }, person.asked) : null),
      element("div", { class: "buttons" }, ...buttons));
  }

  const answers = (key, ids, about) => element("div", { class: "buttons" }, ...[["let_in", t("Let in"), "primary"], ["turn_away", t("Not now"), null]].map(([what, label, style]) => element("button", {
    type: "button", class: style, "data-key": `${key}-${what}`, "aria-label": `${label}: ${about}`, onclick: () => act({ do: what, ids }),
  }, label)));

  const newcomer = ({ id, name, since, device, at_address: count }) => element("li", {}, icon("door"),
    element("div", {},
      element("p", { class: "who" }, t("{name} would like to come in.", { name })),
      element("p", {}, [t("waits since {time}", { time: clock(since) }), device, count ? tn("same address as one who is here", "same address as {count} who are here", count) : ""].filter(Boolean).join(" · "))),
    answers(id, [id], name));

  const everybody = (waiting) => {
    const about = tn("One person is waiting", "{count} people are waiting", waiting.length);
    return element("li", {}, icon("people"), element("p", { class: "who" }, about), answers("all", waiting.map(({ id }) => id), about));
  };

  // Does something at once, and says below the heading why it was refused.
  async function act(what) {
    try {
      await load(what);
    } catch (problem) {
      error.textContent = problem.message;
    }
  }

  const rename = ({ id, name }) => ask({
    title: t("Rename {name}", { name }), submit: t("Rename"),
    about: t("They are told who renamed them and why names matter, and cannot change the name themselves. It stands at what they asked before, too."),
    field: element("input", { name: "value", type: "text", required: true, maxlength: 32, value: name }), label: t("New name"),
    act: (value) => ({ do: "rename", id, name: value }),
  });

  const end = ({ id, name }) => ask({
    title: t("End the visit of {name}", { name }), submit: t("End it"), isGrave: true,
    about: t("Their pages close, and they must join again, with the join code if there is one."),
    act: () => ({ do: "end", id }),
  });

  const timeOut = ({ id, name }) => ask({
    title: t("Time out {name}", { name }), submit: t("Time out"), about: t("They can read on, but ask nothing."),
    field: spans(), label: t("For how long"), act: (value) => ({ do: "time_out", id, seconds: Number(value) }),
  });

  const timeOutAddress = ({ id, met }) => ask({
    title: t("A whole address"), submit: t("Time them all out"), isGrave: true,
    about: tn("This affects one person. Time them out?", "This affects {count} people. Time them all out?", met),
    field: spans(), label: t("For how long"), act: (value) => ({ do: "time_out_address", id, seconds: Number(value), count: met }),
  });

  // Asks for a value in the dialog, which closes once what `act(value)` returns has been done.
  function ask({ title, about, field, label, submit, act: make, isGrave }) {
    const why = element("p", { class: "error", role: "alert" });
    const cancel = element("button", { type: "button", onclick: () => dialog.close() }, t("Cancel"));
    if (field) field.id = "person-value";
    dialog.replaceChildren(element("form", { onsubmit: async (event) => {
      event.preventDefault();
      try {
        await load(make(field?.value));
        dialog.close();
      } catch (problem) {
        why.textContent = problem.message;
      }
    } },
    element("h2", { id: "person-title" }, title), element("p", {}, about),
    field ? element("div", { class: "field" }, element("label", { for: field.id }, label), field) : null, why,
    element("div", { class: "buttons" }, element("button", { type: "submit", class: isGrave ? "primary grave" : "primary" }, submit), cancel)));
    dialog.showModal();
    if (isGrave) cancel.focus();
  }

  // The button that opened the dialog was replaced if the list has changed.
  dialog.addEventListener("close", () => {
    const focused = document.activeElement;
    if (dialog.contains(focused) || !root.contains(focused)) focusOn(opener);
  });
  const refresh = () => { if (!document.hidden) load(); };
  setInterval(refresh, PAUSE_MS);
  document.addEventListener("visibilitychange", refresh);
  load();
}

function states({ moderator, own, here, timed_out: until }) {
  return [
    moderator ? element("span", { class: "state" }, icon("shield"), " ", t("Moderator")) : null,
    own ? element("span", { class: "state" }, t("this browser")) : null,
    here ? null : element("span", { class: "state" }, t("has left")),
    until ? element("span", { class: "state" }, icon("clock"), " ", t("timed out until {time}", { time: moment(until) })) : null,
  ].filter(Boolean);
}

function facts({ room, since, seen, here, device, given, at_address: count }) {
  return [
    room.startsWith("~") ? t("Just me") : `# ${room}`, here ? t("since {time}", { time: clock(since) }) : t("until {time}", { time: clock(seen) }), device,
    count > 1 ? tn("same address as one other", "same address as {count} others", count - 1) : "", given ? t("renamed by a moderator") : "",
  ].filter(Boolean);
}

// Offers how long a time-out lasts. The day ends at midnight where the moderator is.
function spans() {
  const midnight = new Date().setHours(24, 0, 0, 0);
  const rest = Math.max(60, Math.floor((midnight - Date.now()) / 1000));
  return element("select", { name: "value" }, ...[[300, t("5 minutes")], [3600, t("1 hour")], [rest, t("the rest of the day")]].map(
    ([seconds, label]) => element("option", { value: seconds }, label)));
}

// The card of lessons: adds a file that is chosen or dropped, takes a version back, and lists what was asked in vain.

import { uploadFile } from "../chat/upload.js";
import { byId, DOUBLE_CLICK_MS, element, icon } from "../shared/dom.js";
import { Markdown } from "../shared/markdown.js";
import { fill } from "./fill.js";
import { localTime } from "../shared/times.js";
import { t, tn } from "../shared/words.js";

const FORMATS = ".md,.markdown,.txt,.html,.htm,.docx,.pdf";
// What the newest order was answered with, the lesson whose removal waits for a second press, and what was shown last.
let said = "", removing = "";
let newest = [], armedAt = 0;

export function showLessons(shelves, desk) {
  newest = shelves;
  fill(byId("lessons"), ...shelves.flatMap((shelf) => shelfView(shelf, desk)));
}

function shelfView({ plugin, documents, missed, unhelpful }, desk) {
  const send = async (order) => {
    said = "";
    removing = "";
    const answer = await desk.order("lesson", { plugin, ...order }, "");
    said = answer?.said ?? "";
    again();
  };
  const again = () => showLessons(newest, desk);
  return [
    dropZone(send, desk),
    said ? answerView() : null,
    element("ul", { class: "documents" }, ...documents.map((one) => documentView(one, send, again))),
    gaps(t("Asked, and not found"), missed, t("So far every question was answered.")),
    unhelpful.length ? gaps(t("Answered, but it did not help"), unhelpful, "") : null,
  ];
}

function answerView() {
  const body = element("div", { class: "markdown answered", role: "status" });
  new Markdown(body).show(said);
  return body;
}

function dropZone(send, desk) {
  const add = async (file) => {
    if (!file) return;
    try {
      await send({ title: file.name.replace(/\.[^.]+$/, "").slice(0, 100) || file.name, file: await uploadFile(file) });
    } catch (error) {
      desk.fail(error.message);
    }
  };
  const input = element("input", { id: "lesson-file", type: "file", accept: FORMATS, class: "unseen", onchange: () => add(input.files[0]) });
  const zone = element("label", { class: "drop", for: "lesson-file" }, icon("plus"),
    element("span", {}, element("b", {}, t("Add a lesson")), " ", t("Choose a file or drop it here: Markdown, text, HTML, Word or PDF.")));
  zone.addEventListener("dragover", (event) => { event.preventDefault(); zone.classList.add("over"); });
  zone.addEventListener("dragleave", () => zone.classList.remove("over"));
  zone.addEventListener("drop", (event) => { event.preventDefault(); zone.classList.remove("over"); add(event.dataTransfer.files[0]); });
  return element("div", {}, input, zone);
}

function documentView({ title, url, versions, problem }, send, again) {
  const name = url ? element("a", { href: url, dir: "auto" }, title) : element("b", { dir: "auto" }, title);
  if (!versions.length) return element("li", {}, element("div", { class: "row" }, name, element("span", { class: "about" }, problem || t("comes with the bot"))));
  const isSure = removing === title, label = isSure ? t("Remove for good") : t("Remove");
  const remove = element("button", { id: `remove-${title}`, type: "button", class: isSure ? "secondary sure" : "secondary", "aria-label": `${label}: ${title}`, onclick: () => {
    if (isSure && Date.now() - armedAt < DOUBLE_CLICK_MS) return;
    if (isSure) return send({ title });
    [removing, armedAt] = [title, Date.now()];
    return again();
  } }, label);
  return element("li", {}, element("div", { class: "row" }, name, remove),
    problem ? element("p", { class: "error" }, problem) : "",
    versions.length > 1 ? element("details", {}, element("summary", {}, tn("1 version", "{count} versions", versions.length)), element("ul", {}, ...versions.map((version, place) => versionView(title, version, place === 0, send))))
      : element("p", { class: "about" }, describe(versions[0])));
}

function versionView(title, version, isNewest, send) {
  const use = isNewest ? element("span", { class: "about" }, t("in use")) : element("button", {
    id: `restore-${title}-${version.number}`, type: "button", class: "secondary", "aria-label": `${t("Use it again")}: ${title}, ${version.number}`, onclick: () => send({ title, version: version.number }),
  }, t("Use it again"));
  return element("li", { class: "row" }, element("span", { class: "about" }, describe(version)), use);
}

const describe = ({ number, file, at }) => `${t("Version {number}", { number })} · ${file} · ${localTime(at)}`;

function gaps(title, list, none) {
  return element("div", {}, element("h3", {}, title),
    list.length ? element("ul", { class: "gaps" }, ...list.map(([text, count]) => element("li", {}, element("span", { dir: "auto" }, text), element("span", { class: "about" }, `${count} ×`)))) : element("p", { class: "about" }, none));
}

// The reading page, such as a lesson: shows its parts, each of which can be linked to and asked about.

import { chatAddress } from "../shared/address.js";
import { byId, element } from "../shared/dom.js";
import { ASKED, DRAFT, KEPT } from "../shared/draft.js";
import { decodeFragment } from "../shared/fragment.js";
import { fetchJson } from "../shared/json.js";
import * as look from "../shared/look.js";
import { documentMarkdown, Markdown } from "../shared/markdown.js";
import { t } from "../shared/words.js";

const [, , plugin, name] = location.pathname.split("/");
const { search } = location;
const wide = matchMedia("(min-width: 60rem)");

let shown = "";

look.begin();
show();
// A teacher may have changed the lesson while the page was in the background.
document.addEventListener("visibilitychange", () => { if (document.visibilityState === "visible") show(); });

async function show() {
  const text = byId("text");
  try {
    const found = await fetchJson(`/reading/${plugin}${name ? `/${name}` : ""}${search}`);
    if (JSON.stringify(found) === shown) return;
    const isFirst = !shown;
    shown = JSON.stringify(found);
    if (name) showPage(found);
    else showList(found.pages);
    if (isFirst) scrollToFragment();
  } catch (error) {
    if (shown && error.status !== 404) return;
    // It is shown again if it comes back.
    shown = "";
    byId("contents").hidden = true;
    console.warn("The page could not be shown.", error);
    text.replaceChildren(...error.status === 404 ? [
      element("h1", {}, t("There is no such page")),
      element("p", {}, t("It was removed, or its address is wrong."), " ", element("a", { href: chatAddress() }, t("Back to the chat"))),
    ] : [element("h1", {}, t("Lessons")), element("p", { class: "error", role: "alert" }, error.message)]);
  }
  text.setAttribute("aria-busy", "false");
}

function showList(pages) {
  if (pages.length === 1) return location.replace(`/read/${plugin}/${pages[0].name}${search}`);
  byId("text").replaceChildren(
    element("h1", {}, t("Lessons")),
    ...(pages.length ? [] : [element("p", {}, t("There is nothing to read here yet."))]),
    element("ul", { class: "pages" }, ...pages.map((page) => element("li", {},
      element("a", { href: `/read/${plugin}/${page.name}${search}`, dir: "auto" }, page.title)))));
}

function showPage({ title, parts, others }) {
  document.title = `${title} · Tempera`;
  byId("text").replaceChildren(...parts.map(section));
  if (others.length) byId("text").firstElementChild.append(element("p", { class: "languages" }, ...others.map((other) =>
    element("a", { href: `/read/${plugin}/${other.name}${search}`, lang: other.language, hreflang: other.language }, other.title))));
  byId("headings").replaceChildren(...parts.map(({ heading, anchor, level }) =>
    element("a", { href: `#${anchor}`, class: `level-${level}`, dir: "auto" }, heading)));
  byId("contents").hidden = parts.length < 2;
  foldContents();
  markWhatIsRead();
}

function section({ heading, text, anchor, level, ask }) {
  const body = element("div", { class: "markdown" });
  new Markdown(body, documentMarkdown).show(text);
  const link = element("a", { class: "here", href: `#${anchor}`, "aria-label": t("Link to “{heading}”", { heading }) }, "#");
  const asks = ask && element("button", { type: "button", class: "secondary", onclick: () => askAbout(ask) }, t("Ask about this"));
  return element("section", { id: anchor, tabindex: -1 }, element(`h${level}`, { dir: "auto" }, heading, link), body, asks || null);
}

// Opens the chat with a question in the message box. A draft that was typed there comes back once the question is sent;
// an earlier question from such a page does not.
function askAbout(line) {
  const draft = sessionStorage.getItem(DRAFT);
  const isTyped = draft && draft !== sessionStorage.getItem(ASKED);
  if (isTyped && sessionStorage.getItem(KEPT) === null) sessionStorage.setItem(KEPT, draft);
  sessionStorage.setItem(ASKED, line);
  sessionStorage.setItem(DRAFT, line);
  location.assign(chatAddress());
}

// The browser looked for the part in the address before it was there.
function scrollToFragment() {
  if (location.hash) byId(decodeFragment(location.hash.slice(1)))?.scrollIntoView();
}

function foldContents() {
  byId("contents").open = wide.matches;
}
wide.addEventListener("change", foldContents);

// Marks in the contents the part that is being read.
function markWhatIsRead() {
  const links = new Map([...byId("headings").children].map((link) => [decodeFragment(link.hash.slice(1)), link]));
  const seen = new Set();
  const watcher = new IntersectionObserver((entries) => {
    for (const { target, isIntersecting } of entries) {
      if (isIntersecting) seen.add(target.id);
      else seen.delete(target.id);
    }
    const first = [...links.keys()].find((id) => seen.has(id));
    for (const [id, link] of links) {
      if (id === first) link.setAttribute("aria-current", "true");
      else link.removeAttribute("aria-current");
    }
  });
  for (const part of byId("text").children) watcher.observe(part);
}
byId("headings").addEventListener("click", () => { if (!wide.matches) byId("contents").open = false; });

// Renders Markdown. Answers are untrusted, so only HTML that can do nothing is kept.

import { copyText } from "./copy.js";
import { element, setIcon } from "./dom.js";
import { Marked } from "../../vendor/marked.esm.js";
import DOMPurify from "../../vendor/purify.es.mjs";
import { timeExtension } from "./times.js";
import { t } from "./words.js";

const ENTITIES = { "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&#39;" };
const escaped = (text) => text.replace(/[&<>"']/g, (char) => ENTITIES[char]);

const COMMON = {
  gfm: true,
  renderer: {
    // HTML tags in an answer are shown as text, since the answer is about them.
    html: ({ text }) => escaped(text),
    // A picture from another server would tell that server who reads this.
    image: ({ href, text }) => `<a href="${escaped(href)}">${escaped(text || href)}</a>`,
  },
};
// In chat messages a line break is meant as one; in files lines are often wrapped by hand.
const chatMarkdown = new Marked({ ...COMMON, breaks: true, extensions: [timeExtension] });
export const documentMarkdown = new Marked({ ...COMMON, breaks: false });

// Two characters without a meaning of their own, between which a part of a text is marked.
export const MARKS = ["\ue000", "\ue001"];
const MARKED = /\ue000([^\ue001]*)\ue001/;
const ALL_MARKS = /[\ue000\ue001]/g;

const ALLOWED = {
  ALLOWED_TAGS: [
    "a", "blockquote", "br", "code", "del", "em", "h1", "h2", "h3", "h4", "h5", "h6", "hr", "li", "ol", "p", "pre",
    "strong", "table", "tbody", "td", "th", "thead", "time", "tr", "ul",
  ],
  ALLOWED_ATTR: ["href", "start", "align", "datetime"],
  ALLOW_DATA_ATTR: false,
  ALLOW_ARIA_ATTR: false,
  // Of the pages of this chat an answer may only link to those for reading.
  ALLOWED_URI_REGEXP: /^(?:(?:https?|mailto):|\/read\/)/i,
  ADD_URI_SAFE_ATTR: ["start", "align", "datetime"],
  RETURN_DOM_FRAGMENT: true,
};
const ALLOWED_IN_CODE = { ALLOWED_TAGS: ["span"], ALLOWED_ATTR: ["class"], RETURN_DOM_FRAGMENT: true };

const LANGUAGES = new Map(Object.entries({
  python: ["python", "py", "python3"], javascript: ["javascript", "js", "jsx", "typescript", "ts"], json: ["json"],
  bash: ["bash", "sh", "shell", "zsh", "console"], xml: ["xml", "html", "svg"], css: ["css"], c: ["c", "h"],
  cpp: ["cpp", "c++", "cc", "hpp"], java: ["java"], sql: ["sql"], yaml: ["yaml", "yml"], diff: ["diff", "patch"],
}).flatMap(([language, names]) => names.map((name) => [name, language])));

DOMPurify.addHook("afterSanitizeAttributes", (node) => {
  if (node.tagName === "A") {
    node.setAttribute("target", "_blank");
    node.setAttribute("rel", "noopener noreferrer nofollow");
  }
});

// Adds the target to each link whose text does not begin with it: models invent links, and text can hide a target.
function showTargets(root) {
  for (const link of root.querySelectorAll("a[href]")) {
    const { protocol, host, pathname } = link;
    const target = protocol === "mailto:" ? pathname : host;
    const text = link.textContent.trim().toLowerCase().replace(/^(https?:\/\/|mailto:)/, "");
    const isShown = text.startsWith(target) && /^($|[/?#])/.test(text.slice(target.length));
    if (!isShown && host !== location.host) link.append(" ", element("small", { class: "goal" }, target));
  }
  return root;
}

// Turns the marks of a text into elements.
function showMarks(root) {
  const words = document.createTreeWalker(root, NodeFilter.SHOW_TEXT);
  for (let node = words.nextNode(); node; node = words.nextNode()) {
    const found = node.data.match(MARKED);
    if (!found) continue;
    const after = node.splitText(found.index);
    after.data = after.data.slice(found[0].length);
    after.before(element("mark", {}, found[1]));
  }
  return root;
}

// Shows a text that grows. Only blocks that changed are rendered again, so that a selection in the others stays.
export class Markdown {
  #blocks = [];

  constructor(root, parser = chatMarkdown) {
    this.root = root;
    this.parser = parser;
  }

  show(text) {
    const tokens = this.parser.lexer(text).filter(({ type }) => type !== "space" && type !== "def");
    tokens.forEach((token, place) => {
      const known = this.#blocks[place];
      if (known?.raw === token.raw) return;
      const nodes = token.type === "code" ? [codeBlock(token)] : [...this.#clean(token).childNodes];
      const next = this.#blocks.slice(place).find((block) => block.nodes.length)?.nodes[0] ?? null;
      for (const node of nodes) this.root.insertBefore(node, next);
      for (const node of known?.nodes ?? []) node.remove();
      this.#blocks[place] = { raw: token.raw, nodes };
    });
    for (const gone of this.#blocks.splice(tokens.length)) for (const node of gone.nodes) node.remove();
  }

  #clean(token) {
    const clean = DOMPurify.sanitize(this.parser.parser([token]), ALLOWED);
    for (const block of showMarks(clean).children) block.dir = "auto";
    return this.parser === chatMarkdown ? showTargets(clean) : clean;
  }
}

function codeBlock({ text: raw, lang }) {
  const text = raw.replace(ALL_MARKS, "");
  const code = element("code", { tabindex: 0 }, text);
  const name = (lang ?? "").trim().split(/\s/)[0].toLowerCase();
  const copy = setIcon(element("button", { type: "button", class: "icon" }), "copy", t("Copy the code"));
  copy.addEventListener("click", () => copyText(copy, () => text));
  if (LANGUAGES.has(name)) highlight(code, text, LANGUAGES.get(name));
  return element("figure", { class: "code" },
    element("figcaption", {}, element("span", {}, name || t("text")), copy),
    element("pre", {}, code));
}

let highlighter = null;

// Colours the code once the highlighter is loaded; it can be read before.
async function highlight(code, text, language) {
  try {
    highlighter ??= import("../../vendor/highlight/core.min.js");
    const { default: core } = await highlighter;
    if (!core.getLanguage(language)) core.registerLanguage(language, (await import(`../../vendor/highlight/${language}.min.js`)).default);
    code.replaceChildren(DOMPurify.sanitize(core.highlight(text, { language }).value, ALLOWED_IN_CODE));
  } catch (error) {
    // The next code tries again.
    highlighter = null;
    console.warn("The code could not be highlighted.", error);
  }
}

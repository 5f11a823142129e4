// An answer as its tokens, coloured by how surprising each was. One that is chosen shows what else was likely, and the
// answer can be gone on with from there.

import { percent, visible } from "../shared/dialview.js";
import { element } from "../shared/dom.js";
import { t } from "../shared/words.js";

const BOUNDS = [0.5, 1.5, 3, 5];
const number = new Intl.NumberFormat(undefined, { maximumFractionDigits: 1 });

const surprise = (probability) => -Math.log2(Math.max(probability, Number.MIN_VALUE));
const level = (probability) => BOUNDS.filter((bound) => surprise(probability) >= bound).length;

// Shows `tokens`, as the bot sends them, in the place of the view's text. `fork(at, choice)` asks for another answer.
export function show(view, tokens, fork) {
  const runners = element("div", { class: "runners", "aria-live": "polite" });
  const pieces = joined(tokens).map((piece) => element("button", {
    type: "button", class: `token s${level(piece.probability)}`, tabindex: -1, "aria-pressed": "false",
    title: percent(piece.probability), onclick: (event) => choose(event.currentTarget, piece),
  }, piece.text.replaceAll("\n", "⏎\n")));
  const line = element("div", { class: "tokens", role: "group", "aria-label": t("The tokens of this answer; arrow keys go from one to the next") }, ...pieces);
  const close = element("button", { type: "button", class: "secondary", onclick: () => hide(view) }, t("Back to the text"));

  function choose(button, piece) {
    for (const other of pieces) other.setAttribute("aria-pressed", String(other === button));
    focus(button, false);
    runners.replaceChildren(...explained(piece, fork));
  }

  function focus(button, move = true) {
    for (const other of pieces) other.tabIndex = other === button ? 0 : -1;
    if (move) button.focus();
  }

  line.addEventListener("keydown", (event) => {
    const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
    const next = step && pieces[pieces.indexOf(document.activeElement) + step];
    if (!next) return;
    event.preventDefault();
    focus(next);
  });
  if (pieces.length) pieces[0].tabIndex = 0;
  view.text.hidden = true;
  view.lab.replaceChildren(legend(), line, runners, close);
  pieces[0]?.focus();
}

export function hide(view) {
  view.text.hidden = false;
  view.lab.replaceChildren();
  (view.tools.querySelector("[data-tool=tokens]") ?? view.root).focus();
}

// A character of several tokens is shown whole, with the first token of it to choose at.
function joined(tokens) {
  const pieces = [];
  let open = null;
  tokens.forEach(([text, probability, likely], place) => {
    if (open) {
      open.text += text;
      open.probability *= probability;
      open.splits = true;
    } else {
      open = { text, probability, likely, place, splits: false };
      pieces.push(open);
    }
    if (text) open = null;
  });
  return pieces.filter(({ text }) => text);
}

function explained({ text, probability, likely, place, splits }, fork) {
  const bits = number.format(surprise(probability));
  const head = element("p", {}, element("code", {}, visible(text)), " ",
    t("had a probability of {share}: a surprise of {bits} bits.", { share: percent(probability), bits }));
  const choices = likely.map(([other, share], choice) => {
    const canFork = other && !other.includes("\ufffd") && !(other === text && !splits);
    const name = other === null ? t("(hidden)") : other === "" ? t("the text ends here") : visible(other);
    const label = element("span", { class: "token plain" }, name);
    return element("li", {}, canFork
      ? element("button", { type: "button", class: "token", onclick: () => fork(place, choice), "aria-label": t("Go on from here with “{token}”, {share}", { token: other, share: percent(share) }) }, name)
      : label, element("span", { class: "share" }, percent(share)));
  });
  return [head, element("p", { class: "faint" }, t("Choose another token, and the answer goes on from there:")), element("ul", { class: "choices" }, ...choices)];
}

function legend() {
  const words = [t("expected"), "", "", "", t("surprising")];
  return element("p", { class: "legend", "aria-hidden": "true" }, ...words.map((word, step) => element("span", { class: `token s${step}` }, word || "\u00a0\u00a0")));
}

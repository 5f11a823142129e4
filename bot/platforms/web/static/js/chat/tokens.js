// Shows an answer as its tokens, coloured by how surprising each was. A click on one shows the alternatives, from each
// of which the answer can be continued.

import { formatPercent, showWhitespace } from "../shared/dialview.js";
import { element } from "../shared/dom.js";
import { t } from "../shared/words.js";

// Surprise in bits at which the next colour begins.
const LEVEL_BITS = [0.5, 1.5, 3, 5];
const number = new Intl.NumberFormat(undefined, { maximumFractionDigits: 1 });

const surprise = (probability) => -Math.log2(Math.max(probability, Number.MIN_VALUE));
const level = (probability) => LEVEL_BITS.filter((bound) => surprise(probability) >= bound).length;

// Shows `tokens`, as the bot sends them, in place of the view's text. The facts of the answer say which tokens it could not
// draw. `fork(place, choice)` asks for an answer that continues with another token.
export function show(view, tokens, fork) {
  const facts = new Map(view.data.reply.card);
  const minP = Number(facts.get("min_p") ?? 0), temperature = Number(facts.get("temperature") ?? 1);
  const alternatives = element("div", { class: "runners", "aria-live": "polite" });
  const { cause } = view.data;
  const pieces = joinCharacters(tokens).map((piece) => element("button", {
    type: "button", class: `token s${level(piece.probability)}${isForked(piece, cause) ? " forked" : ""}`, tabindex: -1, "aria-pressed": "false",
    title: isForked(piece, cause) ? cause.text : formatPercent(piece.probability), onclick: (event) => choose(event.currentTarget, piece),
  }, piece.text.replaceAll("\n", "⏎\n")));
  const line = element("div", { class: "tokens", role: "group", "aria-label": t("The tokens of this answer; arrow keys go from one to the next") }, ...pieces);
  const close = element("button", { type: "button", class: "secondary", onclick: () => hide(view) }, t("Back to the text"));

  function choose(button, piece) {
    for (const other of pieces) other.setAttribute("aria-pressed", String(other === button));
    focus(button, false);
    alternatives.replaceChildren(...explain(piece, fork, minP ** temperature));
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
  view.lab.replaceChildren(legend(), line, alternatives, close);
  pieces[0]?.focus();
}

export function hide(view) {
  view.text.hidden = false;
  view.lab.replaceChildren();
  view.bar.focus("tokens");
}

// Joins tokens that form one character into one piece, at which the first of them can be replaced.
function joinCharacters(tokens) {
  const pieces = [];
  let open = null, start = 0;
  tokens.forEach(([text, probability, likely], place) => {
    if (open) {
      open.text += text;
      open.probability *= probability;
      open.splits = true;
    } else {
      open = { text, probability, likely, place, start, splits: false };
      pieces.push(open);
    }
    start += text.length;
    if (text) open = null;
  });
  return pieces.filter(({ text }) => text);
}

// Whether it is the token that a fork put there.
const isForked = ({ text, start }, cause) => Boolean(cause?.mark) && start <= cause.at && cause.at < start + text.length;

// `least` is the share of the most probable token's own probability below which the answer left tokens out. Cut after the
// temperature t, probabilities p are as if cut before it at min_p to the power of t.
function explain({ text, probability, likely, place, splits }, fork, least) {
  const bits = number.format(surprise(probability));
  const head = element("p", {}, element("code", {}, showWhitespace(text)), " ",
    t("had a probability of {share}: a surprise of {bits} bits.", { share: formatPercent(probability), bits }));
  const choices = likely.map(([other, share], choice) => {
    const canFork = other && !other.includes("\ufffd") && !(other === text && !splits);
    const name = other === null ? t("(hidden)") : other === "" ? t("the text ends here") : showWhitespace(other);
    const label = element("span", { class: "token plain" }, name);
    return element("li", {}, canFork
      ? element("button", { type: "button", class: "token", onclick: () => fork(place, choice), "aria-label": t("Go on from here with “{token}”, {share}", { token: other, share: formatPercent(share) }) }, name)
      : label, element("span", { class: "share" }, formatPercent(share), share < least * likely[0][1] ? ` · ${t("left out by min_p")}` : ""));
  });
  return [head, element("p", { class: "faint" }, t("Choose another token, and the answer goes on from there:")), element("ul", { class: "choices" }, ...choices)];
}

function legend() {
  const words = [t("expected"), "", "", "", t("surprising")];
  return element("p", { class: "legend", "aria-hidden": "true" }, ...words.map((word, step) => element("span", { class: `token s${step}` }, word || "\u00a0\u00a0")));
}

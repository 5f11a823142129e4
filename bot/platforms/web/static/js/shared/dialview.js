// The temperature dial: shows a text and the odds of its next token as bars that follow the temperature. A button draws
// one token, another writes on with several, to show what the temperature makes of a text.

import { element, icon } from "./dom.js";
import { showHeat, showTemperatureRange } from "./heat.js";
import { applyTopP, clampToLimits, decodeTokens, drawPlace, fetchDial, nearest, oddsAt, temperatureStops } from "./odds.js";
import { t, tn } from "./words.js";

const SHOWN_BARS = 12;
const SPIN_MS = 55, SPINS = 14;
const WRITE_ON_TOKENS = 12, MAX_TRIES = 5;
const SETTLE_MS = 250;
const MIN_TOP_P = 0.05;
// A smaller share outside of the candidates comes from rounding alone.
const ROUNDING_ERROR = 1e-9;
const number = new Intl.NumberFormat(undefined, { maximumFractionDigits: 2 });
const rough = new Intl.NumberFormat(undefined, { maximumSignificantDigits: 3 });
const reducedMotion = matchMedia("(prefers-reduced-motion: reduce)");
let dialCount = 0;

export class DialView {
  #dial = null;
  // The typed text that the odds are for; null before there are odds.
  #shownText = null;
  // The temperature at which each added token was drawn; null for one that was chosen by hand.
  #added = [];
  #temperature = 1;
  #showsAll = false;
  #request = null;
  #busy = false;
  // Two timers: an answer that arrives while somebody types must not cancel the request for their text.
  #typingTimer = 0;
  #topPTimer = 0;
  #rows = [];
  // A number for the ids, since a chat may have several dials open.
  #number = dialCount++;

  constructor(root, { text = "", temperature = 1, topP = 1, room = "" } = {}) {
    this.room = room;
    this.#temperature = temperature;
    this.text = element("textarea", { rows: 2, maxlength: 2000, id: this.#id("text"), spellcheck: "false", dir: "auto" });
    this.text.value = text;
    this.written = element("p", { class: "written", "aria-live": "polite" });
    this.slider = element("input", { type: "range", min: 0, max: 40, step: 1, id: this.#id("temperature") });
    this.value = element("output", { for: this.#id("temperature"), class: "dial-value" });
    this.needle = element("span", { class: "needle" });
    this.topP = element("input", { type: "range", min: MIN_TOP_P, max: 1, step: 0.05, value: topP, id: this.#id("top-p") });
    this.topPValue = element("output", { for: this.#id("top-p") });
    this.bars = element("ul", { class: "bars", "aria-label": t("Odds of the next token") });
    this.more = element("button", { type: "button", class: "secondary" });
    this.meaning = element("p", { class: "dial-meaning" });
    this.facts = element("p", { class: "dial-facts" });
    this.say = element("p", { class: "error", role: "alert" });
    this.drawButton = element("button", { type: "button", class: "primary" }, icon("dice"), " ", t("Draw a token"));
    this.writeButton = element("button", { type: "button", class: "secondary" }, t("Write on"));
    this.back = element("button", { type: "button", class: "secondary" }, t("Take it back"));
    this.anew = element("button", { type: "button", class: "secondary" }, t("Begin again"));
    this.tries = element("ol", { class: "tries", "aria-label": t("What was written") });
    root.replaceChildren(...this.#layout());
    this.#listen();
    this.#fetchTyped();
  }

  #id(part) {
    return this.#number ? `dial-${part}-${this.#number}` : `dial-${part}`;
  }

  #layout() {
    this.gauge = element("div", { class: "gauge", "aria-hidden": "true" }, this.needle, element("span", { class: "hub" }));
    return [
      element("div", { class: "field dial-words" },
        element("label", { for: this.#id("text") }, t("The text so far")), this.text, this.written),
      element("div", { class: "dial-turn" }, this.gauge,
        element("div", { class: "dial-knobs" },
          element("div", { class: "dial-line" }, element("label", { for: this.#id("temperature") }, t("Temperature")), this.value),
          this.slider,
          element("div", { class: "dial-ends", "aria-hidden": "true" }, element("span", {}, t("predictable")), element("span", {}, t("wild"))),
          element("div", { class: "dial-line" }, element("label", { for: this.#id("top-p") }, "top-p"), this.topPValue), this.topP)),
      element("div", { class: "dial-draw" }, this.drawButton, this.writeButton, this.back, this.anew),
      this.say, this.tries, this.meaning,
      element("p", { class: "bar-key" }, element("span", { class: "ghost" }), t("the model’s own odds, at temperature 1")),
      this.bars, this.more, this.facts,
    ];
  }

  #listen() {
    this.text.addEventListener("input", () => {
      // The request under way is for the text before this change.
      this.#request?.abort();
      this.#request = null;
      clearTimeout(this.#typingTimer);
      this.#typingTimer = setTimeout(() => this.#fetchTyped(), SETTLE_MS);
    });
    this.slider.addEventListener("input", () => {
      if (!this.#dial) return;
      this.#temperature = temperatureStops(this.#dial)[Number(this.slider.value)];
      this.#show();
    });
    this.gauge.addEventListener("pointerdown", (event) => { this.gauge.setPointerCapture(event.pointerId); this.#turn(event); });
    this.gauge.addEventListener("pointermove", (event) => { if (event.buttons) this.#turn(event); });
    this.topP.addEventListener("input", () => this.#show());
    this.more.addEventListener("click", () => { this.#showsAll = !this.#showsAll; this.#build(); });
    this.drawButton.addEventListener("click", () => this.#runTask(() => this.#draw()));
    this.writeButton.addEventListener("click", () => this.#runTask(() => this.#writeOn()));
    this.back.addEventListener("click", () => this.#removeTokens(1));
    this.anew.addEventListener("click", () => this.#removeTokens(this.#added.length));
  }

  // Turns the needle to where the mouse or a finger points.
  #turn({ clientX, clientY }) {
    if (!this.#dial) return;
    const { left, width, bottom } = this.gauge.getBoundingClientRect();
    const angle = Math.atan2(Math.max(0, bottom - clientY), left + width / 2 - clientX);
    const stops = temperatureStops(this.#dial), turned = (angle / Math.PI) * this.#dial.temperatures.at(-1);
    this.slider.value = String(stops.indexOf(nearest(stops, turned)));
    this.slider.dispatchEvent(new Event("input"));
  }

  // Whether a text was typed whose odds are not shown yet. They are fetched before anything that is pressed.
  get #isTextNew() {
    return this.text.value !== this.#shownText;
  }

  #fetchTyped() {
    clearTimeout(this.#typingTimer);
    return this.#fetch({ text: this.text.value });
  }

  #removeTokens(count) {
    clearTimeout(this.#typingTimer);
    if (this.#isTextNew) return this.#fetchTyped();
    return this.#fetch({ ids: this.#dial.ids.slice(0, -count) }, this.#added.slice(0, -count));
  }

  #choose(id, ids) {
    clearTimeout(this.#typingTimer);
    return this.#isTextNew ? this.#fetchTyped() : this.#append(id, ids, null);
  }

  // Fetches and shows the odds for a question. A newer question replaces an older one. Returns whether the odds were shown.
  async #fetch(question, added = []) {
    this.#request?.abort();
    const request = this.#request = new AbortController();
    if (question.text?.trim() === "") return this.#showError(t("Type a few words to go on with."));
    this.say.textContent = "";
    try {
      const dial = await fetchDial(question, this.room, request.signal);
      if (request !== this.#request) return false;
      this.#dial = dial;
      this.#added = added;
      if (question.text !== undefined) {
        this.#shownText = question.text;
      } else if (!this.#isTextNew) {
        this.text.value = decodeTokens(dial.prompt);
        this.#shownText = this.text.value;
      }
      this.#limitKnobs();
      this.#build();
      return true;
    } catch (error) {
      return error.name !== "AbortError" && request === this.#request && this.#showError(error.message);
    }
  }

  // Limits the knobs to what the room allows.
  #limitKnobs() {
    const stops = temperatureStops(this.#dial), [low, high] = this.#dial.limits.top_p;
    this.slider.max = String(stops.length - 1);
    showTemperatureRange(this.slider, stops[0], stops.at(-1));
    this.#temperature = nearest(stops, this.#temperature);
    this.slider.value = String(stops.indexOf(this.#temperature));
    this.topP.min = String(Math.min(Math.max(MIN_TOP_P, low), high));
    this.topP.max = String(high);
  }

  #showError(sentence) {
    this.say.textContent = sentence;
    return false;
  }

  #build() {
    const { candidates, prompt, ids } = this.#dial;
    const old = prompt.length - this.#added.length;
    this.written.replaceChildren(...prompt.map((piece, place) => piece.length > 0 && showHeat(
      element("span", { class: place < old ? "piece" : "piece new" }, showWhitespace(decodeTokens([piece]))), this.#added[place - old]
    )).filter(Boolean));
    this.#enableButtons();
    this.#rows = candidates.map((candidate, place) => this.#row(candidate, place, ids));
    const rest = candidates.length - SHOWN_BARS;
    this.further = bar(tn("1 further token", "{count} further tokens", rest));
    this.other = bar(t("all other tokens"));
    this.cutLine = element("li", { class: "cut-line" }, t("/ask leaves out what follows (min_p {share})", { share: number.format(this.#dial.min_p) }));
    const shown = this.#rows.slice(0, this.#showsAll ? undefined : SHOWN_BARS);
    this.bars.replaceChildren(...[...shown, this.#showsAll || rest <= 0 ? null : this.further, this.other].filter(Boolean).map(({ root }) => root));
    this.more.hidden = rest <= 0;
    this.more.textContent = this.#showsAll ? t("Show the first {count}", { count: SHOWN_BARS }) : t("Show all {count}", { count: candidates.length });
    this.more.setAttribute("aria-expanded", String(this.#showsAll));
    this.#show();
  }

  #row(candidate, place, ids) {
    return bar(labelOf(candidate), candidate.ends || candidate.hidden ? null : () => this.#choose(this.#dial.candidates[place].id, ids), candidate.ends);
  }

  // One press counts as one use, however many tokens follow: only the first of them is sent as a press.
  #append(id, ids, temperature, isPress = true) {
    if (this.#isTextNew) return false;
    if (this.#dial.partial) {
      // The server knows no single tokens, so the text itself grows.
      const { bytes } = this.#dial.candidates.find((candidate) => candidate.id === id);
      this.text.value += decodeTokens([bytes]);
      return this.#fetch({ text: this.text.value, writes_on: isPress });
    }
    return this.#fetch({ ids: [...ids, id], writes_on: isPress }, [...this.#added, temperature]);
  }

  #enableButtons() {
    this.drawButton.disabled = this.writeButton.disabled = this.#busy;
    this.back.disabled = this.anew.disabled = this.#busy || !this.#added.length;
    this.back.hidden = this.anew.hidden = this.#dial?.partial ?? false;
  }

  // Returns the odds for the knobs. If only the model server can compute them, those without top-p until they arrive.
  #odds() {
    clearTimeout(this.#topPTimer);
    const topP = Number(this.topP.value), temperature = this.#temperature;
    const whole = oddsAt(this.#dial, temperature);
    const known = applyTopP(whole, topP);
    if (known) return known;
    const key = `${temperature} ${topP}`, dial = this.#dial;
    if (dial.topPOdds?.[key]) return dial.topPOdds[key];
    this.#topPTimer = setTimeout(() => this.#fetchTopP(dial, key, temperature, topP), SETTLE_MS);
    return whole;
  }

  async #fetchTopP(dial, key, temperature, topP) {
    try {
      const { candidates } = await fetchDial({ ids: dial.ids, ...clampToLimits(dial, temperature, topP) }, this.room);
      const shares = candidates.map(({ after }) => after);
      const other = Math.max(0, 1 - shares.reduce((sum, share) => sum + share, 0));
      dial.topPOdds = { ...dial.topPOdds, [key]: { shares, other, entropy: null } };
      if (dial === this.#dial) this.#show();
    } catch (error) {
      this.#showError(error.message);
    }
  }

  #show() {
    if (!this.#dial) return;
    const odds = this.#now = this.#odds();
    const { shares, other, entropy } = odds;
    const before = oddsAt(this.#dial, this.#dial.temperatures.includes(1) ? 1 : this.#dial.temperatures.at(-1));
    const most = Math.max(...shares, other, ...before.shares);
    this.#rows.forEach((row, place) => row.show(shares[place], before.shares[place], most));
    const sum = (list) => list.slice(SHOWN_BARS).reduce((total, share) => total + share, 0);
    this.further.show(sum(shares), sum(before.shares), most);
    this.other.show(other, before.other, most);
    this.other.root.hidden = this.#dial.partial;
    this.#showCut();
    this.value.textContent = number.format(this.#temperature);
    this.slider.setAttribute("aria-valuetext", this.value.textContent);
    this.topPValue.textContent = number.format(Number(this.topP.value));
    const stops = this.#dial.temperatures;
    this.needle.style.setProperty("--turn", `${-90 + 180 * Math.min(1, this.#temperature / stops.at(-1))}deg`);
    showHeat(this.bars, this.#temperature);
    this.meaning.textContent = this.#explain(oddsAt(this.#dial, this.#temperature), before);
    const { model, candidates: { length: count } } = this.#dial, likely = Number((2 ** entropy).toPrecision(3));
    this.facts.textContent = this.#dial.partial
      ? tn("{model} tells only its most probable token.", "{model} tells only its {count} most probable tokens; the odds are among these.", count, { model, count })
      : entropy === null ? "" : entropy < 0.005 ? t("Uncertainty: 0 bits. Nothing is left to chance.")
      : tn("Uncertainty: {bits} bits, as if one token alone were likely.", "Uncertainty: {bits} bits, as if {count} tokens were equally likely.", likely, { bits: number.format(entropy), count: rough.format(likely) });
  }

  // Draws the line between the tokens that /ask can draw at this temperature and those that its min_p leaves out.
  #showCut() {
    const { min_p: minP } = this.#dial, { shares } = oddsAt(this.#dial, this.#temperature);
    const kept = shares.filter((share) => share >= minP * Math.max(...shares)).length;
    const next = minP > 0 && this.#temperature > 0 && this.#rows[kept]?.root;
    if (next && next.parentNode === this.bars) this.bars.insertBefore(this.cutLine, next);
    else this.cutLine.remove();
  }

  // Says in words what the temperature does to these odds. What top-p does is shown by the bars.
  #explain({ shares }, before) {
    const { candidates } = this.#dial, [first] = candidates;
    const values = {
      token: (first.ends ? "" : decodeTokens([first.bytes]).trim()) || labelOf(first),
      now: Math.round(100 * shares[0]), before: Math.round(100 * before.shares[0]),
    };
    if (this.#temperature === 0) return t("At 0 the favourite always wins: “{token}”, every time.", values);
    if (this.#temperature < 1) return t("Colder plays safe: of 100 draws, “{token}” gets {now} instead of {before}.", values);
    if (this.#temperature > 1) return t("Hotter takes risks: of 100 draws, “{token}” gets only {now} instead of {before}.", values);
    return t("At 1, the model’s own odds: of 100 draws, “{token}” gets {now}.", values);
  }

  #now = null;

  async #runTask(task) {
    if (this.#busy) return;
    clearTimeout(this.#typingTimer);
    this.#busy = true;
    this.#enableButtons();
    try {
      if (!this.#isTextNew || await this.#fetchTyped()) await task();
    } catch (error) {
      this.#showError(error.message);
    }
    this.#busy = false;
    this.#enableButtons();
  }

  async #draw() {
    const { candidates, ids } = this.#dial, temperature = this.#temperature;
    const token = await this.#drawToken();
    if (this.#dial.ids !== ids) return;
    await this.#spin(candidates.findIndex(({ id }) => id === token.id));
    if (this.#dial.ids === ids) await this.#appendDrawn(token, ids, temperature);
  }

  // Draws a token by the odds for the knobs. If tokens other than the candidates are possible, the model server draws.
  async #drawToken() {
    const dial = this.#dial, temperature = this.#temperature, topP = Number(this.topP.value);
    const odds = applyTopP(oddsAt(dial, temperature), topP);
    if (odds && odds.other < ROUNDING_ERROR) return dial.candidates[drawPlace(odds)];
    const [seed] = crypto.getRandomValues(new Uint32Array(1));
    const { drawn } = await fetchDial({ ids: dial.ids, ...clampToLimits(dial, temperature, topP), seed: seed % 2 ** 31 }, this.room);
    return drawn;
  }

  // Appends a drawn token. Returns whether the odds after it were shown.
  #appendDrawn({ id, ends, hidden }, ids, temperature, isPress = true) {
    if (hidden) return this.#showError(t("A token was drawn that is hidden here. Draw again, or choose one."));
    if (ends) return this.#showError(t("The model would end the text here. Draw again, or choose a token."));
    return this.#append(id, ids, temperature, isPress);
  }

  // Draws several tokens one after the other. If the temperature is changed meanwhile, it holds for the rest.
  async #writeOn() {
    const from = this.#added.length;
    for (let count = 0; count < WRITE_ON_TOKENS; count += 1) {
      const { ids } = this.#dial, temperature = this.#temperature;
      const token = await this.#drawToken();
      if (this.#dial.ids !== ids || !await this.#appendDrawn(token, ids, temperature, count === 0)) break;
    }
    if (this.#added.length <= from) return;
    const split = this.#dial.prompt.length - this.#added.length + from;
    const degrees = [...new Set(this.#added.slice(from).map((degree) => number.format(degree)))].join(" → ");
    const chip = showHeat(element("code", { class: "option" }, degrees), this.#added[from]);
    this.tries.prepend(element("li", {}, chip, element("span", {},
      decodeTokens(this.#dial.prompt.slice(0, split)), element("b", {}, decodeTokens(this.#dial.prompt.slice(split))))));
    for (const old of [...this.tries.children].slice(MAX_TRIES)) old.remove();
  }

  async #spin(place) {
    const chosen = place < 0 ? this.other : (place < SHOWN_BARS || this.#showsAll ? this.#rows[place] : this.further);
    if (!reducedMotion.matches) {
      for (let turn = 0; turn < SPINS; turn += 1) {
        const lit = this.#rows[Math.max(0, drawPlace(this.#now))];
        lit.root.classList.add("lit");
        await new Promise((resolve) => { setTimeout(resolve, SPIN_MS); });
        lit.root.classList.remove("lit");
      }
    }
    chosen.root.classList.add("chosen");
    await new Promise((resolve) => { setTimeout(resolve, reducedMotion.matches ? 0 : 6 * SPIN_MS); });
  }
}

// Makes one bar. With `press` its name is a button that appends the token.
function bar(name, press = null, ends = false) {
  const share = element("span", { class: "share" });
  const fill = element("span", { class: "fill" }), before = element("span", { class: "ghost" });
  const label = press ? element("button", { type: "button", class: "token", onclick: press }, name) : element("span", { class: "token plain" }, name);
  const root = element("li", { class: ends ? "bar ends" : "bar" }, label, element("span", { class: "track", "aria-hidden": "true" }, before, fill), share);
  return {
    root,
    show(now, first, most) {
      fill.style.setProperty("--share", `${(100 * now) / most}%`);
      before.style.setProperty("--share", `${(100 * first) / most}%`);
      share.textContent = formatPercent(now);
      root.classList.toggle("cut", now === 0);
    },
  };
}

export const formatPercent = (share) => (share > 0 && share < 0.0005 ? `< ${number.format(0.1)} %` : `${number.format(Math.round(share * 1000) / 10)} %`);

// Returns what a candidate is called. The bot does not send the text of a hidden one.
function labelOf({ bytes, ends, hidden }) {
  if (hidden) return t("(hidden)");
  return ends ? t("the text ends here") : showWhitespace(decodeTokens([bytes]));
}

// Replaces spaces, line ends and tabs by visible signs.
export const showWhitespace = (text) => text.replaceAll(" ", "␣").replaceAll("\n", "⏎").replaceAll("\t", "⇥") || "∅";


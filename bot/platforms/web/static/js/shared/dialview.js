// The live dial: a text, the odds of its next token as bars that follow the temperature, and a press that draws one, or
// writes on with several, so that it is seen what the temperature makes of a text.

import { element, icon } from "./dom.js";
import { heated, thermometer } from "./heat.js";
import { ask, at, cut, decode, draw, nearest, settings, within } from "./odds.js";
import { t } from "./words.js";

const SHOWN = 12;
const SPIN_MS = 55, SPINS = 14;
const WRITTEN_ON = 12, TRIES = 5;
const SETTLE_MS = 250;
const LEAST_TOP_P = 0.05;
// Less than this lies outside of the candidates by rounding alone.
const NOTHING = 1e-9;
const number = new Intl.NumberFormat(undefined, { maximumFractionDigits: 2 });
const rough = new Intl.NumberFormat(undefined, { maximumSignificantDigits: 3 });
const still = matchMedia("(prefers-reduced-motion: reduce)");
let made = 0;

export class DialView {
  #dial = null;
  // What stood in the box for the text when the dial was made; null before there is one.
  #read = null;
  // The temperature at which each added token was drawn; null for one that was chosen by hand.
  #added = [];
  #temperature = 1;
  #all = false;
  #asking = null;
  #busy = false;
  // Each has its own: an answer that arrives while somebody types must not take back the question for their text.
  #typing = 0;
  #cutting = 0;
  #rows = [];
  // A chat may have several open.
  #number = made++;

  constructor(root, { text = "", temperature = 1, topP = 1, room = "" } = {}) {
    this.room = room;
    this.#temperature = temperature;
    this.text = element("textarea", { rows: 2, maxlength: 2000, id: this.#id("text"), spellcheck: "false", dir: "auto" });
    this.text.value = text;
    this.written = element("p", { class: "written", "aria-live": "polite" });
    this.slider = element("input", { type: "range", min: 0, max: 40, step: 1, id: this.#id("temperature") });
    this.value = element("output", { for: this.#id("temperature"), class: "dial-value" });
    this.needle = element("span", { class: "needle" });
    this.topP = element("input", { type: "range", min: LEAST_TOP_P, max: 1, step: 0.05, value: topP, id: this.#id("top-p") });
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
    this.#askTyped();
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
      // What is under way is about another text than this one.
      this.#asking?.abort();
      this.#asking = null;
      clearTimeout(this.#typing);
      this.#typing = setTimeout(() => this.#askTyped(), SETTLE_MS);
    });
    this.slider.addEventListener("input", () => {
      if (!this.#dial) return;
      this.#temperature = settings(this.#dial)[Number(this.slider.value)];
      this.#show();
    });
    this.gauge.addEventListener("pointerdown", (event) => { this.gauge.setPointerCapture(event.pointerId); this.#turn(event); });
    this.gauge.addEventListener("pointermove", (event) => { if (event.buttons) this.#turn(event); });
    this.topP.addEventListener("input", () => this.#show());
    this.more.addEventListener("click", () => { this.#all = !this.#all; this.#build(); });
    this.drawButton.addEventListener("click", () => this.#work(() => this.#draw()));
    this.writeButton.addEventListener("click", () => this.#work(() => this.#writeOn()));
    this.back.addEventListener("click", () => this.#takeBack(1));
    this.anew.addEventListener("click", () => this.#takeBack(this.#added.length));
  }

  // The needle follows a finger or the mouse.
  #turn({ clientX, clientY }) {
    if (!this.#dial) return;
    const { left, width, bottom } = this.gauge.getBoundingClientRect();
    const angle = Math.atan2(Math.max(0, bottom - clientY), left + width / 2 - clientX);
    const stops = settings(this.#dial), turned = (angle / Math.PI) * this.#dial.temperatures.at(-1);
    this.slider.value = String(stops.indexOf(nearest(stops, turned)));
    this.slider.dispatchEvent(new Event("input"));
  }

  // Whatever is pressed, a text that was typed and is not read yet comes first.
  get #isTyped() {
    return this.text.value !== this.#read;
  }

  #askTyped() {
    clearTimeout(this.#typing);
    return this.#ask({ text: this.text.value });
  }

  #takeBack(count) {
    clearTimeout(this.#typing);
    if (this.#isTyped) return this.#askTyped();
    return this.#ask({ ids: this.#dial.ids.slice(0, -count) }, this.#added.slice(0, -count));
  }

  #choose(id, ids) {
    clearTimeout(this.#typing);
    return this.#isTyped ? this.#askTyped() : this.#append(id, ids, null);
  }

  // The newest question wins; what an older one brings is not shown any more. Whether this one was shown.
  async #ask(question, added = []) {
    this.#asking?.abort();
    const asking = this.#asking = new AbortController();
    if (question.text?.trim() === "") return this.#refuse(t("Type a few words to go on with."));
    this.say.textContent = "";
    try {
      const dial = await ask(question, this.room, asking.signal);
      if (asking !== this.#asking) return false;
      this.#dial = dial;
      this.#added = added;
      if (question.text !== undefined) {
        this.#read = question.text;
      } else if (!this.#isTyped) {
        this.text.value = decode(dial.prompt);
        this.#read = this.text.value;
      }
      this.#limit();
      this.#build();
      return true;
    } catch (error) {
      return error.name !== "AbortError" && asking === this.#asking && this.#refuse(error.message);
    }
  }

  // What the knobs can be turned to, by the rules of the room.
  #limit() {
    const stops = settings(this.#dial), [low, high] = this.#dial.limits.top_p;
    this.slider.max = String(stops.length - 1);
    thermometer(this.slider, stops[0], stops.at(-1));
    this.#temperature = nearest(stops, this.#temperature);
    this.slider.value = String(stops.indexOf(this.#temperature));
    this.topP.min = String(Math.min(Math.max(LEAST_TOP_P, low), high));
    this.topP.max = String(high);
  }

  #refuse(sentence) {
    this.say.textContent = sentence;
    return false;
  }

  #build() {
    const { candidates, prompt, ids } = this.#dial;
    const old = prompt.length - this.#added.length;
    this.written.replaceChildren(...prompt.map((piece, place) => piece.length > 0 && heated(
      element("span", { class: place < old ? "piece" : "piece new" }, visible(decode([piece]))), this.#added[place - old]
    )).filter(Boolean));
    this.#allow();
    this.#rows = candidates.map((candidate, place) => this.#row(candidate, place, ids));
    const rest = candidates.length - SHOWN;
    this.further = bar(t("{count} further tokens", { count: rest }));
    this.other = bar(t("all other tokens"));
    const shown = this.#rows.slice(0, this.#all ? undefined : SHOWN);
    this.bars.replaceChildren(...[...shown, this.#all || rest <= 0 ? null : this.further, this.other].filter(Boolean).map(({ root }) => root));
    this.more.hidden = rest <= 0;
    this.more.textContent = this.#all ? t("Show the first {count}", { count: SHOWN }) : t("Show all {count}", { count: candidates.length });
    this.more.setAttribute("aria-expanded", String(this.#all));
    this.#show();
  }

  #row(candidate, place, ids) {
    return bar(named(candidate), candidate.ends || candidate.hidden ? null : () => this.#choose(this.#dial.candidates[place].id, ids), candidate.ends);
  }

  // A press is one use, however many tokens it goes on with: only the first of them is told as one.
  #append(id, ids, temperature, isPress = true) {
    if (this.#isTyped) return false;
    return this.#ask({ ids: [...ids, id], writes_on: isPress }, [...this.#added, temperature]);
  }

  #allow() {
    this.drawButton.disabled = this.writeButton.disabled = this.#busy;
    this.back.disabled = this.anew.disabled = this.#busy || !this.#added.length;
  }

  // The odds that the knobs stand for. Where only the model server knows them, they come a moment later.
  #odds() {
    clearTimeout(this.#cutting);
    const topP = Number(this.topP.value), temperature = this.#temperature;
    const whole = at(this.#dial, temperature);
    const known = cut(whole, topP);
    if (known) return known;
    const key = `${temperature} ${topP}`, dial = this.#dial;
    if (dial.cuts?.[key]) return dial.cuts[key];
    this.#cutting = setTimeout(() => this.#fetchCut(dial, key, temperature, topP), SETTLE_MS);
    return whole;
  }

  async #fetchCut(dial, key, temperature, topP) {
    try {
      const { candidates } = await ask({ ids: dial.ids, ...within(dial, temperature, topP) }, this.room);
      const shares = candidates.map(({ after }) => after);
      const other = Math.max(0, 1 - shares.reduce((sum, share) => sum + share, 0));
      dial.cuts = { ...dial.cuts, [key]: { shares, other, entropy: null } };
      if (dial === this.#dial) this.#show();
    } catch (error) {
      this.#refuse(error.message);
    }
  }

  #show() {
    if (!this.#dial) return;
    const odds = this.#now = this.#odds();
    const { shares, other, entropy } = odds;
    const before = at(this.#dial, this.#dial.temperatures.includes(1) ? 1 : this.#dial.temperatures.at(-1));
    const most = Math.max(...shares, other, ...before.shares);
    this.#rows.forEach((row, place) => row.show(shares[place], before.shares[place], most));
    const sum = (list) => list.slice(SHOWN).reduce((total, share) => total + share, 0);
    this.further.show(sum(shares), sum(before.shares), most);
    this.other.show(other, before.other, most);
    this.value.textContent = number.format(this.#temperature);
    this.slider.setAttribute("aria-valuetext", this.value.textContent);
    this.topPValue.textContent = number.format(Number(this.topP.value));
    const stops = this.#dial.temperatures;
    this.needle.style.setProperty("--turn", `${-90 + 180 * Math.min(1, this.#temperature / stops.at(-1))}deg`);
    heated(this.bars, this.#temperature);
    this.meaning.textContent = this.#said(at(this.#dial, this.#temperature), before);
    this.facts.textContent = entropy === null ? "" : entropy < 0.005 ? t("Uncertainty: 0 bits. Nothing is left to chance.")
      : t("Uncertainty: {bits} bits, as if {count} tokens were equally likely.", { bits: number.format(entropy), count: rough.format(2 ** entropy) });
  }

  // What the temperature does to these odds, in words; what top-p leaves of them is seen in the bars.
  #said({ shares }, before) {
    const { candidates } = this.#dial, [first] = candidates;
    const values = {
      token: (first.ends ? "" : decode([first.bytes]).trim()) || named(first),
      now: Math.round(100 * shares[0]), before: Math.round(100 * before.shares[0]),
    };
    if (this.#temperature === 0) return t("At 0 the favourite always wins: “{token}”, every time.", values);
    if (this.#temperature < 1) return t("Colder plays safe: of 100 draws, “{token}” gets {now} instead of {before}.", values);
    if (this.#temperature > 1) return t("Hotter takes risks: of 100 draws, “{token}” gets only {now} instead of {before}.", values);
    return t("At 1, the model’s own odds: of 100 draws, “{token}” gets {now}.", values);
  }

  #now = null;

  async #work(task) {
    if (this.#busy) return;
    clearTimeout(this.#typing);
    this.#busy = true;
    this.#allow();
    try {
      if (!this.#isTyped || await this.#askTyped()) await task();
    } catch (error) {
      this.#refuse(error.message);
    }
    this.#busy = false;
    this.#allow();
  }

  async #draw() {
    const { candidates, ids } = this.#dial, temperature = this.#temperature;
    const token = await this.#drawn();
    if (this.#dial.ids !== ids) return;
    await this.#spin(candidates.findIndex(({ id }) => id === token.id));
    if (this.#dial.ids === ids) await this.#take(token, ids, temperature);
  }

  // One token by the odds that the knobs stand for. Where some of these lie outside the candidates, only the model server
  // can draw exactly.
  async #drawn() {
    const dial = this.#dial, temperature = this.#temperature, topP = Number(this.topP.value);
    const odds = cut(at(dial, temperature), topP);
    if (odds && odds.other < NOTHING) return dial.candidates[draw(odds)];
    const [seed] = crypto.getRandomValues(new Uint32Array(1));
    const { drawn } = await ask({ ids: dial.ids, ...within(dial, temperature, topP), seed: seed % 2 ** 31 }, this.room);
    return drawn;
  }

  // Whether a token was drawn and its odds are shown.
  #take({ id, ends, hidden }, ids, temperature, isPress = true) {
    if (hidden) return this.#refuse(t("A token was drawn that is hidden here. Draw again, or choose one."));
    if (ends) return this.#refuse(t("The model would end the text here. Draw again, or choose a token."));
    return this.#append(id, ids, temperature, isPress);
  }

  // Several tokens one after the other. Turned meanwhile, the temperature counts for the rest.
  async #writeOn() {
    const from = this.#added.length;
    for (let count = 0; count < WRITTEN_ON; count += 1) {
      const { ids } = this.#dial, temperature = this.#temperature;
      const token = await this.#drawn();
      if (this.#dial.ids !== ids || !await this.#take(token, ids, temperature, count === 0)) break;
    }
    if (this.#added.length <= from) return;
    const split = this.#dial.prompt.length - this.#added.length + from;
    const degrees = [...new Set(this.#added.slice(from).map((degree) => number.format(degree)))].join(" → ");
    const chip = heated(element("code", { class: "option" }, degrees), this.#added[from]);
    this.tries.prepend(element("li", {}, chip, element("span", {},
      decode(this.#dial.prompt.slice(0, split)), element("b", {}, decode(this.#dial.prompt.slice(split))))));
    for (const old of [...this.tries.children].slice(TRIES)) old.remove();
  }

  async #spin(place) {
    const chosen = place < 0 ? this.other : (place < SHOWN || this.#all ? this.#rows[place] : this.further);
    if (!still.matches) {
      for (let turn = 0; turn < SPINS; turn += 1) {
        const lit = this.#rows[Math.max(0, draw(this.#now))];
        lit.root.classList.add("lit");
        await new Promise((resolve) => { setTimeout(resolve, SPIN_MS); });
        lit.root.classList.remove("lit");
      }
    }
    chosen.root.classList.add("chosen");
    await new Promise((resolve) => { setTimeout(resolve, still.matches ? 0 : 6 * SPIN_MS); });
  }
}

// One bar. With `press` its name is a button that appends the token.
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
      share.textContent = percent(now);
      root.classList.toggle("cut", now === 0);
    },
  };
}

export const percent = (share) => (share > 0 && share < 0.0005 ? `< ${number.format(0.1)} %` : `${number.format(Math.round(share * 1000) / 10)} %`);

// What a candidate is called. A hidden one is not told by the bot.
function named({ bytes, ends, hidden }) {
  if (hidden) return t("(hidden)");
  return ends ? t("the text ends here") : visible(decode([bytes]));
}

// Spaces and line ends where they can be seen.
export const visible = (text) => text.replaceAll(" ", "␣").replaceAll("\n", "⏎").replaceAll("\t", "⇥") || "∅";


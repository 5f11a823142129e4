// The live dial: a text, the odds of its next token as bars that follow the temperature, and a press that draws one.

import { element, icon } from "./dom.js";
import { thermometer } from "./heat.js";
import { ask, at, cut, decode, draw, settings } from "./odds.js";
import { t } from "./words.js";

const SHOWN = 12;
const SPIN_MS = 55, SPINS = 14;
const SETTLE_MS = 250;
const number = new Intl.NumberFormat(undefined, { maximumFractionDigits: 2 });
const rough = new Intl.NumberFormat(undefined, { maximumSignificantDigits: 3 });
const still = matchMedia("(prefers-reduced-motion: reduce)");

export class DialView {
  #dial = null;
  #added = 0;
  #temperature = 1;
  #all = false;
  #asking = null;
  #busy = false;
  #timer = 0;
  #rows = [];

  constructor(root, { text = "", temperature = 1 } = {}) {
    this.#temperature = temperature;
    this.text = element("textarea", { rows: 2, maxlength: 2000, id: "dial-text", spellcheck: "false" });
    this.text.value = text;
    this.written = element("p", { class: "written", "aria-live": "polite" });
    this.slider = element("input", { type: "range", min: 0, max: 40, step: 1, id: "dial-temperature" });
    this.value = element("output", { for: "dial-temperature", class: "dial-value" });
    this.needle = element("span", { class: "needle" });
    this.topP = element("input", { type: "range", min: 0.05, max: 1, step: 0.05, value: 1, id: "dial-top-p" });
    this.topPValue = element("output", { for: "dial-top-p" });
    this.bars = element("ul", { class: "bars", "aria-label": t("Odds of the next token") });
    this.more = element("button", { type: "button", class: "secondary" });
    this.facts = element("p", { class: "dial-facts" });
    this.say = element("p", { class: "error", role: "alert" });
    this.drawButton = element("button", { type: "button", class: "primary" }, icon("dice"), " ", t("Draw a token"));
    this.back = element("button", { type: "button", class: "secondary" }, t("Take it back"));
    root.replaceChildren(...this.#layout());
    this.#listen();
    this.#ask({ text: this.text.value });
  }

  #layout() {
    const gauge = element("div", { class: "gauge", "aria-hidden": "true" }, this.needle, element("span", { class: "hub" }));
    return [
      element("div", { class: "field dial-words" },
        element("label", { for: "dial-text" }, t("The text so far")), this.text, this.written),
      element("div", { class: "dial-turn" }, gauge,
        element("div", { class: "dial-knobs" },
          element("div", { class: "dial-line" }, element("label", { for: "dial-temperature" }, t("Temperature")), this.value),
          this.slider,
          element("div", { class: "dial-ends", "aria-hidden": "true" }, element("span", {}, t("predictable")), element("span", {}, t("wild"))),
          element("div", { class: "dial-line" }, element("label", { for: "dial-top-p" }, "top-p"), this.topPValue), this.topP)),
      element("div", { class: "dial-draw" }, this.drawButton, this.back),
      this.say, this.facts, this.bars, this.more,
    ];
  }

  #listen() {
    this.text.addEventListener("input", () => {
      clearTimeout(this.#timer);
      this.#timer = setTimeout(() => this.#ask({ text: this.text.value }), SETTLE_MS);
    });
    this.slider.addEventListener("input", () => {
      this.#temperature = settings(this.#dial)[Number(this.slider.value)];
      this.#show();
    });
    this.topP.addEventListener("input", () => this.#show());
    this.more.addEventListener("click", () => { this.#all = !this.#all; this.#build(); });
    this.drawButton.addEventListener("click", () => this.#draw());
    this.back.addEventListener("click", () => {
      this.#added -= 1;
      this.text.value = decode(this.#dial.prompt.slice(0, -1));
      this.#ask({ ids: this.#dial.ids.slice(0, -1) });
    });
  }

  // The newest question wins; what an older one brings is not shown any more.
  async #ask(question) {
    this.#asking?.abort();
    const asking = this.#asking = new AbortController();
    if (question.text !== undefined) this.#added = 0;
    if (question.text?.trim() === "") return this.#refuse(t("Type a few words to go on with."));
    this.say.textContent = "";
    try {
      const dial = await ask(question, asking.signal);
      if (asking !== this.#asking) return;
      this.#dial = dial;
      const stops = settings(dial);
      this.slider.max = String(stops.length - 1);
      thermometer(this.slider, stops[0], stops.at(-1));
      const nearest = stops.reduce((best, one) => (Math.abs(one - this.#temperature) < Math.abs(best - this.#temperature) ? one : best));
      this.#temperature = nearest;
      this.slider.value = String(stops.indexOf(nearest));
      this.#build();
    } catch (error) {
      if (error.name !== "AbortError" && asking === this.#asking) this.#refuse(error.message);
    }
  }

  #refuse(sentence) {
    this.say.textContent = sentence;
  }

  #build() {
    const { candidates, prompt, ids } = this.#dial;
    const old = prompt.length - this.#added;
    this.written.replaceChildren(...prompt.map((piece, place) => (
      element("span", { class: place < old ? "piece" : "piece new" }, visible(decode([piece])))
    )));
    this.back.disabled = !this.#added;
    if (this.#added && document.activeElement !== this.text) this.text.value = decode(prompt);
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
    const name = candidate.ends ? t("the text ends here") : visible(decode([candidate.bytes]));
    return bar(name, candidate.ends ? null : () => this.#append(place, ids), candidate.ends);
  }

  #append(place, ids) {
    this.#added += 1;
    this.#ask({ ids: [...ids, this.#dial.candidates[place].id] });
  }

  // The odds that the knobs stand for. Where only the model server knows them, they come a moment later.
  #odds() {
    const topP = Number(this.topP.value);
    const whole = at(this.#dial, this.#temperature);
    const known = cut(whole, topP);
    if (known) return known;
    const key = `${this.#temperature} ${topP}`;
    if (this.#dial.cuts?.[key]) return this.#dial.cuts[key];
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#fetchCut(this.#dial, key, topP), SETTLE_MS);
    return whole;
  }

  async #fetchCut(dial, key, topP) {
    try {
      const { candidates } = await ask({ ids: dial.ids, temperature: this.#temperature, top_p: topP });
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
    this.facts.textContent = entropy === null ? "" : t("Uncertainty: {bits} bits, as much as with {count} equally likely tokens.", {
      bits: number.format(entropy), count: rough.format(2 ** entropy),
    });
  }

  #now = null;

  async #draw() {
    if (this.#busy || !this.#dial) return;
    this.#busy = true;
    const { ids } = this.#dial, place = draw(this.#now);
    await this.#spin(place);
    this.#busy = false;
    if (this.#dial.ids !== ids) return;
    if (place >= 0 && this.#dial.candidates[place].ends) return this.#refuse(t("The model would end the text here. Draw again, or choose a token."));
    if (place >= 0) this.#append(place, ids);
    else await this.#drawOther(ids);
  }

  // One of the tokens that are not among the candidates: the model server draws until it is one.
  async #drawOther(ids) {
    const known = new Set(this.#dial.candidates.map(({ id }) => id));
    for (let seed of crypto.getRandomValues(new Uint32Array(8))) {
      const { drawn: found } = await ask({ ids, temperature: this.#temperature, top_p: Number(this.topP.value), seed: seed % 2 ** 31 });
      if (known.has(found.id)) continue;
      this.#added += 1;
      return this.#ask({ ids: [...ids, found.id] });
    }
    this.#refuse(t("None of the others came up. Draw again."));
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

// Spaces and line ends where they can be seen.
export const visible = (text) => text.replaceAll(" ", "␣").replaceAll("\n", "⏎").replaceAll("\t", "⇥") || "∅";


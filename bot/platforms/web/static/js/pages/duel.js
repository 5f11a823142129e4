// The page that plays one round of forger and detective, one step at a time.

import { openingRoom } from "../shared/address.js";
import { byId, element } from "../shared/dom.js";
import { fetchJson } from "../shared/json.js";
import * as look from "../shared/look.js";
import { language, t } from "../shared/words.js";

const SETTLE_MS = 200, NOISE_COLUMNS = 8, NOISE_ROWS = 6, PIXELS = 160;
const STEPS = [
  { title: t("The forger gets noise"), says: () => t("It gets 48 random numbers, and nothing else. It never sees a real picture.") },
  { title: t("The forger draws"), says: () => t("Its network turns the numbers into a picture, in a single pass.") },
  { title: t("The detective looks"), says: ({ forged }) => t("It sees the picture, but not where it comes from, and is {share} % sure that it is real.", { share: share(forged) }) },
  { title: t("The forger hears the verdict"), says: ({ forged }) => t("Only {share} % goes back to it. It changes its network a little, so that this number would have been higher.", { share: share(forged) }) },
  { title: t("The detective sees a real picture"), says: ({ real }) => t("It does not know that this one is real, and is {share} % sure of it.", { share: share(real) }) },
  { title: t("The detective hears the truth"), says: (pair) => `${judge(pair)} ${t("It changes its network a little, too, so that it would have been surer of the truth. Then the next round begins.")}` },
];
const canvas = () => element("canvas", { width: PIXELS, height: PIXELS, role: "img" });
// What is shown, from which step on, and what is written below it from which step on.
const stations = [
  { from: 0, name: t("Noise"), picture: canvas() },
  { from: 1, name: t("A forged picture"), picture: canvas(), verdictFrom: 2, kind: "forged" },
  { from: 4, name: t("A real picture"), picture: canvas(), verdictFrom: 4, kind: "real" },
];
for (const station of stations) {
  station.caption = element("p", { class: "duel-verdict" });
  station.root = element("li", {}, element("h3", {}, station.name), station.picture, station.caption);
}

let step = 0, seed = newSeed(), pair = null, request = null, timer = 0;
const slider = byId("duel-snapshot");

function newSeed() {
  return crypto.getRandomValues(new Uint32Array(1))[0] % 2 ** 31;
}

function share({ verdict }) {
  return Math.round(100 * verdict);
}

function judge({ forged, real }) {
  const right = [forged.verdict < 0.5, real.verdict >= 0.5];
  if (right.every(Boolean)) return t("It was right about both: the first picture was forged, and the second one real.");
  if (right.some(Boolean)) return right[0] ? t("It was right about the forged picture, but it took the real one for forged.") : t("It was right about the real picture, but the forger has fooled it.");
  return t("It was wrong about both: it took the forged picture for real, and the real one for forged.");
}

// Draws numbers from a seed as shades of grey. The network's own numbers are drawn on the model server.
function drawNoise(target) {
  const context = target.getContext("2d"), width = PIXELS / NOISE_COLUMNS, height = PIXELS / NOISE_ROWS;
  let state = seed || 1;
  for (let place = 0; place < NOISE_COLUMNS * NOISE_ROWS; place += 1) {
    state = Math.imul(state ^ (state >>> 15), 0x2c1b3c6d) + 0x9e3779b9 | 0;
    const grey = (state >>> 8) & 255;
    context.fillStyle = `rgb(${grey} ${grey} ${grey})`;
    context.fillRect((place % NOISE_COLUMNS) * width, Math.floor(place / NOISE_COLUMNS) * height, width, height);
  }
}

async function drawPicture(target, png) {
  const bytes = Uint8Array.from(atob(png), (char) => char.charCodeAt(0));
  const picture = await createImageBitmap(new Blob([bytes], { type: "image/png" }));
  const context = target.getContext("2d");
  context.clearRect(0, 0, PIXELS, PIXELS);
  context.drawImage(picture, 0, 0, PIXELS, PIXELS);
}

// Fetches the pair for the seed and the moment of the training. A newer wish replaces an older one.
async function load() {
  request?.abort();
  const mine = request = new AbortController();
  byId("duel-problem").textContent = "";
  byId("duel-moment").textContent = moment();
  slider.setAttribute("aria-valuetext", moment());
  const query = new URLSearchParams({ locale: language, room: openingRoom(), seed, snapshot: slider.value });
  try {
    const fetched = await fetchJson(`/duel/pair?${query}`, { signal: mine.signal });
    await Promise.all(stations.slice(1).map(({ kind, picture }) => drawPicture(picture, fetched[kind].png)));
    if (mine !== request) return;
    pair = fetched;
    drawNoise(stations[0].picture);
    show();
  } catch (error) {
    if (error.name !== "AbortError") byId("duel-problem").textContent = error.message;
  }
}

function moment() {
  const number = Number(slider.value), last = Number(slider.max);
  if (number === 0) return t("before the training");
  if (number === last) return t("at the end of the training");
  return t("snapshot {number} of {count}", { number, count: last });
}

function show() {
  const { title, says } = STEPS[step];
  byId("duel-step").textContent = t("Step {number} of {count}: {title}", { number: step + 1, count: STEPS.length, title });
  byId("duel-said").textContent = says(pair);
  stations.forEach((station) => {
    station.root.hidden = step < station.from;
    const verdict = station.kind && step >= station.verdictFrom ? t("{share} % sure that it is real", { share: share(pair[station.kind]) }) : "";
    station.caption.textContent = verdict;
    station.picture.setAttribute("aria-label", station.kind ? station.name : t("48 random numbers as shades of grey"));
  });
  byId("duel-back").disabled = step === 0;
  byId("duel-on").disabled = step === STEPS.length - 1;
}

// Goes to a step. From a button that can be pressed no more, the keyboard focus moves to the other one.
function go(to) {
  if (!pair) return;
  const pressed = document.activeElement, [back, on] = [byId("duel-back"), byId("duel-on")];
  step = to;
  show();
  if (pressed.disabled) (pressed === on ? back : on).focus();
}

look.begin();
byId("duel-stations").append(...stations.map(({ root }) => root));
byId("duel-back").addEventListener("click", () => go(Math.max(0, step - 1)));
byId("duel-on").addEventListener("click", () => go(Math.min(STEPS.length - 1, step + 1)));
byId("duel-anew").addEventListener("click", () => { seed = newSeed(); step = 0; load(); });
slider.addEventListener("input", () => { clearTimeout(timer); timer = setTimeout(load, SETTLE_MS); });
load();

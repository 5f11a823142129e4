// The numbers of the dial: from one answer of the model server to the exact odds at every temperature.

import { fetched } from "./fetched.js";
import { language } from "./words.js";

const decoder = new TextDecoder();

export const bytesOf = (base64) => Uint8Array.from(atob(base64), (char) => char.charCodeAt(0));

// Bytes of tokens as text; a character may lie across two of them.
export function decode(pieces) {
  const whole = new Uint8Array(pieces.reduce((sum, piece) => sum + piece.length, 0));
  let at = 0;
  for (const piece of pieces) { whole.set(piece, at); at += piece.length; }
  return decoder.decode(whole);
}

// Asks what comes after a text, or after tokens by their ids, by the rules of a room. Throws an Error with a sentence.
export async function ask(question, room, signal) {
  const answer = await fetched(`/dial?${new URLSearchParams({ locale: language, room })}`, {
    method: "POST", signal, headers: { "Content-Type": "application/json" }, body: JSON.stringify(question),
  });
  return {
    ...answer,
    prompt: answer.prompt.map(bytesOf),
    candidates: answer.candidates.map((one) => ({ ...one, bytes: bytesOf(one.bytes) })),
    drawn: { ...answer.drawn, bytes: bytesOf(answer.drawn.bytes) },
  };
}

// The temperatures that a dial can be turned to; 0 is the one that always takes the most probable token.
export function settings({ temperatures, limits: { temperature: [low, high] } }) {
  const all = [0, ...temperatures], allowed = all.filter((one) => low <= one && one <= high);
  // Limits may leave less than there is between two of them.
  return allowed.length ? allowed : [nearest(all, high)];
}

export const nearest = (all, temperature) =>
  all.reduce((best, one) => (Math.abs(one - temperature) < Math.abs(best - temperature) ? one : best));

// These knobs as the model server is asked with them: none of `settings` may be what the limits allow.
export function within({ limits }, temperature, topP) {
  const [coldest, hottest] = limits.temperature, [least, most] = limits.top_p;
  return { temperature: Math.min(Math.max(temperature, coldest), hottest), top_p: Math.min(Math.max(topP, least), most) };
}

// Probabilities of the candidates at one of `settings`, those of all others together, and the entropy in bits.
export function at(dial, temperature) {
  if (temperature === 0) return { shares: dial.candidates.map((_, place) => (place === 0 ? 1 : 0)), other: 0, entropy: 0 };
  const place = dial.temperatures.indexOf(temperature);
  const shares = dial.candidates.map(({ logit }) => Math.exp(logit / temperature - dial.log_sum_exp[place]));
  return { shares, other: Math.max(0, 1 - shares.reduce((sum, share) => sum + share, 0)), entropy: dial.entropy[place] };
}

// What top-p leaves of these odds: the fewest, most probable tokens that have at least this share together. Null where
// the candidates do not reach so far, and only the model server knows.
export function cut({ shares, other, entropy }, topP) {
  if (topP >= 1) return { shares, other, entropy };
  const order = shares.map((share, place) => [share, place]).sort((one, two) => two[0] - one[0]);
  const kept = new Set();
  let mass = 0;
  for (const [share, place] of order) {
    if (mass >= topP && kept.size) break;
    kept.add(place);
    mass += share;
  }
  if (mass < topP) return null;
  const left = shares.map((share, place) => (kept.has(place) ? share / mass : 0));
  return { shares: left, other: 0, entropy: left.reduce((sum, share) => (share > 0 ? sum - share * Math.log2(share) : sum), 0) };
}

// Draws by these odds: the place of a candidate, or -1 for one of the others.
export function draw({ shares }) {
  let left = crypto.getRandomValues(new Uint32Array(1))[0] / 2 ** 32;
  for (const [place, share] of shares.entries()) {
    left -= share;
    if (left < 0) return place;
  }
  return shares.reduce((sum, share) => sum + share, 0) > 0.9999 ? shares.findLastIndex((share) => share > 0) : -1;
}

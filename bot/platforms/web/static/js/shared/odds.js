// The numbers of the dial: computes the exact odds at every temperature from one answer of the model server.

import { fetchJson } from "./json.js";
import { language } from "./words.js";

const decoder = new TextDecoder();

export const decodeBase64 = (base64) => Uint8Array.from(atob(base64), (char) => char.charCodeAt(0));

// Decodes the bytes of tokens to text; one character may be spread over several tokens.
export function decodeTokens(pieces) {
  const whole = new Uint8Array(pieces.reduce((sum, piece) => sum + piece.length, 0));
  let at = 0;
  for (const piece of pieces) { whole.set(piece, at); at += piece.length; }
  return decoder.decode(whole);
}

// Fetches the odds of the token after a text, or after tokens given by their ids, with the limits of a room. Throws an
// Error whose message is a sentence.
export async function fetchDial(question, room, signal) {
  const answer = await fetchJson(`/dial?${new URLSearchParams({ locale: language, room })}`, {
    method: "POST", signal, headers: { "Content-Type": "application/json" }, body: JSON.stringify(question),
  });
  return {
    ...answer,
    prompt: answer.prompt.map(decodeBase64),
    candidates: answer.candidates.map((one) => ({ ...one, bytes: decodeBase64(one.bytes) })),
    drawn: { ...answer.drawn, bytes: decodeBase64(answer.drawn.bytes) },
  };
}

// Returns the temperatures that the dial can be turned to; 0 always takes the most probable token.
export function temperatureStops({ temperatures, limits: { temperature: [low, high] } }) {
  const all = [0, ...temperatures], allowed = all.filter((one) => low <= one && one <= high);
  // The limits may lie between two temperatures and so leave none.
  return allowed.length ? allowed : [nearest(all, high)];
}

export const nearest = (all, temperature) =>
  all.reduce((best, one) => (Math.abs(one - temperature) < Math.abs(best - temperature) ? one : best));

// Returns the knobs within the limits, as they are sent to the model server; a stop may lie outside of them.
export function clampToLimits({ limits }, temperature, topP) {
  const [coldest, hottest] = limits.temperature, [least, most] = limits.top_p;
  return { temperature: Math.min(Math.max(temperature, coldest), hottest), top_p: Math.min(Math.max(topP, least), most) };
}

// Returns the probabilities of the candidates at one of the stops, that of all other tokens together, and the entropy in bits.
export function oddsAt(dial, temperature) {
  if (temperature === 0) return { shares: dial.candidates.map((_, place) => (place === 0 ? 1 : 0)), other: 0, entropy: 0 };
  const place = dial.temperatures.indexOf(temperature);
  const shares = dial.candidates.map(({ logit }) => Math.exp(logit / temperature - dial.log_sum_exp[place]));
  return { shares, other: Math.max(0, 1 - shares.reduce((sum, share) => sum + share, 0)), entropy: dial.entropy[place] };
}

// Returns the odds after top-p: only the fewest most probable tokens remain whose shares sum to at least `topP`. Null if
// all candidates together have less, so that only the model server can compute it.
export function applyTopP({ shares, other, entropy }, topP) {
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

// Draws a token by these odds. Returns the index of a candidate, or -1 for any other token.
export function drawPlace({ shares }) {
  let left = crypto.getRandomValues(new Uint32Array(1))[0] / 2 ** 32;
  for (const [place, share] of shares.entries()) {
    left -= share;
    if (left < 0) return place;
  }
  return shares.reduce((sum, share) => sum + share, 0) > 0.9999 ? shares.findLastIndex((share) => share > 0) : -1;
}

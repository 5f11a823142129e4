// Fetches JSON from the chat, and reads its refusals.

import { withLocalTimes } from "./times.js";
import { t } from "./words.js";

// Returns the answer. Throws an Error whose message is a sentence, with the `status` of the response if there was one;
// if the request was aborted, the AbortError itself.
export async function fetchJson(address, options) {
  let response, answer;
  try {
    response = await fetch(address, options);
    answer = await response.json();
  } catch (error) {
    if (error.name === "AbortError") throw error;
    // Without the join code the chat answers with 401, or redirects pages to the form for it.
    const sentence = response?.status === 401 || response?.redirected
      ? t("The chat has another join code now. Open it anew and give that.")
      : t("The chat cannot be reached. Try again.");
    throw Object.assign(new Error(sentence), { status: response?.status });
  }
  if (!response.ok) throw Object.assign(new Error(withLocalTimes(answer.error ?? "")), { status: response.status });
  return answer;
}

// Returns the sentence in a refusal of the chat's, which is plain text, or else `other`: a proxy in between answers with a
// page of its own, which is no sentence.
export async function refusalOf(response, other) {
  return response.headers.get("Content-Type")?.startsWith("text/plain") ? response.text() : other;
}

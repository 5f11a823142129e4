// What pages fetch from the chat as JSON.

import { t } from "./words.js";

// The answer. Throws an Error with a sentence, whatever kept it away, or what was thrown if the question was given up.
// Its `status` is that of the answer, where one came.
export async function fetched(address, options) {
  let response, answer;
  try {
    response = await fetch(address, options);
    answer = await response.json();
  } catch (error) {
    if (error.name === "AbortError") throw error;
    // Where it is a page itself that lies at the address, the door leads there instead.
    const sentence = response?.status === 401 || response?.redirected
      ? t("The chat has another join code now. Open it anew and give that.")
      : t("The chat cannot be reached. Try again.");
    throw Object.assign(new Error(sentence), { status: response?.status });
  }
  if (!response.ok) throw new Error(answer.error);
  return answer;
}

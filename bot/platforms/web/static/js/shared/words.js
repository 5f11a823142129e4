// Translates the page's own sentences into its language; one without a translation stays English.

export const language = document.documentElement.lang;
const sentences = language === "en" ? {} : await (await fetch(new URL(`../../words/${language}.json`, import.meta.url))).json();

// Returns the translated sentence, with its {fields} replaced by `values`.
export function t(sentence, values = {}) {
  return (sentences[sentence] ?? sentence).replace(/\{(\w+)\}/g, (field, name) => values[name] ?? field);
}

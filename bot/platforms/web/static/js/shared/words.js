// The page's own sentences in the language that the page came in; what is missing there stays English.

export const language = document.documentElement.lang;
const sentences = language === "en" ? {} : await (await fetch(new URL(`../../words/${language}.json`, import.meta.url))).json();

// The sentence, with its {fields} filled from `values`.
export function t(sentence, values = {}) {
  return (sentences[sentence] ?? sentence).replace(/\{(\w+)\}/g, (field, name) => values[name] ?? field);
}

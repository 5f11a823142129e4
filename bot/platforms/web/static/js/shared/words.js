// Translates the page's own sentences into its language; one without a translation stays English.

export const language = document.documentElement.lang;
const sentences = language === "en" ? {} : await (await fetch(new URL(`../../words/${language}.json`, import.meta.url))).json();
const rules = new Intl.PluralRules(language);

// Returns the translated sentence, with its {fields} replaced by `values`.
export function t(sentence, values = {}) {
  return tn(sentence, sentence, 1, values);
}

// Returns the translation of one of two sentences, for a `count` of one or another, with its {fields} replaced.
export function tn(one, several, count, values = { count }) {
  const forms = sentences[one] ?? { one, other: several };
  // Only a sentence with a plural has several forms, but it may be said elsewhere of one thing alone.
  const sentence = typeof forms === "string" ? forms : forms[rules.select(count)] ?? Object.values(forms).at(-1);
  return sentence.replace(/\{(\w+)\}/g, (field, name) => values[name] ?? field);
}

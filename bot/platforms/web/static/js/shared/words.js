// Translates the page's own sentences into its language; one without a translation stays English.

export const language = document.documentElement.lang;
const sentences = language === "en" ? {} : await (await fetch(new URL(`../../words/${language}.json`, import.meta.url))).json();
const rules = new Intl.PluralRules(language);

// Returns the translated sentence, with its {fields} replaced by `values`.
export function t(sentence, values = {}) {
  return fill(sentences[sentence] ?? sentence, values);
}

// Returns the translation of one of two sentences, for a `count` of one or another, with its {fields} replaced.
export function tn(one, several, count) {
  const forms = sentences[one] ?? { one, other: several };
  return fill(forms[rules.select(count)] ?? forms.other, { count });
}

function fill(sentence, values) {
  return sentence.replace(/\{(\w+)\}/g, (field, name) => values[name] ?? field);
}

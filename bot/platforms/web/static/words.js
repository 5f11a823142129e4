// The page's own sentences in the reader's language; what is missing there stays English.

const KNOWN = ["de", "es"];
const language = navigator.languages.map((locale) => locale.slice(0, 2)).find((two) => two === "en" || KNOWN.includes(two)) ?? "en";
const sentences = KNOWN.includes(language) ? (await import(`./words/${language}.js`)).default : {};

// The sentence, with its {fields} filled from `values`.
export function t(sentence, values = {}) {
  return (sentences[sentence] ?? sentence).replace(/\{(\w+)\}/g, (field, name) => values[name] ?? field);
}

// Translates what the page came with: texts of [data-t], and labels and placeholders of [data-label].
export function translatePage() {
  document.documentElement.lang = language;
  for (const shown of document.querySelectorAll("[data-t]")) shown.textContent = t(shown.textContent);
  for (const named of document.querySelectorAll("[data-label]")) {
    for (const attribute of ["aria-label", "placeholder"]) {
      if (named.hasAttribute(attribute)) named.setAttribute(attribute, t(named.getAttribute(attribute)));
    }
  }
}

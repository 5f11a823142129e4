// Names of options, of facts about an answer, and their values, as people read them. What is typed stays English.

import { language, t } from "./words.js";

const NAMES = new Map(Object.entries({
  model: t("model"), models: t("models"), tokens: t("tokens"), seconds: t("seconds"), size: t("size"), lesson: t("lesson"),
  temperature: t("temperature"), temperatures: t("temperatures"), steps: t("steps"), count: t("count"), seed: t("seed"),
  max_tokens: t("max tokens"), guidance: t("guidance"), negative: t("negative"), sweep: t("sweep"), strength: t("strength"),
  question: t("question"), style: t("style"), title: t("title"), file: t("file"), text: t("text"), prompt: t("prompt"),
  truncation: t("truncation"), min_p: t("min p"), top_p: t("top p"),
}));
const VALUES = new Map(Object.entries({ true: t("yes"), false: t("no"), quote: t("quote"), simple: t("simple") }));
const DECIMAL = new Intl.NumberFormat(language).formatToParts(0.5).find((part) => part.type === "decimal").value;

export const nameOf = (name) => NAMES.get(name) ?? name.replaceAll("_", " ");

// A choice or a number; other texts stay as they are.
export function shownValue(value) {
  const text = String(value ?? "");
  return VALUES.get(text.toLowerCase()) ?? text.replace(/^(-?\d+)\.(\d+)$/, `$1${DECIMAL}$2`);
}

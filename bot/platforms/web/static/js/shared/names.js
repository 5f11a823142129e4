// Values as people read them. What is typed stays English.

import { language, t } from "./words.js";

const DECIMAL = new Intl.NumberFormat(language).formatToParts(0.5).find((part) => part.type === "decimal").value;

// A number; other texts stay as they are.
export const shownValue = (value) => String(value ?? "").replace(/^(-?\d+)\.(\d+)$/, `$1${DECIMAL}$2`);

// The value of a setting, of which a long text is cut.
export function formatValue(value) {
  if (value === null || value === "") return "–";
  if (value === true || value === false) return value ? t("yes") : t("no");
  const text = shownValue(value);
  return text.length > 60 ? `${text.slice(0, 60)}…` : text;
}

// Values as people read them. What is typed stays English.

import { language } from "./words.js";

const DECIMAL = new Intl.NumberFormat(language).formatToParts(0.5).find((part) => part.type === "decimal").value;

// A number; other texts stay as they are.
export const shownValue = (value) => String(value ?? "").replace(/^(-?\d+)\.(\d+)$/, `$1${DECIMAL}$2`);

// Copying to the clipboard, also over plain HTTP, where browsers keep their clipboard shut.

import { drawn, element } from "./dom.js";
import { t } from "./words.js";

const SHOWN_MS = 1500;

// Copies what `text()` gives, and says so on the button.
export async function copied(button, text) {
  const label = button.getAttribute("aria-label");
  try {
    await write(text());
  } catch {
    return;
  }
  drawn(button, "check", t("Copied"));
  setTimeout(() => drawn(button, "copy", label), SHOWN_MS);
}

async function write(text) {
  if (navigator.clipboard) return navigator.clipboard.writeText(text);
  const box = element("textarea", { class: "unseen", readonly: true });
  const focused = document.activeElement;
  box.value = text;
  document.body.append(box);
  box.select();
  document.execCommand("copy");
  box.remove();
  focused?.focus();
}

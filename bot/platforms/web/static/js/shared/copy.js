// Copies text to the clipboard, also over plain HTTP, where browsers do not offer their clipboard.

import { element, setIcon } from "./dom.js";
import { t } from "./words.js";

const SHOWN_MS = 1500;
// The buttons that say “Copied” at the moment.
const copied = new WeakSet();

// Copies what `text()` returns, and says so on the button.
export async function copyText(button, text) {
  if (copied.has(button)) return;
  copied.add(button);
  const label = button.getAttribute("aria-label"), drawn = [...button.childNodes];
  try {
    await write(text());
  } catch {
    copied.delete(button);
    return;
  }
  setIcon(button, "check", t("Copied"));
  setTimeout(() => {
    button.replaceChildren(...drawn);
    button.setAttribute("aria-label", label);
    button.title = label;
    copied.delete(button);
  }, SHOWN_MS);
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

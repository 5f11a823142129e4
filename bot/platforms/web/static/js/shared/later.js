// Loads the modules that a page needs only later.

import { element } from "./dom.js";
import { t } from "./words.js";

// Returns the module that `load()` imports. If there is none, the reader is told, and null is returned: after an update the
// chat no longer has what belongs to a page that was opened before.
export async function loadLater(load) {
  try {
    const loaded = await load();
    document.querySelector(".reload")?.remove();
    return loaded;
  } catch {
    tell();
    return null;
  }
}

function tell() {
  document.querySelector(".reload")?.remove();
  const reload = element("button", { type: "button", class: "secondary", onclick: () => location.reload() }, t("Load the page again"));
  document.body.append(element("p", { class: "reload", role: "alert" }, t("A part of this page could not be loaded; the chat may have been updated."), " ", reload));
}

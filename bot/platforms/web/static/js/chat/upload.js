// Uploads files to the bot, before the message or the form that names them is sent.

import { byId, element, setIcon } from "../shared/dom.js";
import { refusalOf } from "../shared/json.js";
import { t } from "../shared/words.js";

const MAX_FILE_BYTES = 8 << 20;

// Uploads a file and returns the name that the bot gives it. Throws an Error whose message is a sentence.
export async function uploadFile(file) {
  if (file.size > MAX_FILE_BYTES) throw new Error(t("“{file}” has more than the {most} MB that a file may have.", { file: file.name, most: MAX_FILE_BYTES >> 20 }));
  const unreachable = t("The file could not be sent: the chat cannot be reached. Try again.");
  const headers = { "Content-Type": file.type || "application/octet-stream" };
  let response;
  try {
    response = await fetch(`/files?name=${encodeURIComponent(file.name)}`, { method: "POST", body: file, headers });
  } catch {
    throw new Error(unreachable);
  }
  if (!response.ok) throw new Error(await refusalOf(response, unreachable));
  return (await response.json()).name;
}

// The file that goes along with the next message: chosen with the button beside the box, pasted into it, or dropped onto it.
export class AttachedFile {
  #chooser = element("input", { type: "file" });
  file = null;

  // `changed()` is called when somebody has chosen or removed a file.
  constructor(changed) {
    this.changed = changed;
    this.#chooser.addEventListener("change", () => this.#choose(this.#chooser.files[0]));
    setIcon(byId("attach"), "clip", t("Attach a file"));
    byId("attach").addEventListener("click", () => { this.#chooser.value = ""; this.#chooser.click(); });
    const zone = byId("composer");
    zone.addEventListener("paste", (event) => this.#take(event, event.clipboardData));
    zone.addEventListener("dragover", (event) => { if (event.dataTransfer.types.includes("Files")) event.preventDefault(); });
    zone.addEventListener("drop", (event) => this.#take(event, event.dataTransfer));
  }

  #take(event, data) {
    // Some programs copy a picture of the text beside it.
    if (!data.files.length || data.types.includes("text/plain")) return;
    event.preventDefault();
    this.#choose(data.files[0]);
  }

  #choose(file) {
    this.file = file;
    const remove = setIcon(element("button", { type: "button", class: "icon", onclick: () => { this.forget(); this.changed(); } }), "close", t("Do not attach the file"));
    byId("attached").replaceChildren(element("span", {}, t("Attached:"), " ", element("b", {}, file.name)), remove);
    byId("attached").hidden = false;
    this.changed();
  }

  forget() {
    this.file = null;
    byId("attached").hidden = true;
  }
}

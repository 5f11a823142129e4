// Files on their way to the bot, before the message or the form that names them.

import { t } from "../shared/words.js";

const MOST_FILE = 8 << 20;

// Sends a file and gives back the name that the bot knows it by. Throws an Error with a sentence.
export async function upload(file) {
  if (file.size > MOST_FILE) throw new Error(t("“{file}” has more than the {most} MB that a file may have.", { file: file.name, most: MOST_FILE >> 20 }));
  const headers = { "Content-Type": file.type || "application/octet-stream" };
  let response;
  try {
    response = await fetch(`/files?name=${encodeURIComponent(file.name)}`, { method: "POST", body: file, headers });
  } catch {
    throw new Error(t("The file could not be sent: the chat cannot be reached. Try again."));
  }
  if (!response.ok) throw new Error(await response.text());
  return (await response.json()).name;
}

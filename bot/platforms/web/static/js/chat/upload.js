// Uploads files to the bot, before the message or the form that names them is sent.

import { t } from "../shared/words.js";

const MAX_FILE_BYTES = 8 << 20;

// Uploads a file and returns the name that the bot gives it. Throws an Error whose message is a sentence.
export async function uploadFile(file) {
  if (file.size > MAX_FILE_BYTES) throw new Error(t("“{file}” has more than the {most} MB that a file may have.", { file: file.name, most: MAX_FILE_BYTES >> 20 }));
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

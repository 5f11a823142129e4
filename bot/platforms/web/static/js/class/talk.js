// The cards by which a teacher speaks, the pinned task and the announcement, and the one with what was said.

import { byId, element, icon } from "../shared/dom.js";
import { t } from "../shared/words.js";

const task = byId("task"), announcement = byId("announcement"), unpin = byId("unpin");
// The task as it was last shown; what somebody has typed since stays.
let pinned = "";

export function begin(desk) {
  byId("task-form").addEventListener("submit", async (event) => {
    event.preventDefault();
    const sent = task.value;
    // What was refused stays to be mended, and so does what was typed meanwhile.
    if (await desk.set("room.task", sent.trim() || null) && task.value === sent) task.value = sent.trim();
  });
  unpin.addEventListener("click", () => desk.set("room.task", null));
  byId("announcement-form").addEventListener("submit", async (event) => {
    event.preventDefault();
    const send = byId("announce");
    send.disabled = true;
    const isSent = await desk.order("announcement", { text: announcement.value }, desk.room ? t("Said in {room}.", { room: desk.room }) : t("Said in all rooms."));
    send.disabled = false;
    if (isSent) announcement.value = "";
  });
}

export function showTask({ task: now }) {
  if (task.value === pinned) task.value = now;
  pinned = now;
  unpin.hidden = !now;
}

// Offers the transcript of the chosen room, or of each room.
export function showTranscripts(rooms, room) {
  byId("transcripts").replaceChildren(...(room ? [room] : rooms).map((name) => element("li", {},
    element("a", { class: "file", href: `/class/transcript?${new URLSearchParams({ room: name })}`, "aria-label": `${name}.md: ${t("Keep what was said")}`, download: `${name}.md` }, icon("download"), `${name}.md`))));
}

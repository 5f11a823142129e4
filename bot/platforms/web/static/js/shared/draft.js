// Keys of the session storage, where the browser keeps what was typed until the tab is closed.

// DRAFT is the text of the message box, ASKED a line that a page put there, and KEPT the draft that made way for it.
// SENT is the last line that was sent.
export const DRAFT = "tempera-draft", KEPT = "tempera-draft-kept", ASKED = "tempera-draft-asked", SENT = "tempera-sent";

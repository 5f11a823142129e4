// Under which names the browser keeps what is about to be said, until the tab is closed.

// What stands in the message box; what was put aside for a line that a page put there; and that line.
export const DRAFT = "tempera-draft", KEPT = "tempera-draft-kept", ASKED = "tempera-draft-asked";

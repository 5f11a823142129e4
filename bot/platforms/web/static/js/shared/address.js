// What stands behind the # of an address, and which room a page beside the chat was opened from.

// The room that the page's address names, or "".
export const openedFrom = () => new URLSearchParams(location.search).get("room") ?? "";

// The address of the chat in that room.
export const chat = () => openedFrom() ? `/#${encodeURIComponent(openedFrom())}` : "/";

// The text behind the #. A % that was typed there need not begin a code, and then is only a %.
export const decoded = (text) => text.replace(/(?:%[0-9a-f]{2})+/gi, (code) => {
  try {
    return decodeURIComponent(code);
  } catch {
    return code;
  }
});

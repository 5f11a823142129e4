// Addresses: the visitor in a query, and the room from which a page beside the chat was opened.

import { language } from "./words.js";

// The key under which the browser remembers the room where its visitor was last.
export const LAST_ROOM = "tempera-room";

// Returns the query that names the visitor and their language, with further values.
export const visitorQuery = (more = {}) => new URLSearchParams({ name: localStorage.getItem("tempera-name") ?? "", locale: language, ...more });

// Returns the room from which the page was opened, or "".
export const openingRoom = () => new URLSearchParams(location.search).get("room") ?? "";

// Returns the address of the chat in that room, or else in the room where its visitor was last.
export const chatAddress = () => {
  const room = openingRoom() || localStorage.getItem(LAST_ROOM);
  return room ? `/#${encodeURIComponent(room)}` : "/";
};

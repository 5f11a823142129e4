// What comes before everything else: no script has read the address yet, and nothing has been painted.

// The form for the join code leads whoever is let in already further, and browsers take the text after the # along. A
// code in it is no name of a room, and must not stay in the address or get into others. Only the form itself reads it.
if (location.hash.startsWith("#code=") && location.pathname !== "/join") history.replaceState(null, "", location.pathname + location.search);

let keepsCookies = navigator.cookieEnabled;
try {
  // Restores the chosen appearance, so that a dark page never flashes white.
  for (const [name, kept, key] of [["theme", localStorage, "tempera-theme"], ["size", sessionStorage, "tempera-size"]]) {
    const value = kept.getItem(key);
    if (value) document.documentElement.dataset[name] = value;
  }
} catch {
  // A browser that keeps no cookies lets nobody near the storage, either.
  keepsCookies = false;
}

// Without cookies the chat knows nobody again, and even the right join code leads back to its form. The page says so
// instead of what it would else show.
if (!keepsCookies) {
  document.addEventListener("DOMContentLoaded", () => {
    document.body.className = "joining";
    document.body.replaceChildren(document.getElementById("needs-cookies").content);
  });
}

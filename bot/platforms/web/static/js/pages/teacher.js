// The page for teachers' links: takes the code from behind the #, which no server's log has, out of the history, too.

const code = location.hash.slice(1);
if (code) {
  document.getElementById("code").value = code;
  history.replaceState(null, "", location.pathname);
}
const KEPT = "tempera-name", name = document.getElementById("name");
name.value = localStorage.getItem(KEPT) ?? "";
// Everybody sees who speaks and who has paused the chat, and the other moderators who has signed in.
name.form.addEventListener("submit", () => localStorage.setItem(KEPT, name.value.trim()));

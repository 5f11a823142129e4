// The page for teachers' links: takes the code from behind the #, which no server's log has, out of the history, too.

const code = location.hash.slice(1);
if (code) {
  document.getElementById("code").value = code;
  history.replaceState(null, "", location.pathname);
}
// The other moderators are told who has signed in.
document.getElementById("name").value = localStorage.getItem("tempera-name") ?? "";

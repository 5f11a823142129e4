// The code stands behind the #, so that no server's log has it; from here on not even this browser's history does.

const code = location.hash.slice(1);
if (code) {
  document.getElementById("code").value = code;
  history.replaceState(null, "", location.pathname);
}

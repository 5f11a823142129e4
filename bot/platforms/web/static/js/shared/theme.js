// Restores the chosen appearance before anything is painted, so that a dark page never flashes white.

for (const [name, key] of [["theme", "tempera-theme"], ["size", "tempera-size"]]) {
  const value = localStorage.getItem(key);
  if (value) document.documentElement.dataset[name] = value;
}

// Restores the chosen appearance before anything is painted, so that a dark page never flashes white.

for (const [name, kept, key] of [["theme", localStorage, "tempera-theme"], ["size", sessionStorage, "tempera-size"]]) {
  const value = kept.getItem(key);
  if (value) document.documentElement.dataset[name] = value;
}

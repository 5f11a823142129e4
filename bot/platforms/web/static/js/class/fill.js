// Fills a card anew without losing the keyboard: the focus stays on the control with the same id.

export function fill(root, ...children) {
  const id = root.contains(document.activeElement) ? document.activeElement.id : "";
  root.replaceChildren(...children.filter(Boolean));
  if (id) document.getElementById(id)?.focus();
}

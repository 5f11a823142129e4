// Fills a card anew without losing the keyboard: the focus stays on the control with the same id. While somebody types in
// a control that is marked as `typed`, the card stays as it is.

export function fill(root, ...children) {
  const focused = root.contains(document.activeElement) ? document.activeElement : null;
  if (focused?.dataset.typed) return;
  const id = focused?.id;
  root.replaceChildren(...children.filter(Boolean));
  if (id) document.getElementById(id)?.focus();
}

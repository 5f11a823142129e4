// Groups a list by `keyOf(item)`, in the order in which the keys first occur: Map.groupBy for browsers without it.
export function groupBy(list, keyOf) {
  const groups = new Map();
  for (const one of list) {
    const key = keyOf(one);
    if (!groups.has(key)) groups.set(key, []);
    groups.get(key).push(one);
  }
  return groups;
}

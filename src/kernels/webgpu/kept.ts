/** How many objects of a kind are kept for reuse: a training step repeats the same few hundred. */
const KEPT = 4096;

/** Makes objects by key, and gives the same ones again; now and then it forgets them all, so that it cannot grow. */
export function keepAtMost<T>(): (key: string, make: () => T) => T {
  const kept = new Map<string, T>();
  return (key, make) => {
    const known = kept.get(key);
    if (known !== undefined) return known;
    const made = make();
    if (kept.size >= KEPT) kept.clear();
    kept.set(key, made);
    return made;
  };
}

/** A number for each object, the same one each time. */
export function identities(): (object: object) => number {
  const ids = new WeakMap<object, number>();
  let next = 0;
  return (object) => {
    let id = ids.get(object);
    if (id === undefined) {
      id = next++;
      ids.set(object, id);
    }
    return id;
  };
}

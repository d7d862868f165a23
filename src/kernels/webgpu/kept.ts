/** How many objects of a kind are kept for reuse: a training step repeats the same few hundred, of a large model thousands. */
const KEPT = 2 ** 14;

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

/** A number for each object, the same one each time: objects first seen later have larger ones. */
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

/** Of GPU buffers. */
export const bufferId: (buffer: GPUBuffer) => number = identities();

/**
 * Puts the free buffer that is known longest where tfjs takes the next one from, the end. tfjs puts them back in the order
 * in which they were freed, so that from step to step a tensor would lie in another buffer of its size, and a bind group
 * would hardly ever be met again (of 374 a step, 350 were new ones each time).
 */
export function oldestNext(free: GPUBuffer[] | undefined): void {
  if (free === undefined || free.length < 2) return;
  const last = free.length - 1;
  let oldest = last;
  for (let i = 0; i < last; i++) if (bufferId(free[i]!) < bufferId(free[oldest]!)) oldest = i;
  [free[oldest], free[last]] = [free[last]!, free[oldest]!];
}

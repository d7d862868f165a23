/** All places of a tensor of that shape, in its order. */
export function placesOf(shape: number[]): number[][] {
  const [size, ...rest] = shape;
  if (size === undefined) return [[]];
  const inner = placesOf(rest);
  return Array.from({length: size}, (_, i) => inner.map((place) => [i, ...place])).flat();
}

/** Where a place stands in the values of a tensor of that shape, whose sizes it may exceed: it starts over there. */
export const indexOf = (shape: number[], place: number[]): number =>
  shape.reduce((index, size, axis) => index * size + (place[axis]! % size), 0);

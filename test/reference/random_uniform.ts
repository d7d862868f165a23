import {randomStream, seedFor} from '../../src/random.ts';

/** The hash of deviceRandomUniform by integer arithmetic, as a shader would do it. */
export function hashUniform(size: number, seed: number): Float64Array {
  const numbers = new Float64Array(size);
  let keys: number[] = [];
  for (let i = 0; i < size; i++) {
    if (i % 2 ** 24 === 0) {
      const random = randomStream(seedFor(`block ${i / 2 ** 24}`, seed));
      keys = Array.from({length: 5}, () => Math.floor(random() * 4096));
    }
    let left = (i >>> 12) & 4095;
    let right = i & 4095;
    for (const key of keys) {
      const hash = ((right - key) * (right - key)) >>> 5;
      [left, right] = [right, (left + hash) & 4095];
    }
    numbers[i] = (right * 4096 + left) / 2 ** 24;
  }
  return numbers;
}

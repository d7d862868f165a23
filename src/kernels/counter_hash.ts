import {randomStream, seedFor} from '../random.ts';

/** A counter is two halves of 12 bits: with these all arithmetic is exact in float32 too. */
export const HALF = 2 ** 12;
/** Numbers that share their round keys. */
export const BLOCK = HALF * HALF;
/** h(r, key) = ⌊(r − key)² / 2^SHIFT⌋: the bits of the square that depend on the most bits of r. */
export const SHIFT = 5;
/** With 4 rounds numbers 4096 apart were correlated (χ² of 64 × 64 cells up to 28 deviations too large), with 5 none. */
const ROUNDS = 5;

/** The round keys of one block of DeviceRandomUniform, integers in [0, 4096). */
export function roundKeys(seed: number, block: number): number[] {
  const random = randomStream(seedFor(`block ${block}`, seed));
  return Array.from({length: ROUNDS}, () => Math.floor(random() * HALF));
}

/**
 * The numbers 0 … size − 1 of one block. Number i = 4096 · left + right goes through the Feistel network
 *
 *     for each key: (left, right) ← (right, (left + h(right, key)) mod 4096)
 *
 * and becomes (4096 · right + left) / 2²⁴. Every kernel of that name must give these bits.
 */
export function hashBlock(size: number, keys: number[]): Float32Array {
  const values = new Float32Array(size);
  for (let i = 0; i < size; i++) {
    let left = i >>> 12;
    let right = i & (HALF - 1);
    for (const key of keys) {
      const next = (left + (((right - key) * (right - key)) >>> SHIFT)) & (HALF - 1);
      left = right;
      right = next;
    }
    values[i] = (right * HALF + left) / BLOCK;
  }
  return values;
}

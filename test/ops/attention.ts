import {randomStream} from '../../src/random.ts';
import type {AttentionSizes} from '../reference/transformer.ts';
import {type Operand, random} from './values.ts';

export const sizesOf = (
  batch: number,
  t: number,
  numHeads: number,
  numKvHeads: number,
  headDim: number,
): AttentionSizes => ({batch, t, numHeads, numKvHeads, headDim});

/** Ordinary, odd and degenerate ones. */
export const ATTENTION_SIZES = [
  sizesOf(2, 8, 4, 2, 4),
  sizesOf(1, 13, 6, 3, 5),
  sizesOf(3, 5, 3, 1, 7),
  sizesOf(2, 7, 3, 3, 2),
  sizesOf(2, 1, 4, 2, 3),
  sizesOf(1, 1, 1, 1, 1),
  sizesOf(1, 6, 2, 1, 1),
];

export const attentionTitle = ({batch, t, numHeads, numKvHeads, headDim}: AttentionSizes): string =>
  `${batch}×${t}, ${numHeads} heads on ${numKvHeads}, of ${headDim}`;

/** q, k and v. */
export function attentionOperands(sizes: AttentionSizes, seed: number): [Operand, Operand, Operand] {
  const {batch, t, numHeads, numKvHeads, headDim} = sizes;
  const operand = (heads: number, i: number) => random([batch, t, heads * headDim], 3 * seed + i);
  return [operand(numHeads, 0), operand(numKvHeads, 1), operand(numKvHeads, 2)];
}

/** Random segments of random ids, a token's chance of beginning a new one being a third. */
export function segmentsOf({batch, t}: AttentionSizes, seed: number): number[] {
  const next = randomStream(seed);
  let id = 0;
  return Array.from({length: batch * t}, () => {
    if (next() < 1 / 3) id = Math.floor(next() * 2e7) - 1e7;
    return id;
  });
}

import type {ApplyOptions} from './convert.ts';

/**
 * The configuration of CE-LoRA's authors (arXiv 2502.01378) for a Llama: approximated are v and o (keep .55), up and down
 * (keep .65), while q, k and gate stay exact; ranks of 14, trained and frozen, take the memory of a plain adapter of rank 16
 * (their choice); columns are selected every 200 passes, and dx is exact before the first time and never after.
 * @param options.score 'product' is the score that the paper describes. The released code sums the gradient's norm over
 *   both axes, so that it selects by the weights alone, always the same columns: 'weight'. Default 'product'.
 * @returns Options of `applyCELoRA`; other layers (a head) are left out.
 */
export function paperConfig({score = 'product'}: {score?: 'product' | 'weight'} = {}): ApplyOptions {
  return {
    target: ['q_proj', 'k_proj', 'v_proj', 'o_proj', 'gate_proj', 'up_proj', 'down_proj'],
    rank: 14,
    frozenRank: 14,
    refreshEvery: 200,
    exactSteps: 200,
    exactEvery: 0,
    score,
    overrides: [
      {target: ['q_proj', 'k_proj', 'gate_proj'], keep: 1},
      {target: ['v_proj', 'o_proj'], keep: 0.55},
      {target: ['up_proj', 'down_proj'], keep: 0.65},
    ],
  };
}

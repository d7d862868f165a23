import {type CELoRAConfig, keptColumns} from '../config.ts';
import {breakEven} from '../kernels/break_even.ts';

/** What one activation gradient dx ≈ dy Wᵀ comes to. */
export interface Plan {
  /** Columns or rows kept; all of them where dx is exact. */
  kept: number;
  /** r₀; 0 where dx is exact, rows are sampled or W is trained. */
  frozenRank: number;
  exact: boolean;
  /** Multiply-adds of dx, without the adapter's term. */
  multiplyAdds: number;
}

/**
 * How dx of a product x [rows, inputs] · W [inputs, out] is computed in a pass whose turn it is not to be exact. It stays
 * exact with keep = 1 or exactEvery = 1, below minSize, where approximating would not save a multiply-add (the frozen
 * factors cost r₀ · (in + out) a row beside k · in), and where it was measured to save no time.
 * @param frozen Whether W keeps its values; a trained one has no frozen factors.
 */
export function planActivationGrad(
  {axis, keep, frozenRank, minSize, exactEvery}: CELoRAConfig,
  rows: number,
  inputs: number,
  out: number,
  frozen: boolean,
  least = breakEven(),
): Plan {
  const product = rows * inputs * out;
  const byRows = axis === 'rows';
  const kept = byRows ? Math.max(1, Math.round(keep * rows)) : keptColumns(keep, out);
  const rank = byRows || !frozen ? 0 : Math.min(frozenRank, inputs, out);
  const multiplyAdds = byRows ? kept * inputs * out : rows * (kept * inputs + rank * (inputs + out));
  if (exactEvery === 1 || product < Math.max(minSize, least) || multiplyAdds >= product) {
    return {kept: byRows ? rows : out, frozenRank: 0, exact: true, multiplyAdds: product};
  }
  return {kept, frozenRank: rank, exact: false, multiplyAdds};
}

/** The share of the backward passes that `exactEvery` leaves approximated. */
export const approximatedShare = ({exactEvery}: Pick<CELoRAConfig, 'exactEvery'>): number =>
  exactEvery === 0 ? 1 : 1 - 1 / exactEvery;

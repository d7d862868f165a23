export interface AdamWSettings {
  beta1: number;
  beta2: number;
  epsilon: number;
  weightDecay: number;
  /** Of all gradients together. */
  clipNorm?: number;
}

/** One variable, and whether it decays. */
export interface Weight {
  values: Float64Array;
  m: Float64Array;
  v: Float64Array;
  decays: boolean;
}

export const weight = (values: ArrayLike<number>, decays = true): Weight => ({
  values: Float64Array.from(values),
  m: new Float64Array(values.length),
  v: new Float64Array(values.length),
  decays,
});

/** Step t (from 1), in place; a weight without gradient stays as it is. */
export function adamwStep(
  weights: Weight[],
  gradients: (Float64Array | undefined)[],
  t: number,
  learningRate: number,
  {beta1, beta2, epsilon, weightDecay, clipNorm}: AdamWSettings,
): void {
  let squares = 0;
  for (const gradient of gradients) for (const g of gradient ?? []) squares += g * g;
  const factor = clipNorm === undefined ? 1 : Math.min(1, clipNorm / Math.sqrt(squares));
  for (const [i, {values, m, v, decays}] of weights.entries()) {
    const gradient = gradients[i];
    if (!gradient) continue;
    for (let j = 0; j < values.length; j++) {
      const g = factor * gradient[j]!;
      m[j] = beta1 * m[j]! + (1 - beta1) * g;
      v[j] = beta2 * v[j]! + (1 - beta2) * g * g;
      const corrected = [m[j]! / (1 - beta1 ** t), v[j]! / (1 - beta2 ** t)] as const;
      if (decays) values[j]! *= 1 - learningRate * weightDecay;
      values[j]! -= (learningRate * corrected[0]) / (Math.sqrt(corrected[1]) + epsilon);
    }
  }
}

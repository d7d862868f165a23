/** The fused ops of a transformer, of values row by row in float64. */

type Values = ArrayLike<number>;

const sum = (values: Values): number => Array.from(values).reduce((total, value) => total + value, 0);
const mean = (values: Values): number => sum(values) / values.length;

/** f of each row of `size` values, one row after the other. */
function perRow(x: Values, size: number, f: (row: number[]) => number[]): Float64Array {
  const values = Array.from(x);
  return Float64Array.from(
    Array.from({length: values.length / size}, (_, i) => f(values.slice(i * size, (i + 1) * size))).flat(),
  );
}

export const add = (a: Values, b: Values): Float64Array => Float64Array.from(a, (value, i) => value + b[i]!);

export const rmsNorm = (x: Values, weight: Values, epsilon: number): Float64Array =>
  perRow(x, weight.length, (row) => {
    const rms = Math.sqrt(mean(row.map((value) => value ** 2)) + epsilon);
    return row.map((value, i) => (value / rms) * weight[i]!);
  });

export const layerNorm = (x: Values, gamma: Values, beta: Values, epsilon: number): Float64Array =>
  perRow(x, gamma.length, (row) => {
    const centre = mean(row);
    const deviation = Math.sqrt(mean(row.map((value) => (value - centre) ** 2)) + epsilon);
    return row.map((value, i) => ((value - centre) / deviation) * gamma[i]! + beta[i]!);
  });

const ACTIVATIONS = {
  silu: (x: number) => x / (1 + Math.exp(-x)),
  gelu: (x: number) => (x / 2) * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (x + 0.044715 * x ** 3))),
};

export const gatedUnit = (gate: Values, up: Values, activation: 'silu' | 'gelu'): Float64Array =>
  Float64Array.from(gate, (value, i) => ACTIVATIONS[activation](value) * up[i]!);

/** Angle in radians of each token and pair, [t, pairs]. */
export const angles = (t: number, pairs: number): number[] =>
  Array.from({length: t * pairs}, (_, i) => Math.floor(i / pairs) * 50 ** -((i % pairs) / pairs));

/** x [batch, t, heads·2·pairs], each pair turned as a complex number. */
export function rotaryEmbedding(
  x: Values,
  t: number,
  width: number,
  turns: readonly number[],
  pairing: 'half' | 'interleaved',
): Float64Array {
  const pairs = turns.length / t;
  const y = new Float64Array(x.length);
  for (let head = 0; head < x.length; head += 2 * pairs) {
    const token = Math.floor(head / width) % t;
    for (let pair = 0; pair < pairs; pair++) {
      const angle = turns[token * pairs + pair]!;
      const [re, im] = pairing === 'half' ? [pair, pair + pairs] : [2 * pair, 2 * pair + 1];
      const [a, b] = [x[head + re]!, x[head + im]!];
      y[head + re] = a * Math.cos(angle) - b * Math.sin(angle);
      y[head + im] = a * Math.sin(angle) + b * Math.cos(angle);
    }
  }
  return y;
}

export interface AttentionSizes {
  batch: number;
  t: number;
  numHeads: number;
  numKvHeads: number;
  headDim: number;
}

/** y [batch, t, numHeads·headDim] and log Σ exp of each row's scores [batch, numHeads, t]. */
export function causalAttention(
  [q, k, v]: readonly [Values, Values, Values],
  {batch, t, numHeads, numKvHeads, headDim}: AttentionSizes,
  {scale = 1 / Math.sqrt(headDim), segments}: {scale?: number; segments?: Values} = {},
): {y: Float64Array; logSumExp: Float64Array} {
  const y = new Float64Array(q.length);
  const logSumExp = new Float64Array(batch * numHeads * t);
  const at = (sequence: number, token: number, heads: number, head: number) =>
    ((sequence * t + token) * heads + head) * headDim;
  for (let sequence = 0; sequence < batch; sequence++) {
    for (let head = 0; head < numHeads; head++) {
      const shared = Math.floor((head * numKvHeads) / numHeads);
      for (let token = 0; token < t; token++) {
        const row = at(sequence, token, numHeads, head);
        const segment = segments?.[sequence * t + token];
        const seen = Array.from({length: token + 1}, (_, other) => other).filter(
          (other) => segments?.[sequence * t + other] === segment,
        );
        const scores = seen.map((other) => {
          const key = at(sequence, other, numKvHeads, shared);
          return scale * sum(Array.from({length: headDim}, (_, i) => q[row + i]! * k[key + i]!));
        });
        const top = Math.max(...scores);
        const total = sum(scores.map((score) => Math.exp(score - top)));
        logSumExp[(sequence * numHeads + head) * t + token] = top + Math.log(total);
        for (const [j, other] of seen.entries()) {
          const value = at(sequence, other, numKvHeads, shared);
          for (let i = 0; i < headDim; i++) {
            y[row + i]! += (Math.exp(scores[j]! - top) / total) * v[value + i]!;
          }
        }
      }
    }
  }
  return {y, logSumExp};
}

/** The gradients by q, k and v of y for dy; dP = dy vᵀ, dS = P · (dP − Σ dP · P), of each row. */
export function causalAttentionGrad(
  dy: Values,
  [q, k, v]: readonly [Values, Values, Values],
  sizes: AttentionSizes,
  {scale = 1 / Math.sqrt(sizes.headDim), segments}: {scale?: number; segments?: Values} = {},
): [dq: Float64Array, dk: Float64Array, dv: Float64Array] {
  const {batch, t, numHeads, numKvHeads, headDim} = sizes;
  const {logSumExp} = causalAttention([q, k, v], sizes, {scale, ...(segments && {segments})});
  const [dq, dk, dv] = [q, k, v].map(({length}) => new Float64Array(length)) as [
    Float64Array,
    Float64Array,
    Float64Array,
  ];
  const dot = (a: Values, i: number, b: Values, j: number) =>
    sum(Array.from({length: headDim}, (_, x) => a[i + x]! * b[j + x]!));
  for (let place = 0; place < batch * numHeads * t; place++) {
    const [head, token] = [Math.floor(place / t) % numHeads, place % t];
    const start = Math.floor(place / t / numHeads) * t;
    const row = ((start + token) * numHeads + head) * headDim;
    const seen = Array.from({length: token + 1}, (_, other) => start + other)
      .filter((other) => segments?.[other] === segments?.[start + token])
      .map((other) => (other * numKvHeads + Math.floor((head * numKvHeads) / numHeads)) * headDim);
    const p = seen.map((key) => Math.exp(scale * dot(q, row, k, key) - logSumExp[place]!));
    const dp = seen.map((key) => dot(dy, row, v, key));
    const along = sum(p.map((value, j) => value * dp[j]!));
    for (const [j, key] of seen.entries()) {
      const dScore = scale * p[j]! * (dp[j]! - along);
      for (let x = 0; x < headDim; x++) {
        dq[row + x]! += dScore * k[key + x]!;
        dk[key + x]! += dScore * q[row + x]!;
        dv[key + x]! += p[j]! * dy[row + x]!;
      }
    }
  }
  return [dq, dk, dv];
}

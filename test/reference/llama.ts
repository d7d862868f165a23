import type {LlamaConfig} from '../../demos/llama/config.ts';

/** The checkpoint's tensors by their Hugging Face names: matrices [out, in], row by row. */
export type Weights = ReadonlyMap<string, {shape: number[]; data: ArrayLike<number>}>;

type Rows = Float64Array[];

/** x Wᵀ + b of every row; the bias where the checkpoint has one. */
function linear(weights: Weights, name: string, x: Rows): Rows {
  const {shape, data} = weights.get(`${name}.weight`)!;
  const [outs, ins] = shape as [number, number];
  const bias = weights.get(`${name}.bias`)?.data;
  return x.map((row) =>
    Float64Array.from({length: outs}, (_, o) => {
      let sum = bias ? bias[o]! : 0;
      for (let i = 0; i < ins; i++) sum += row[i]! * data[o * ins + i]!;
      return sum;
    }),
  );
}

function rmsNorm(weights: Weights, name: string, x: Rows, epsilon: number): Rows {
  const scale = weights.get(`${name}.weight`)!.data;
  return x.map((row) => {
    const square = row.reduce((sum, value) => sum + value * value, 0) / row.length;
    return row.map((value, i) => (value / Math.sqrt(square + epsilon)) * scale[i]!);
  });
}

/** Llama 3.1's rule, by wavelengths as its authors state it. */
export function frequency(config: LlamaConfig, plane: number): number {
  const base = 1 / config.ropeTheta ** ((2 * plane) / config.headDim);
  if (!config.ropeScaling) return base;
  const {factor, lowFreqFactor, highFreqFactor, originalMaxPositions} = config.ropeScaling;
  const wavelength = (2 * Math.PI) / base;
  if (wavelength < originalMaxPositions / highFreqFactor) return base;
  if (wavelength > originalMaxPositions / lowFreqFactor) return base / factor;
  const smooth = (originalMaxPositions / wavelength - lowFreqFactor) / (highFreqFactor - lowFreqFactor);
  return ((1 - smooth) * base) / factor + smooth * base;
}

/** One head of one row, each pair (i, i + dim / 2) turned as a complex number. */
function turned(config: LlamaConfig, row: Float64Array, head: number, position: number): Float64Array {
  const {headDim} = config;
  const part = row.slice(head * headDim, (head + 1) * headDim);
  const half = headDim / 2;
  return part.map((_, i) => {
    const plane = i % half;
    const angle = position * frequency(config, plane);
    const [re, im] = [part[plane]!, part[plane + half]!];
    return i < half
      ? re * Math.cos(angle) - im * Math.sin(angle)
      : re * Math.sin(angle) + im * Math.cos(angle);
  });
}

function attention(config: LlamaConfig, q: Rows, k: Rows, v: Rows): Rows {
  const {numHeads, numKvHeads, headDim} = config;
  const out = q.map(() => new Float64Array(numHeads * headDim));
  for (let head = 0; head < numHeads; head++) {
    const shared = Math.floor(head / (numHeads / numKvHeads));
    const keys = k.map((row, position) => turned(config, row, shared, position));
    for (const [t, row] of q.entries()) {
      const query = turned(config, row, head, t);
      const scores = keys
        .slice(0, t + 1)
        .map((key) => key.reduce((sum, value, i) => sum + value * query[i]!, 0) / Math.sqrt(headDim));
      const top = Math.max(...scores);
      const exps = scores.map((score) => Math.exp(score - top));
      const total = exps.reduce((sum, value) => sum + value, 0);
      for (const [s, value] of exps.entries()) {
        for (let i = 0; i < headDim; i++) {
          out[t]![head * headDim + i]! += (value / total) * v[s]![shared * headDim + i]!;
        }
      }
    }
  }
  return out;
}

const sum = (a: Rows, b: Rows): Rows => a.map((row, t) => row.map((value, i) => value + b[t]![i]!));

/** Logits of every position of one sequence, in float64. */
export function llamaLogits(config: LlamaConfig, weights: Weights, ids: ArrayLike<number>): Rows {
  const table = weights.get('model.embed_tokens.weight')!.data;
  const {hiddenSize, rmsNormEps} = config;
  let x: Rows = Array.from(ids, (id) =>
    Float64Array.from({length: hiddenSize}, (_, i) => table[id * hiddenSize + i]!),
  );
  for (let layer = 0; layer < config.numLayers; layer++) {
    const at = (name: string) => `model.layers.${layer}.${name}`;
    const forAttention = rmsNorm(weights, at('input_layernorm'), x, rmsNormEps);
    const [q, k, v] = ['q_proj', 'k_proj', 'v_proj'].map((name) =>
      linear(weights, at(`self_attn.${name}`), forAttention),
    ) as [Rows, Rows, Rows];
    x = sum(x, linear(weights, at('self_attn.o_proj'), attention(config, q, k, v)));
    const forMlp = rmsNorm(weights, at('post_attention_layernorm'), x, rmsNormEps);
    const gate = linear(weights, at('mlp.gate_proj'), forMlp);
    const up = linear(weights, at('mlp.up_proj'), forMlp);
    const gated = gate.map((row, t) => row.map((g, i) => (g / (1 + Math.exp(-g))) * up[t]![i]!));
    x = sum(x, linear(weights, at('mlp.down_proj'), gated));
  }
  const last = rmsNorm(weights, 'model.norm', x, rmsNormEps);
  return linear(weights, config.tiedHead ? 'model.embed_tokens' : 'lm_head', last);
}

/** Mean of −log softmax(logits)[label] over the labels that are not negative. */
export function crossEntropy(logits: readonly ArrayLike<number>[], labels: ArrayLike<number>): number {
  let total = 0;
  let count = 0;
  for (const [t, row] of logits.entries()) {
    const label = labels[t]!;
    if (label < 0) continue;
    const values = Array.from(row);
    const top = Math.max(...values);
    total += top + Math.log(values.reduce((s, value) => s + Math.exp(value - top), 0)) - values[label]!;
    count++;
  }
  return total / count;
}

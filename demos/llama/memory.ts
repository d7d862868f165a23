import type {Base} from '../../src/index.ts';
import type {LlamaConfig} from './config.ts';

/** What of a training run decides how much memory it takes. */
export interface TrainingSize {
  /** Rows in a batch. */
  batch: number;
  /** Tokens in a row. */
  seq: number;
  /** Of the adapters. */
  rank: number;
  keep: number;
  frozenRank: number;
  /** How the weights are held. */
  base: Base;
}

const FLOAT = 4;
const HALF = 2;
/** Logits are computed in chunks of rows; see `linearCrossEntropy`. */
const LOGITS_CHUNK = 256 * 2 ** 20;

/** [in, out] of the seven matrices of a block. */
function matrices({hiddenSize: hidden, intermediateSize: wide, ...config}: LlamaConfig): [number, number][] {
  const [q, kv] = [config.numHeads * config.headDim, config.numKvHeads * config.headDim];
  return [
    [hidden, q],
    [hidden, kv],
    [hidden, kv],
    [q, hidden],
    [hidden, wide],
    [hidden, wide],
    [wide, hidden],
  ];
}

/**
 * Bytes that fine-tuning all seven projections of a Llama takes at its peak, estimated: weights, and as much again for what
 * products make of them; packed columns and frozen factors; adapters with gradients, moments and the copies from which a run
 * rolls back; activations until their backward pass, as many a token as were measured (`test/demos/llama/memory_test.ts`).
 */
export function trainingMemory(config: LlamaConfig, size: TrainingSize): number {
  const {hiddenSize: hidden, intermediateSize: wide, numLayers, vocabSize, tiedHead} = config;
  const {batch, seq, rank, keep, frozenRank, base} = size;
  const held = base === 'float32' ? FLOAT : HALF;
  const all = matrices(config);
  const sum = (of: (inputs: number, out: number) => number) =>
    numLayers * all.reduce((total, [inputs, out]) => total + of(inputs, out), 0);
  const weights = sum((inputs, out) => inputs * out) + (tiedHead ? 1 : 2) * vocabSize * hidden;
  const isApproximate = keep < 1;
  const packed = isApproximate ? sum((inputs, out) => keep * inputs * out) : 0;
  const factors = isApproximate ? sum((inputs, out) => 2 * Math.min(frozenRank, inputs, out) * out) : 0;
  const adapters = sum((inputs, out) => rank * (inputs + out));
  const kv = config.numKvHeads * config.headDim;
  const activations = batch * seq * numLayers * (12 * hidden + 6 * kv + 7 * wide);
  const logits = 3 * Math.min(batch * seq * vocabSize * FLOAT, LOGITS_CHUNK);
  return held * (2 * weights + packed) + FLOAT * (factors + 6 * adapters + activations) + logits;
}

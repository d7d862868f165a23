import * as tf from '@tensorflow/tfjs-core';
import type {LlamaConfig} from './config.ts';

/** What the rotation of q and k depends on. */
export type RotaryConfig = Pick<LlamaConfig, 'headDim' | 'ropeTheta' | 'ropeScaling'>;

/** Angle per position, in radians, of each of the headDim / 2 planes (Llama 3.1's stretching included). */
export function rotaryFrequencies({headDim, ropeTheta, ropeScaling}: RotaryConfig): Float64Array {
  return Float64Array.from({length: headDim / 2}, (_, i) => {
    const frequency = ropeTheta ** ((-2 * i) / headDim);
    if (!ropeScaling) return frequency;
    const {factor, lowFreqFactor, highFreqFactor, originalMaxPositions} = ropeScaling;
    // Turns that the plane makes over the original context: few are stretched in full, many not at all.
    const turns = (originalMaxPositions * frequency) / (2 * Math.PI);
    const kept = Math.min(1, Math.max(0, (turns - lowFreqFactor) / (highFreqFactor - lowFreqFactor)));
    return frequency * (kept + (1 - kept) / factor);
  });
}

/** Cosine and sine of each position and plane, [length, headDim / 2] both. */
export interface RotaryTables {
  cos: tf.Tensor;
  sin: tf.Tensor;
}

/** Made on the CPU in float64: sine and cosine of GPU shaders are off by up to 2e-4. */
export function rotaryTables(config: RotaryConfig, length: number): RotaryTables {
  const frequencies = rotaryFrequencies(config);
  const planes = frequencies.length;
  const table = (f: (angle: number) => number) =>
    tf.tensor2d(
      Float32Array.from({length: length * planes}, (_, i) =>
        f(Math.floor(i / planes) * frequencies[i % planes]!),
      ),
      [length, planes],
    );
  return {cos: table(Math.cos), sin: table(Math.sin)};
}

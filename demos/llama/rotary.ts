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

/** Cosine and signed sine of each position, [length, headDim] both: see `rotate`. */
export interface RotaryTables {
  cos: tf.Tensor;
  sin: tf.Tensor;
}

/** Made on the CPU in float64: sine and cosine of GPU shaders are off by up to 2e-4. */
export function rotaryTables(config: RotaryConfig, length: number): RotaryTables {
  const frequencies = rotaryFrequencies(config);
  const half = frequencies.length;
  const cos = new Float32Array(length * 2 * half);
  const sin = new Float32Array(length * 2 * half);
  for (let position = 0; position < length; position++) {
    for (let i = 0; i < half; i++) {
      const at = position * 2 * half + i;
      const angle = position * frequencies[i]!;
      cos[at] = cos[at + half] = Math.cos(angle);
      sin[at + half] = Math.sin(angle);
      sin[at] = -sin[at + half]!;
    }
  }
  return {cos: tf.tensor2d(cos, [length, 2 * half]), sin: tf.tensor2d(sin, [length, 2 * half])};
}

/** The two halves of the last axis exchanged. */
function swapHalves(x: tf.Tensor): tf.Tensor {
  const dim = x.shape.at(-1)!;
  const rows = tf.reshape(x, [-1, dim]);
  const half = (start: number) => tf.slice(rows, [0, start], [-1, dim / 2]);
  return tf.reshape(tf.concat([half(dim / 2), half(0)], 1), x.shape);
}

/**
 * Rotates x [.., length, headDim] by position; a plane is made of elements i and i + headDim / 2 (Hugging
 * Face's layout). The gradient is the rotation back.
 */
export function rotate(x: tf.Tensor, {cos, sin}: RotaryTables): tf.Tensor {
  const rotation = tf.customGrad((...args) => {
    const [x, save] = args as [tf.Tensor, tf.GradSaveFunc];
    save([cos, sin]);
    const gradFunc = (dy: tf.Tensor, saved: tf.Tensor[]) => {
      const [cos, sin] = saved as [tf.Tensor, tf.Tensor];
      return tf.sub(tf.mul(dy, cos), tf.mul(swapHalves(dy), sin));
    };
    return {value: tf.add(tf.mul(x, cos), tf.mul(swapHalves(x), sin)), gradFunc};
  });
  return rotation(x);
}

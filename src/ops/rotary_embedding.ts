import type {Tensor, Tensor3D} from '@tensorflow/tfjs-core';
import {show} from '../config.ts';
import {registerGradients} from '../gradients/register.ts';
import {runKernel} from '../kernels/register.ts';
import {RotaryEmbedding, type RotaryPairing} from '../kernels/transformer_kernel_names.ts';
import {operand} from './check.ts';

const PAIRINGS: readonly RotaryPairing[] = ['half', 'interleaved'];

export interface RotaryEmbeddingOptions {
  /**
   * Which numbers of a head are turned together: i and i + headDim/2 ('half': Hugging Face's Llama, GPT-NeoX), or 2i and
   * 2i + 1 ('interleaved': the paper, GPT-J). Default 'half'.
   */
  pairing?: RotaryPairing;
}

/** @throws Error naming the value, unless it is a pairing. */
export function checkPairing(owner: string, pairing: RotaryPairing): void {
  if (!PAIRINGS.includes(pairing)) {
    throw new Error(
      `${owner}: pairing must be one of ${PAIRINGS.map(show).join(', ')}, but is ${show(pairing)}`,
    );
  }
}

/**
 * Rotary position embedding (arXiv 2104.09864): turns pair i of each head of token p by the angle whose cosine and sine
 * stand in row p, column i of the tables. These are constants, without gradient; make them in float64 on the CPU (the
 * sine of a GPU's shader is off by up to 2e-4).
 * @param x [batch, t, heads · headDim], float32: the heads side by side, as a projection makes them.
 * @param cos [t, headDim / 2].
 * @param sin [t, headDim / 2].
 * @returns [batch, t, heads · headDim].
 * @throws Error for operands of the wrong dtype or shape.
 */
export function rotaryEmbedding(
  x: Tensor,
  cos: Tensor,
  sin: Tensor,
  {pairing = 'half'}: RotaryEmbeddingOptions = {},
): Tensor3D {
  registerGradients();
  const op = 'rotaryEmbedding';
  operand(op, 'x', x, [undefined, undefined, undefined]);
  operand(op, 'cos', cos, [x.shape[1], undefined]);
  operand(op, 'sin', sin, cos.shape);
  const [width, headDim] = [x.shape[2]!, 2 * cos.shape[1]!];
  if (width % headDim !== 0) {
    throw new Error(
      `${op}: x must have heads of ${headDim} numbers, twice the columns of cos, but its shape is [${x.shape}]`,
    );
  }
  checkPairing(op, pairing);
  return runKernel<Tensor3D>(RotaryEmbedding, {x, cos, sin}, {pairing, inverse: false});
}

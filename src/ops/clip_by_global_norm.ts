import * as tf from '@tensorflow/tfjs-core';
import {show} from '../config.ts';
import {runKernel} from '../kernels/register.ts';
import {GlobalNorm, PackTensors, UnpackTensors} from '../kernels/training_kernel_names.ts';

/** The numbers of tensors one behind the other, [n]. */
export const pack = (tensors: tf.Tensor[]): tf.Tensor1D => runKernel(PackTensors, tensors);

/** The opposite of `pack`. */
export const unpack = (flat: tf.Tensor, shapes: number[][]): tf.Tensor[] =>
  runKernel(UnpackTensors, {flat}, {shapes});

/** √Σ flat², and what clips it to maxNorm. */
export const globalNorm = (flat: tf.Tensor, maxNorm: number): [norm: tf.Scalar, scale: tf.Scalar] =>
  runKernel(GlobalNorm, {flat}, {maxNorm});

/**
 * Scales tensors together so that the norm of all their numbers is at most `maxNorm` (Pascanu et al. 2013, arXiv
 * 1211.5063): t · maxNorm / norm, bit for bit t where norm ≤ maxNorm. All on the device; it has no gradient.
 *
 * What is not finite is passed on, not hidden: with a NaN in any tensor every clipped number is NaN; with an infinite
 * norm what is finite becomes 0 and what is not becomes NaN.
 * @param tensors float32, at least one.
 * @param maxNorm > 0.
 * @returns clipped, of the same shapes, and the norm before, [].
 * @throws Error for no tensors, another dtype, a bad maxNorm.
 */
export function clipByGlobalNorm(
  tensors: tf.Tensor[],
  maxNorm: number,
): {clipped: tf.Tensor[]; norm: tf.Scalar} {
  const op = 'clipByGlobalNorm';
  if (tensors.length === 0) throw new Error(`${op}: tensors must hold at least one, but is empty`);
  const other = tensors.find(({dtype}) => dtype !== 'float32');
  if (other)
    throw new Error(`${op}: tensors must be float32, but one of shape [${other.shape}] is ${other.dtype}`);
  if (!(maxNorm > 0)) throw new Error(`${op}: maxNorm must be a number > 0, but is ${show(maxNorm)}`);
  return tf.tidy(() => {
    const flat = pack(tensors);
    const [norm, scale] = globalNorm(flat, maxNorm);
    return {
      clipped: unpack(
        tf.mul(flat, scale),
        tensors.map(({shape}) => shape),
      ),
      norm,
    };
  });
}

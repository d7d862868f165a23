import * as tf from '@tensorflow/tfjs-core';
import type {ActivationGradient} from '../gradients/activation_gradient.ts';
import type {TapeAttrs} from '../gradients/lora_mat_mul_grad.ts';
import {registerGradients} from '../gradients/register.ts';
import {type FusedActivation, LoRAMatMul} from '../kernels/kernel_names.ts';
import {runKernel} from '../kernels/register.ts';
import {matrix, vector} from './check.ts';
import {operandOf, type Weights, weightMatrix} from './half.ts';

export interface LoRAMatMulArgs {
  /** x [..., in], rank ≥ 2; int32 and bool are cast to float32. */
  x: tf.Tensor;
  /** W [in, out]; at half precision it is frozen. */
  kernel: Weights;
  /** b [out]. */
  bias?: tf.Tensor | undefined;
  /** A [in, r]; with loraB or not at all. */
  loraA?: tf.Tensor | undefined;
  /** B [r, out]. */
  loraB?: tf.Tensor | undefined;
  /** s, what scales the adapter: alpha / r. Default 1. */
  scale?: number;
  /** Default 'linear'. */
  activation?: FusedActivation;
  /** How dx is computed in backward; absent = exactly. The object owns the derived state: one for each product. */
  gradient?: ActivationGradient | undefined;
}

const ACTIVATIONS: Record<Exclude<FusedActivation, 'linear'>, (y: tf.Tensor) => tf.Tensor> = {
  relu: tf.relu,
  elu: tf.elu,
};

/**
 * The product of a LoRA layer: y = activation(xW + s(xA)B + b), always exact; its gradient with respect to x may be
 * approximated (arXiv 2502.01378). Gradients are lazy: nothing is computed for a frozen W, A, B, b or for an x that
 * leads to no variable. As of tf.layers.dense, there are no gradients of second order.
 * @returns [..., out], float32.
 * @throws Error for operands of the wrong rank, shape or dtype.
 */
export function loraMatMul(args: LoRAMatMulArgs): tf.Tensor {
  const {bias, loraA, loraB, scale = 1, activation = 'linear', gradient} = args;
  registerGradients();
  const op = 'loraMatMul';
  const [inputs, units] = weightMatrix(op, 'kernel', args.kernel);
  if (bias) vector(op, 'bias', bias, units);
  if ((loraA === undefined) !== (loraB === undefined)) throw new Error(`${op}: loraA and loraB go together`);
  if (loraA && loraB) {
    const [, rank] = matrix(op, 'loraA', loraA, [inputs]);
    matrix(op, 'loraB', loraB, [rank, units]);
  }
  if (args.x.dtype === 'complex64' || args.x.dtype === 'string') {
    throw new Error(`${op}: x must be a float32, int32 or bool tensor, but its dtype is ${args.x.dtype}`);
  }
  if (args.x.rank < 2 || args.x.shape.at(-1) !== inputs) {
    throw new Error(
      `${op}: x must have shape [..., ${inputs}] and rank ≥ 2, but its shape is [${args.x.shape}]`,
    );
  }
  if (gradient?.transposed) throw new Error(`${op}: gradient must not be one for a transposed kernel`);
  const {tensor: kernel, half} = operandOf(args.kernel);
  return tf.tidy(() => {
    const x = args.x.dtype === 'float32' ? args.x : tf.cast(args.x, 'float32');
    const flat = x.rank === 2 ? x : tf.reshape(x, [-1, inputs]);
    // as stock tfjs does: while a tape records, the activation and the bias before it are nodes of their own
    const fuse = activation === 'linear' || tf.engine().state.gradientDepth === 0;
    const fusedBias = fuse ? bias : undefined;
    const [made] = runKernel<[tf.Tensor]>(
      LoRAMatMul,
      [flat, kernel, fusedBias, loraA, loraB].filter((tensor) => tensor !== undefined),
      {
        hasBias: fusedBias !== undefined,
        hasAdapter: loraA !== undefined,
        scale,
        half,
        activation: fuse ? activation : 'linear',
        gradient,
        frozenData: kernel instanceof tf.Variable && kernel.trainable ? undefined : kernel.dataId,
      } satisfies TapeAttrs,
    );
    const y = fuse ? made : ACTIVATIONS[activation](bias ? tf.add(made, bias) : made);
    return x.rank === 2 ? y : tf.reshape(y, [...x.shape.slice(0, -1), units]);
  });
}

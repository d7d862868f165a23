import * as tf from '@tensorflow/tfjs-core';
import {LoRAMatMul, type LoRAMatMulAttrs} from '../kernels/kernel_names.ts';
import {namedOperands} from '../kernels/operands.ts';
import {activationGrad} from '../ops/activation_grad.ts';
import {weightsOf} from '../ops/half.ts';
import {loraGrad} from '../ops/lora_grad.ts';
import {product} from '../ops/product.ts';
import type {ActivationGradient} from './activation_gradient.ts';

/** The attributes on the tape: the kernel's own, and how dx is to be computed. */
export interface TapeAttrs extends LoRAMatMulAttrs {
  gradient: ActivationGradient | undefined;
  /** What identifies the kernel's values if it is frozen: saved tensors are copies on some backends (wasm). */
  frozenData: object | undefined;
}

/**
 * dW = xᵀdy, db = Σ dy, dA = s xᵀ(dy Bᵀ), dB = s (xA)ᵀ dy, and dx by the product's ActivationGradient. Only the
 * closures of inputs that lead to a variable run, so that a frozen kernel costs nothing; what is of the adapter is made at
 * once, wanted or not: one operation costs less than the choice between several saves.
 */
export const loraMatMulGradConfig: tf.GradConfig = {
  kernelName: LoRAMatMul,
  saveAllInputs: true,
  outputsToSave: [false, true],
  gradFunc: (dyOrDys, saved, namedAttrs) => {
    // s xA leads nowhere
    const [dy] = [dyOrDys].flat() as [tf.Tensor2D];
    const attrs = namedAttrs as unknown as TapeAttrs;
    const {x, kernel: tensor, bias, loraA, loraB, loraX} = namedOperands(saved, attrs);
    const kernel = weightsOf(tensor, attrs.half);
    // all that the adapter needs, at once, before the closures, which run in tidies of their own
    const [loraDy, gradA, gradB] = loraX && loraB ? loraGrad(x, dy, loraX, loraB, attrs.scale) : [];
    const adapter = loraA && loraDy ? {loraA, loraDy} : {};
    const dx = () =>
      attrs.gradient
        ? attrs.gradient.compute(dy, kernel, attrs.frozenData, adapter)
        : activationGrad({dy, kernel, ...adapter});
    const closures = [dx, () => product(x, dy, true, false)];
    if (bias) closures.push(() => tf.sum(dy, 0));
    if (gradA && gradB) {
      closures.push(
        () => gradA,
        () => gradB,
      );
    }
    return {...closures} as unknown as ReturnType<tf.GradFunc>;
  },
};

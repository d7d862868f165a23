import type {Tensor} from '@tensorflow/tfjs-core';
import {show} from '../config.ts';
import {registerGradients} from '../gradients/register.ts';
import {runKernel} from '../kernels/register.ts';
import {type GateActivation, GatedUnit} from '../kernels/transformer_kernel_names.ts';
import {operand} from './check.ts';

const ACTIVATIONS: readonly GateActivation[] = ['silu', 'gelu'];

export interface GatedUnitOptions {
  /**
   * 'silu': x · σ(x), which makes SwiGLU; 'gelu': its approximation ½x(1 + tanh(√(2/π)(x + 0.044715 x³))), which makes
   * GEGLU. Default 'silu'.
   */
  activation?: GateActivation;
}

/** @throws Error naming the value, unless it is an activation. */
export function checkActivation(owner: string, activation: GateActivation): void {
  if (!ACTIVATIONS.includes(activation)) {
    const names = ACTIVATIONS.map(show).join(', ');
    throw new Error(`${owner}: activation must be one of ${names}, but is ${show(activation)}`);
  }
}

/**
 * The gated linear unit of a transformer's MLP (arXiv 2002.05202): y = activation(gate) · up. Its backward pass keeps
 * gate and up and nothing else.
 * @param gate [...], float32.
 * @param up As gate.
 * @returns As gate.
 * @throws Error for operands of the wrong dtype or shape.
 */
export function gatedUnit<T extends Tensor>(
  gate: T,
  up: Tensor,
  {activation = 'silu'}: GatedUnitOptions = {},
): T {
  registerGradients();
  const op = 'gatedUnit';
  operand(op, 'gate', gate, gate.shape);
  operand(op, 'up', up, gate.shape);
  checkActivation(op, activation);
  return runKernel<T>(GatedUnit, {gate, up}, {activation});
}

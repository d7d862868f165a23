import * as tf from '@tensorflow/tfjs-core';

/** What the ops are measured at. */
export interface OpSizes {
  hidden: number;
  ffn: number;
  heads: number;
  kvHeads: number;
  vocabulary: number;
  batch: number;
  t: number;
  /** batch · t. */
  rows: number;
}

/** One kernel, and what bounds it. */
export interface OpEntry {
  name: string;
  /** 2 × multiply-adds, of a kernel that computes. */
  flops?: number;
  /** Bytes that it must read and write, of a kernel that moves. */
  bytes?: number;
  /** Makes the operands, and gives what runs the kernel on them. */
  make: () => () => tf.Tensor | tf.Tensor[];
}

/** Normal random values. */
export const operand = (...shape: number[]): tf.Tensor => tf.randomNormal(shape);

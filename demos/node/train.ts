import type * as tf from '@tensorflow/tfjs-core';
import {AdamW} from '../../src/index.ts';
import {nextTurn} from './next_turn.ts';
import type {Task} from './task.ts';
import {UserError} from './user_error.ts';

/** Linear warm-up over a twentieth of the steps, then a cosine down to a tenth of the peak. */
export function learningRate(step: number, steps: number, peak: number): number {
  const warmUp = Math.max(1, Math.round(steps / 20));
  if (step < warmUp) return (peak * (step + 1)) / warmUp;
  const through = (step - warmUp) / Math.max(1, steps - warmUp);
  return peak * (0.1 + 0.45 * (1 + Math.cos(Math.PI * through)));
}

export interface TrainResult {
  losses: number[];
  seconds: number;
}

export interface TrainOptions {
  lr: number;
  /** Steps done, and the loss of the last one. */
  onStep: (step: number, loss: number) => void;
  /** Aborted: training ends after the step under way. */
  signal: AbortSignal;
}

/** Trains what is trainable in the task's model. */
export async function train(task: Task, {lr, onStep, signal}: TrainOptions): Promise<TrainResult> {
  const variables = task.model.trainableWeights.map((weight) => weight.read() as tf.Variable);
  const optimizer = new AdamW(lr, {weightDecay: 0});
  const losses: number[] = [];
  const read = async (loss: tf.Scalar): Promise<void> => {
    const value = (await loss.data())[0]!;
    loss.dispose();
    losses.push(value);
    onStep(losses.length, value);
    if (!Number.isFinite(value)) {
      throw new UserError(`the loss became ${value} at step ${losses.length}: try a smaller --lr than ${lr}`);
    }
  };
  let reading: Promise<void> = Promise.resolve();
  const start = performance.now();
  try {
    for (let step = 0; step < task.steps && !signal.aborted; step++) {
      optimizer.learningRate = learningRate(step, task.steps, lr);
      const loss = optimizer.minimize(() => task.loss(step), true, variables)!;
      // the loss of the step before is read while this one is computed: the device never waits
      await reading;
      reading = read(loss);
      reading.catch(() => {}); // it is awaited above, one step later
      await nextTurn();
    }
    await reading;
    return {losses, seconds: (performance.now() - start) / 1000};
  } finally {
    optimizer.dispose();
  }
}

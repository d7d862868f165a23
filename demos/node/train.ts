import {join} from 'node:path';
import {cosineSchedule, type FineTuneResult, fineTune, NonFiniteLossError} from '../../src/index.ts';
import {folderStore} from '../../src/node.ts';
import type {Options} from './options.ts';
import type {Task} from './task.ts';
import {UserError} from './user_error.ts';

export interface TrainHooks {
  /** Aborted: training ends after the step under way. */
  signal: AbortSignal;
  /** Steps done, by this run and the one that it goes on from; the loss of the last, and the last held-out loss. */
  onStep: (step: number, loss: number, heldOut: number | undefined) => void;
  /** The steps of the run that this one goes on from. */
  onResume: (step: number) => void;
  /** After an evaluation or a checkpoint, whose time is no step's. */
  onPause: () => void;
}

/** Trains what is trainable in the task's model. @param name Of the folder of its checkpoints. */
export async function train(
  task: Task,
  name: string,
  options: Options,
  {signal, onStep, onResume, onPause}: TrainHooks,
): Promise<FineTuneResult> {
  const {lr, warmup, clip, accumulate, checkpointLayers, evalEvery, patience, resume, saveEvery} = options;
  let heldOut: number | undefined;
  try {
    return await fineTune({
      model: task.model,
      data: task.data,
      loss: (batch, apply) => task.loss(batch, apply),
      steps: task.steps,
      learningRate: cosineSchedule(lr, {warmUp: warmup, floor: 0.1}),
      optimizer: {clipNorm: clip === 0 ? Number.POSITIVE_INFINITY : clip},
      accumulate,
      checkpointLayers,
      evaluation: evalEvery === undefined ? undefined : {data: task.heldOut, every: evalEvery, patience},
      checkpoints: {store: folderStore(join(options.out, 'checkpoints', name)), every: saveEvery, resume},
      signal,
      onEvent(event) {
        if (event.type === 'step') onStep(event.step, event.loss, heldOut);
        if (event.type === 'eval') heldOut = event.loss;
        if (event.type === 'resume') onResume(event.step);
        if (event.type === 'eval' || event.type === 'checkpoint') onPause();
      },
    });
  } catch (error) {
    if (!(error instanceof NonFiniteLossError)) throw error;
    throw new UserError(`the loss became no number at step ${error.step}: try a smaller --lr than ${lr}`);
  }
}

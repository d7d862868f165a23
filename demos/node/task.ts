import type {Scalar} from '@tensorflow/tfjs-core';
import type {LayersModel} from '@tensorflow/tfjs-layers';
import type {AdapterFilesOptions, Target} from '../../src/index.ts';

/** Something to fine-tune for: the same for a language model and for digits. */
export interface Task {
  name: string;
  model: LayersModel;
  target: Target;
  /** What an adapter's files say of the base. */
  base: Pick<AdapterFilesOptions, 'baseModel' | 'taskType'>;
  steps: number;
  /** What a step consumes: tokens or images, and how many. */
  unit: 'tokens' | 'images';
  unitsPerStep: number;
  /** The training loss of batch number `step`, on the tape; the same batch for the same number. */
  loss(step: number): Scalar;
  /** Loss on held-out data; `onProgress` gets the fraction done, and ends it by rejecting. */
  heldOutLoss(onProgress: (done: number) => Promise<void>): Promise<number>;
  /** What the model makes now of something held out, for a person to read. */
  sample(): Promise<string>;
  dispose(): void;
}

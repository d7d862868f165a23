import type {Scalar} from '@tensorflow/tfjs-core';
import type {LayersModel} from '@tensorflow/tfjs-layers';
import type {AdapterFilesOptions, ApplyModel, BatchSource, Target} from '../../src/index.ts';

/** Something to fine-tune for: the same for a language model and for digits. */
export interface Task {
  name: string;
  model: LayersModel;
  target: Target;
  /** What an adapter's files say of the base. */
  base: Pick<AdapterFilesOptions, 'baseModel' | 'taskType'>;
  steps: number;
  /** What a batch consumes: tokens or images, and how many. */
  unit: 'tokens' | 'images';
  unitsPerBatch: number;
  data: BatchSource<object>;
  heldOut: BatchSource<object>;
  /** The mean loss of one of their batches. A method, since each task has batches of its own kind. */
  loss(batch: object, apply: ApplyModel): Scalar;
  /** What the model makes now of something held out, for a person to read. */
  sample(): Promise<string>;
  dispose(): void;
}

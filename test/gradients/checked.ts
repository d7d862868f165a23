import * as tf from '@tensorflow/tfjs-core';
import {checkpoint, installEarlyFreeing} from '../../src/index.ts';
import {describeBackends} from '../backends.ts';
import {randomTensor} from '../model/models.ts';

export type Block = (...inputs: tf.Tensor[]) => tf.Tensor | tf.Tensor[];

/** The same call with a checkpoint and without. */
export const call = (
  checked: boolean,
  block: Block,
  inputs: tf.Tensor[],
  variables: tf.Variable[] = [],
): tf.Tensor[] => [checked ? checkpoint(block, inputs, variables) : block(...inputs)].flat();

export const variable = (shape: number[], seed: number): tf.Variable =>
  tf.variable(randomTensor(shape, seed));

/** Everything, with tfjs's own backward pass and with ours. */
export function describeBothWays(title: string, body: () => void): void {
  describeBackends(title, body);
  describeBackends(`${title}, freed early`, () => {
    let installation: {dispose(): void};
    before(() => {
      installation = installEarlyFreeing();
    });
    after(() => installation.dispose());
    body();
  });
}

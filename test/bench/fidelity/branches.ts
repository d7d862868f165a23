import * as tf from '@tensorflow/tfjs-core';
import type {LayersModel} from '@tensorflow/tfjs-layers';
import {isRecording, offTape} from '../../../src/gradients/off_tape.ts';
import {runNodes, type Stage, stagesOf, type Values} from '../../../src/model/apply_model.ts';
import {randomStream, seedFor} from '../../../src/random.ts';
import {sampleTokens} from './sample_tokens.ts';

/** A Llama whose backward pass leaves out parts of its blocks' branches: MLPs, or attentions too, norms included. */
export interface Branches {
  /**
   * 'tokens': of each MLP it goes through a sample of the tokens. 'drop': through each branch with probability `keep`, unscaled
   * (DropBP, arXiv 2402.17812, at one rate for all).
   */
  by: 'tokens' | 'drop';
  keep: number;
}

const MLP = /layers\.\d+\.(?=post_attention_layernorm$|mlp$|mlp\.\w+_proj$)/;
const ATTENTION = /layers\.\d+\.(?=input_layernorm$|self_attn$|self_attn\.(?!residual))/;

/** The branch that a layer is of, if its backward pass is thinned out. */
export function branchOf({by}: Branches, layer: string): string | undefined {
  const mlp = MLP.exec(layer)?.[0];
  if (mlp) return `${mlp}mlp`;
  const attention = by === 'drop' ? ATTENTION.exec(layer)?.[0] : undefined;
  return attention && `${attention}attention`;
}

/** Runs a model of `buildLlama`, or its body, as `apply` does; while a gradient is recorded its branches are thinned out. */
export function branchRunner(
  model: LayersModel,
  branches: Branches,
  seed: number,
): (inputs: tf.Tensor) => tf.Tensor {
  const {by, keep} = branches;
  const random = randomStream(seedFor('branches', seed));
  const kwargs = {training: true};
  const stages = stagesOf(model, (name) => branchOf(branches, name));

  function runBranch({nodes, inputs, outputs}: Stage, values: Values): void {
    const run = (given: readonly tf.Tensor[]) => {
      const inside: Values = new Map(inputs.map((id, i) => [id, given[i]!]));
      runNodes(nodes, inside, kwargs);
      return inside.get(outputs[0]!)!;
    };
    const given = inputs.map((id) => values.get(id)!);
    const result = () => {
      if (by === 'drop') return random() < keep ? run(given) : offTape(() => run(given));
      const seed = Math.floor(random() * 2 ** 32);
      return sampleTokens((rows) => run([rows]) as tf.Tensor2D, given[0]!, {keep, seed});
    };
    values.set(outputs[0]!, result());
  }

  return (inputs) => {
    if (!isRecording()) return model.apply(inputs, {training: false}) as tf.Tensor;
    return tf.tidy(() => {
      const values: Values = new Map([[model.inputs[0]!.id, inputs]]);
      for (const stage of stages) {
        if (stage.block === undefined) runNodes(stage.nodes, values, kwargs);
        else runBranch(stage, values);
      }
      return values.get(model.outputs[0]!.id)!;
    });
  };
}

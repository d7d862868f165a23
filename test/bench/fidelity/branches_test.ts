import * as tf from '@tensorflow/tfjs-core';
import {expect} from 'chai';
import {loadLlama} from '../../../demos/llama/load.ts';
import {onBackend, tinyModel} from '../../demos/llama/fixtures.ts';
import {type Branches, branchOf, branchRunner} from './branches.ts';

describe('bench fidelity: branches', () => {
  onBackend('cpu');

  it('are the MLPs, or the attentions too, without the residual stream', () => {
    const of = (by: Branches['by'], layer: string) => branchOf({by, keep: 0.5}, `model.layers.3.${layer}`);
    for (const layer of ['post_attention_layernorm', 'mlp', 'mlp.gate_proj', 'mlp.down_proj']) {
      expect(of('tokens', layer)).to.equal('layers.3.mlp');
      expect(of('drop', layer)).to.equal('layers.3.mlp');
    }
    for (const layer of ['input_layernorm', 'self_attn', 'self_attn.q_proj', 'self_attn.rotary_k']) {
      expect(of('tokens', layer)).to.equal(undefined);
      expect(of('drop', layer)).to.equal('layers.3.attention');
    }
    for (const layer of ['mlp.residual', 'self_attn.residual']) {
      expect(of('drop', layer)).to.equal(undefined);
    }
    expect(branchOf({by: 'drop', keep: 0.5}, 'model.norm')).to.equal(undefined);
  });

  /** The gradients of the kernels of a model's projections, as it is run; null: there is none. */
  async function gradients(branches?: Branches) {
    const {model} = await loadLlama(tinyModel());
    const ids = tf.tensor2d([[1, 5, 2, 7, 3, 4]], [1, 6], 'int32');
    const run = branches && branchRunner(model, branches, 3);
    const logits = () => (run ? run(ids) : (model.apply(ids) as tf.Tensor));
    const plain = await logits().data();
    const {value, grads} = tf.variableGrads(() => tf.mean(tf.square(logits())) as tf.Scalar);
    const named = Object.fromEntries(
      await Promise.all(
        Object.entries(grads).map(async ([name, grad]) => [
          name.replace(/_\d+$/, ''),
          [...(await grad.data())],
        ]),
      ),
    ) as Record<string, number[]>;
    tf.dispose([value, grads, ids]);
    model.dispose();
    return {plain, named};
  }

  for (const by of ['tokens', 'drop'] as const) {
    it(`that keep everything change nothing: ${by}`, async () => {
      const [exact, kept] = [await gradients(), await gradients({by, keep: 1})];
      expect(kept).to.deep.equal(exact);
    });

    it(`change gradients alone: ${by}`, async () => {
      const [exact, thinned] = [await gradients(), await gradients({by, keep: 0.5})];
      expect(thinned.plain).to.deep.equal(exact.plain);
      expect(thinned.named).not.to.deep.equal(exact.named);
    });
  }

  it('that are dropped have no gradient, and the residual stream passes on its own', async () => {
    const {named} = await gradients({by: 'drop', keep: 0});
    const names = Object.keys(named);
    expect(names.some((name) => /_proj/.test(name))).to.equal(false);
    expect(names.some((name) => name.startsWith('model.embed_tokens'))).to.equal(true);
  });
});

import * as tf from '@tensorflow/tfjs-core';
import * as tfl from '@tensorflow/tfjs-layers';
import {expect} from 'chai';
import {
  CausalAttention,
  causalAttention,
  type GateActivation,
  GatedUnit,
  gatedUnit,
  RMSNorm,
  RotaryEmbedding,
  type RotaryPairing,
  rmsNorm,
  rotaryEmbedding,
} from '../../src/index.ts';
import {describeBackends, expectClose, expectNoLeaks} from '../backends.ts';
import {artifactsOf, describeOnHost, expectSameBits, randomTensor, reload, train} from '../model/models.ts';

type Symbol = tfl.SymbolicTensor;

/** A block of every layer here, of 8 numbers a token: two heads of q on one of k and v, options all unusual. */
function block(): tfl.LayersModel {
  const x = tfl.input({shape: [null, 8], name: 'x'});
  const cos = tfl.input({batchShape: [null, 2], name: 'cos'});
  const sin = tfl.input({batchShape: [null, 2], name: 'sin'});
  const segments = tfl.input({shape: [null], dtype: 'int32', name: 'segments'});
  const dense = (name: string, units: number, x: Symbol) =>
    tfl.layers
      .dense({name, units, kernelInitializer: tfl.initializers.randomNormal({seed: units})})
      .apply(x) as Symbol;
  const rotate = (name: string, x: Symbol) =>
    new RotaryEmbedding({name, pairing: 'interleaved'}).apply([x, cos, sin]) as Symbol;
  const normed = new RMSNorm({name: 'first', epsilon: 0.01}).apply(x) as Symbol;
  const q = rotate('turn_q', dense('q', 8, normed));
  const k = rotate('turn_k', dense('k', 4, normed));
  const attention = new CausalAttention({name: 'attention', numHeads: 2, numKvHeads: 1, scale: 0.7});
  const attended = attention.apply([q, k, dense('v', 4, normed), segments]) as Symbol;
  const y = new RMSNorm({name: 'second'}).apply(attended) as Symbol;
  const gated = new GatedUnit({name: 'gate', activation: 'gelu'}).apply([dense('up', 8, y), y]) as Symbol;
  return tfl.model({inputs: [x, cos, sin, segments], outputs: gated});
}

const inputs = () => [
  randomTensor([3, 5, 8], 1),
  randomTensor([5, 2], 2),
  randomTensor([5, 2], 3),
  tf.tensor2d(
    [
      [0, 0, 1, 1, 1],
      [4, 4, 4, 4, 4],
      [0, 1, 2, 3, 3],
    ],
    undefined,
    'int32',
  ),
];

/** The layer made again from its config as a file holds it. */
function again<T extends tfl.layers.Layer>(layer: T): T {
  const config = JSON.parse(JSON.stringify(layer.getConfig())) as tf.serialization.ConfigDict;
  const {classNameMap} = tf.serialization.SerializationMap.getMap();
  const [cls, fromConfig] = classNameMap[layer.getClassName()]!;
  return fromConfig(cls, config) as T;
}

describeBackends('layers of the fused ops', () => {
  it('compute the ops', async () => {
    const x = randomTensor([2, 3, 8], 1);
    const norm = new RMSNorm({epsilon: 0.1});
    const weight = randomTensor([8], 2);
    norm.apply(x);
    norm.setWeights([weight]);
    await expectClose(norm.apply(x) as tf.Tensor, await rmsNorm(x, weight, {epsilon: 0.1}).data());
    const residual = randomTensor([2, 3, 8], 3);

    const [cos, sin] = [randomTensor([3, 2], 4), randomTensor([3, 2], 5)];
    for (const pairing of ['half', 'interleaved'] as const) {
      const turned = new RotaryEmbedding({pairing}).apply([x, cos, sin]) as tf.Tensor;
      await expectClose(turned, await rotaryEmbedding(x, cos, sin, {pairing}).data());
    }
    for (const activation of ['silu', 'gelu'] as const) {
      const gated = new GatedUnit({activation}).apply([x, residual]) as tf.Tensor;
      await expectClose(gated, await gatedUnit(x, residual, {activation}).data());
    }
    const heads = {numHeads: 4, numKvHeads: 2, scale: 0.3};
    const [k, v] = [randomTensor([2, 3, 4], 6), randomTensor([2, 3, 4], 7)];
    const segments = tf.tensor2d([0, 0, 1, 1, 1, 1], [2, 3], 'int32');
    const attention = new CausalAttention(heads);
    await expectClose(attention.apply([x, k, v]) as tf.Tensor, await causalAttention(x, k, v, heads).data());
    await expectClose(
      attention.apply([x, k, v, segments]) as tf.Tensor,
      await causalAttention(x, k, v, {...heads, segments}).data(),
    );
  });

  it('are saved and loaded, bit for bit', async () => {
    const model = block();
    const loaded = await reload(await artifactsOf(model));
    await expectSameBits(loaded.apply(inputs()) as tf.Tensor, model.apply(inputs()) as tf.Tensor);
    expect(loaded.layers.map((layer) => layer.getConfig())).to.deep.equal(
      model.layers.map((layer) => layer.getConfig()),
    );
  });

  it('leave no tensor behind', () => {
    const [x, k, table] = [randomTensor([2, 3, 8], 1), randomTensor([2, 3, 4], 2), randomTensor([3, 2], 3)];
    return expectNoLeaks(() => {
      const norm = new RMSNorm();
      const [rotary, attention] = [new RotaryEmbedding(), new CausalAttention({numHeads: 4, numKvHeads: 2})];
      const pass = (x: tf.Tensor) => {
        const y = norm.apply(x) as tf.Tensor;
        const turned = rotary.apply([y, table, table]) as tf.Tensor;
        const attended = attention.apply([turned, k, k]) as tf.Tensor;
        return new GatedUnit().apply([attended, y]) as tf.Tensor;
      };
      tf.tidy(() => void pass(x));
      tf.tidy(() => void tf.grad(pass)(x));
      norm.dispose();
    });
  });
});

describeOnHost('layers of the fused ops', () => {
  it('have shapes before they have tensors', () => {
    const model = block();
    expect(model.outputs[0]!.shape).to.deep.equal([null, null, 8]);
    expect(model.getLayer('first').output).to.have.property('shape').that.deep.equals([null, null, 8]);
    expect(model.getLayer('turn_k').output).to.have.property('shape').that.deep.equals([null, null, 4]);
    expect(model.getLayer('attention').output).to.have.property('shape').that.deep.equals([null, null, 8]);
  });

  it('have one weight: that of the norm, which starts at 1', async () => {
    const model = block();
    const own = model.weights.filter(({originalName}) => !/kernel|bias/.test(originalName));
    expect(own.map(({originalName, shape}) => [originalName, ...shape])).to.deep.equal([
      ['first/weight', 8],
      ['second/weight', 8],
    ]);
    await expectClose(own[0]!.read(), new Float32Array(8).fill(1));
    model.getLayer('first').trainable = false;
    expect(model.getLayer('first').trainableWeights).to.deep.equal([]);
  });

  it('are trained', async () => {
    const x = tfl.input({shape: [5, 8]});
    const normed = new RMSNorm().apply(x) as Symbol;
    const attended = new CausalAttention({numHeads: 2}).apply([normed, normed, normed]) as Symbol;
    const y = new RMSNorm().apply(attended) as Symbol;
    const gated = new GatedUnit().apply([y, x]) as Symbol;
    const model = tfl.model({inputs: x, outputs: gated});
    model.compile({optimizer: tf.train.adam(0.05), loss: 'meanSquaredError'});
    const losses = await train(model, randomTensor([3, 5, 8], 1), randomTensor([3, 5, 8], 2), 10);
    expect(losses.at(-1)).to.be.below(0.9 * losses[0]!);
  });

  it('come back from their configs, with defaults filled in', () => {
    const config = (layer: tfl.layers.Layer) => {
      expect(again(layer).getConfig()).to.deep.equal(layer.getConfig());
      return layer.getConfig();
    };
    expect(config(new RMSNorm())).to.include({epsilon: 1e-6});
    expect(config(new RMSNorm({epsilon: 0.5, name: 'n'}))).to.include({epsilon: 0.5, name: 'n'});
    expect(config(new RotaryEmbedding())).to.include({pairing: 'half'});
    expect(config(new GatedUnit())).to.include({activation: 'silu'});
    expect(config(new CausalAttention({numHeads: 3})))
      .to.include({numHeads: 3, numKvHeads: 3})
      .and.not.have.property('scale');
    expect(config(new CausalAttention({numHeads: 4, numKvHeads: 2, scale: 0.1}))).to.include({
      numHeads: 4,
      numKvHeads: 2,
      scale: 0.1,
    });
  });

  it('pass a mask on through a norm, as stock normalisation does', () => {
    const [x, mask] = [tf.ones([2, 3, 4]), tf.ones([2, 3], 'bool')];
    expect(new RMSNorm().computeMask(x, mask)).to.equal(mask);
  });

  it('name the argument that does not fit, and its value', () => {
    const fails = (f: () => unknown, message: string) => expect(f).to.throw(message);
    fails(
      () => new RMSNorm({name: 'n', epsilon: 0}),
      'RMSNorm n: epsilon must be a finite number > 0, but is 0',
    );
    fails(
      () => new RMSNorm({name: 'n'}).apply(tfl.input({shape: [3, null]})),
      'RMSNorm n: the last dimension of the input must be known, but is null',
    );
    const x = tf.ones([2, 3, 4]);
    fails(() => new RMSNorm({name: 'n'}).apply([x, x]), 'RMSNorm n: inputs must be of number 1, but are 2');
    fails(
      () => new RotaryEmbedding({name: 'r', pairing: 'quarter' as RotaryPairing}),
      "RotaryEmbedding r: pairing must be one of 'half', 'interleaved', but is 'quarter'",
    );
    fails(
      () => new RotaryEmbedding({name: 'r'}).apply([x, x]),
      'RotaryEmbedding r: inputs must be of number 3, but are 2',
    );
    fails(
      () => new GatedUnit({name: 'g', activation: 'relu' as GateActivation}),
      "GatedUnit g: activation must be one of 'silu', 'gelu', but is 'relu'",
    );
    fails(() => new GatedUnit({name: 'g'}).apply(x), 'GatedUnit g: inputs must be of number 2, but are 1');
    fails(
      () => new CausalAttention({name: 'a', numHeads: 4, numKvHeads: 3}),
      'CausalAttention a: numKvHeads must divide numHeads 4, but is 3',
    );
    fails(
      () => new CausalAttention({name: 'a', numHeads: 2}).apply([x, x]),
      'CausalAttention a: inputs must be of number 3 or 4, but are 2',
    );
  });
});

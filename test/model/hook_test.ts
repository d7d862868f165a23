import {MathBackendCPU} from '@tensorflow/tfjs-backend-cpu';
import * as tf from '@tensorflow/tfjs-core';
import * as tfl from '@tensorflow/tfjs-layers';
import {expect} from 'chai';
import {applyCELoRA, type HookOptions, registerCELoRAGradients} from '../../src/index.ts';
import {dxOf, stockDx, withHook} from './hooked.ts';
import {describeOnHost, expectSameBits, mlp, randomTensor, SMALL, train} from './models.ts';

const x = () => randomTensor([10, 6], 1);
const y = () => randomTensor([10, 4], 2);
const densePrototype = Object.getPrototypeOf(tfl.layers.dense({units: 1})) as tfl.layers.Layer;

/** What a hook replaces; and what it has no business with. */
const registrations = () => ({
  call: densePrototype.call,
  record: Reflect.get(tf.engine(), 'addTapeNode') as unknown,
  gradient: tf.getGradient(tf.BatchMatMul),
  kernel: tf.getKernel(tf.BatchMatMul, tf.getBackend()),
});

function expectSame(
  actual: ReturnType<typeof registrations>,
  expected: ReturnType<typeof registrations>,
): void {
  expect(actual.call).to.equal(expected.call);
  expect(actual.record).to.equal(expected.record);
  expect(actual.gradient).to.equal(expected.gradient);
  expect(actual.kernel).to.equal(expected.kernel);
}

const compiled = () => {
  const model = mlp();
  model.compile({optimizer: tf.train.sgd(0.05), loss: 'meanSquaredError'});
  return model;
};

describeOnHost('registerCELoRAGradients', () => {
  it('gives the very objects of stock tfjs back when disposed, also twice', async () => {
    const before = registrations();
    const hook = registerCELoRAGradients();
    const during = registrations();
    expect(during.call).not.to.equal(before.call);
    expect(during.record).not.to.equal(before.record);
    hook.dispose();
    expectSame(registrations(), before);
    hook.dispose();
    expectSame(registrations(), before);
    const layer = tfl.layers.dense({units: 3, kernelInitializer: 'ones', name: 'after'});
    const run = (input: tf.Tensor) => layer.apply(input) as tf.Tensor;
    run(x());
    const stock = await stockDx(run, x(), tf.ones([10, 3]));
    await withHook({keep: 0.3, frozenRank: 0}, () => dxOf(run, x(), tf.ones([10, 3])));
    await expectSameBits(await stockDx(run, x(), tf.ones([10, 3])), stock);
  });

  it('is an error while one is registered, and possible again after', () => {
    const hook = registerCELoRAGradients();
    const during = registrations();
    try {
      expect(() => registerCELoRAGradients({keep: 0.25})).to.throw('registered already; dispose it first');
      expectSame(registrations(), during);
    } finally {
      hook.dispose();
    }
    registerCELoRAGradients().dispose();
  });

  it('refuses options of adapters and bad ones by name, and then registers nothing', () => {
    const before = registrations();
    const wrong: [object, string][] = [
      [{rank: 4}, 'rank is an option of an adapter'],
      [{alpha: 4}, 'alpha is an option of an adapter'],
      [{rslora: true}, 'rslora is an option of an adapter'],
      [{loraDropout: 0.1}, 'loraDropout is an option of an adapter'],
      [{keep: 2}, 'keep must be a number with 0 < keep ≤ 1, but is 2'],
      [{kepp: 0.5}, 'unknown option kepp'],
      [null as unknown as object, 'registerCELoRAGradients: options must be an object, but is null'],
      [{match: 'q_proj'}, "match must be a function, but is 'q_proj'"],
    ];
    for (const [options, message] of wrong) {
      expect(() => registerCELoRAGradients(options as HookOptions)).to.throw(message);
    }
    expectSame(registrations(), before);
    registerCELoRAGradients().dispose();
  });

  it('leaves automatic names of layers as they come', () => {
    const names = () => [tfl.layers.dense({units: 1}).name, tfl.layers.activation({activation: 'relu'}).name];
    const number = (name: string) => Number(/\d+$/.exec(name)![0]);
    const before = names().map(number);
    registerCELoRAGradients().dispose();
    expect(names().map(number)).to.deep.equal(before.map((n) => n + 1));
  });

  it('asks match with layer, variable and shapes, and approximates what it says', async () => {
    const model = compiled();
    const asked: object[] = [];
    const match: NonNullable<HookOptions['match']> = (product) => {
      asked.push({...product, layer: product.layer?.name, variable: product.variable.name});
      return product.layer?.name === 'hidden';
    };
    await withHook({keep: 0.5, match}, async (hook) => {
      model.predict(x());
      expect(hook.stats()).to.include({products: 1, backwardPasses: 0});
      const variable = (i: number) => model.layers[i]!.weights[0]!.name;
      expect(asked).to.deep.equal([
        {layer: 'hidden', variable: variable(0), xShape: [10, 6], kernelShape: [6, 8]},
        {layer: 'output', variable: variable(1), xShape: [10, 8], kernelShape: [8, 4]},
      ]);
      model.predict(x());
      expect(asked.length).to.equal(2);
    });
  });

  it('counts products, passes and multiply-adds', async () => {
    const model = tfl.sequential({
      layers: [
        tfl.layers.dense({units: 40, inputShape: [6], name: 'first'}),
        tfl.layers.dense({units: 64, name: 'second', kernelInitializer: 'ones'}),
        tfl.layers.dense({units: 4, name: 'third'}),
      ],
    });
    model.compile({optimizer: tf.train.sgd(1e-4), loss: 'meanSquaredError'});
    const options = {keep: 0.25, exactSteps: 2, minSize: 2000};
    await withHook(options, async (hook) => {
      expect(hook.stats()).to.deep.equal({
        products: 0,
        backwardPasses: 0,
        approximated: 0,
        multiplyAdds: 0,
        savedMultiplyAdds: 0,
      });
      await train(model, x(), y(), 5);
      // dx of the second (10·40·64, 16 of 64 columns kept) and of the third (10·64·4, 1 of 4 kept); trained: r₀ = 0
      expect(hook.stats()).to.deep.equal({
        products: 3,
        backwardPasses: 10,
        approximated: 6,
        multiplyAdds: 5 * (25600 + 2560),
        savedMultiplyAdds: 3 * ((25600 * 48) / 64 + (2560 * 3) / 4),
      });
    });
    await withHook({...options, exactSteps: 0, exactEvery: 2}, async (hook) => {
      await train(model, x(), y(), 5);
      // exact in the first, third and fifth pass
      expect(hook.stats()).to.include({
        ...{backwardPasses: 10, approximated: 4},
        savedMultiplyAdds: 2 * ((25600 * 48) / 64 + (2560 * 3) / 4),
      });
    });
    await withHook({...options, minSize: 3000}, async (hook) => {
      await train(model, x(), y(), 3);
      expect(hook.stats()).to.include({backwardPasses: 6, approximated: 1, savedMultiplyAdds: 19200});
    });
  });

  it('samples rows too', async () => {
    const model = compiled();
    await withHook({axis: 'rows', keep: 0.3}, async (hook) => {
      const losses = await train(model, x(), y(), 5);
      expect(losses.at(-1)).to.be.below(losses[0]!);
      expect(hook.stats()).to.include({approximated: 5, savedMultiplyAdds: 5 * 7 * 8 * 4});
    });
  });

  it('leaves CELoRADense alone', async () => {
    const losses = async () => {
      const model = mlp();
      applyCELoRA(model, SMALL);
      model.compile({optimizer: tf.train.sgd(0.05), loss: 'meanSquaredError'});
      return train(model, x(), y(), 4);
    };
    const expected = await losses();
    await withHook({keep: 0.1, frozenRank: 0}, async (hook) => {
      expect(await losses()).to.deep.equal(expected);
      expect(hook.stats().products).to.equal(0);
    });
  });
});

describe('a backend that is registered after the hook', () => {
  const name = 'late';
  before(async () => {
    await tf.setBackend('cpu');
    tf.engine().startScope();
  });
  after(async () => {
    tf.engine().endScope();
    await tf.setBackend('cpu');
    tf.removeBackend(name);
    for (const {kernelName} of tf.getKernelsForBackend(name)) tf.unregisterKernel(kernelName, name);
  });

  it('has its products approximated too', async () => {
    const kernels = tf.getKernelsForBackend('cpu');
    await withHook({keep: 0.25, frozenRank: 0}, async (hook) => {
      tf.registerBackend(name, () => new MathBackendCPU());
      for (const kernel of kernels) tf.registerKernel({...kernel, backendName: name});
      await tf.setBackend(name);
      const kernel = tf.variable(randomTensor([6, 8], 3), false);
      const dense = tfl.layers.dense({units: 8, trainable: false});
      const both = (input: tf.Tensor) =>
        tf.add(tf.matMul(input as tf.Tensor2D, kernel as tf.Tensor2D), dense.apply(input) as tf.Tensor);
      tf.dispose(dxOf(both, x(), tf.ones([10, 8])));
      expect(hook.stats()).to.include({products: 2, approximated: 2});
      dense.dispose();
      kernel.dispose();
    });
  });
});

import * as tf from '@tensorflow/tfjs-core';
import {expect} from 'chai';
import {ActivationGradient, type LinearCrossEntropyArgs, linearCrossEntropy} from '../../src/index.ts';
import {randomStream} from '../../src/random.ts';
import {describeWithShaders, expectClose, expectNoLeaks} from '../backends.ts';
import {approxDx, columnScores, largest} from '../reference/columns.ts';
import {type Head, linearCrossEntropy as reference} from '../reference/cross_entropy.ts';
import {columnNorms, matrix, randomMatrix, transpose} from '../reference/matrix.ts';
import {onDevice, workOf} from './profile.ts';
import {tensorOf} from './tensors.ts';

type Operand = 'x' | 'kernel' | 'bias';

function randomHead(rows: number, inputs: number, classes: number, bias = true, seed = 1): Head {
  const random = randomStream(seed);
  return {
    x: randomMatrix(rows, inputs, random),
    kernel: randomMatrix(inputs, classes, random, 2 / Math.sqrt(inputs)),
    bias: bias ? randomMatrix(1, classes, random) : undefined,
  };
}

const randomLabels = (rows: number, classes: number): number[] => {
  const random = randomStream(9);
  return Array.from({length: rows}, () => Math.floor(random() * classes));
};

/** The op's operands as variables, those of `trained` trainable. */
function argsOf({x, kernel, bias}: Head, labels: number[], trained: Operand[], transposed = false) {
  const variable = (name: Operand, tensor: tf.Tensor) => tf.variable(tensor, trained.includes(name));
  const args = {
    x: variable('x', tensorOf(x)),
    kernel: variable('kernel', tensorOf(transposed ? transpose(kernel) : kernel)),
    labels: tf.tensor1d(labels, 'int32'),
    transposed,
    ...(bias ? {bias: variable('bias', tf.tensor1d(Float32Array.from(bias.data)))} : {}),
  };
  return args satisfies LinearCrossEntropyArgs;
}

/** Bytes of the logits of so many rows. */
const chunkBytes = (rows: number, classes: number): number => 4 * rows * classes;

function gradientsOf(args: LinearCrossEntropyArgs, trained: Operand[]) {
  const variables = trained.map((name) => args[name] as tf.Variable);
  const {value, grads} = tf.tidy(() => tf.variableGrads(() => linearCrossEntropy(args), variables));
  return {value, grads: variables.map(({name}) => grads[name]!)};
}

describeWithShaders('linearCrossEntropy', (backend) => {
  onDevice(backend);

  async function check(
    head: Head,
    labels: number[],
    trained: Operand[],
    options: object,
    transposed = false,
  ) {
    const expected = reference(head, labels);
    const {value, grads} = gradientsOf({...argsOf(head, labels, trained, transposed), ...options}, trained);
    await expectClose(value, [expected.mean], 1e-5);
    for (const [i, name] of trained.entries()) {
      const want = name === 'kernel' && transposed ? transpose(expected.kernel) : expected[name];
      await expectClose(grads[i]!, want.data, 1e-4);
    }
  }

  const ALL: Operand[] = ['x', 'kernel', 'bias'];

  for (const transposed of [false, true]) {
    it(`and its gradients equal the formula in any number of chunks, ${transposed ? 'a table' : 'a kernel'}`, async () => {
      const [rows, inputs, classes] = [7, 33, 57];
      for (const bias of [true, false]) {
        const head = randomHead(rows, inputs, classes, bias);
        const trained = bias ? ALL : ALL.slice(0, 2);
        for (const chunk of [Number.POSITIVE_INFINITY, rows - 1, 3, 1]) {
          const options = {chunkBytes: chunkBytes(chunk, classes)};
          await check(head, randomLabels(rows, classes), trained, options, transposed);
        }
      }
    });
  }

  for (const [rows, inputs, classes] of [
    [5, 123, 123],
    [1, 1, 1],
    [1, 9, 6],
    [6, 1, 5],
    [6, 5, 1],
  ] as const) {
    it(`equals the formula on odd and degenerate sizes: ${rows}×${inputs}×${classes}`, async () => {
      const head = randomHead(rows, inputs, classes, true, 3);
      const options = {chunkBytes: chunkBytes(2, classes)};
      await check(head, randomLabels(rows, classes), ALL, options);
      await check(head, randomLabels(rows, classes), ALL, {}, true);
    });
  }

  it('leaves bad and ignored labels out, also where a whole chunk has none that counts', async () => {
    const labels = [-100, 3, 20, -100, 57, 9, -100, -7, 56];
    await check(randomHead(9, 8, 57), labels, ALL, {chunkBytes: chunkBytes(3, 57)});
  });

  it('is 0 with gradients of 0 where no label counts', async () => {
    const head = randomHead(4, 8, 20);
    const {value, grads} = gradientsOf({...argsOf(head, [-100, -1, 20, -100], ALL), chunkBytes: 160}, ALL);
    for (const tensor of [value, ...grads]) {
      expect((await tensor.data()).every((number) => number === 0)).to.equal(true);
    }
  });

  it('takes hidden states of any rank, sums, and scales by dy', async () => {
    const head = randomHead(6, 8, 20);
    const labels = randomLabels(6, 20);
    const {kernel, bias} = argsOf(head, labels, []);
    const args = {
      kernel,
      bias: bias!,
      labels: tf.tensor2d(labels, [2, 3], 'int32'),
      chunkBytes: chunkBytes(4, 20),
    };
    const x = tf.reshape(tensorOf(head.x), [2, 3, 8]);
    const loss = (x: tf.Tensor) => linearCrossEntropy({...args, x, reduction: 'sum'});
    const {value, grad} = tf.valueAndGrad(loss)(x, tf.scalar(3));
    const expected = reference(head, labels);
    expect(grad.shape).to.deep.equal([2, 3, 8]);
    await expectClose(value, [expected.sum], 1e-5);
    await expectClose(
      grad,
      expected.x.data.map((slope) => 3 * 6 * slope),
    );
  });

  it('gives a kernel that is no variable its gradient when told to', async () => {
    const head = randomHead(6, 8, 20, false);
    const labels = randomLabels(6, 20);
    const args = {x: tensorOf(head.x), labels: tf.tensor1d(labels, 'int32'), trainKernel: true};
    const half = tf.mul(tensorOf(head.kernel), 0.5);
    const grad = tf.grad((w: tf.Tensor) => linearCrossEntropy({...args, kernel: tf.mul(w, 2)}))(half);
    await expectClose(
      grad,
      reference(head, labels).kernel.data.map((slope) => 2 * slope),
    );
  });

  it('agrees with central differences of its own values in a random direction', async () => {
    const head = randomHead(5, 8, 33);
    const args = {...argsOf(head, [3, 32, -100, 0, 7], ALL), chunkBytes: chunkBytes(2, 33)};
    const {grads} = gradientsOf(args, ALL);
    for (const [i, name] of ALL.entries()) {
      const direction = tf.randomNormal(args[name]!.shape, 0, 1, 'float32', 5);
      const at = async (step: number) =>
        (
          await linearCrossEntropy({...args, [name]: tf.add(args[name]!, tf.mul(direction, step))}).data()
        )[0]!;
      const slope = (await tf.sum(tf.mul(grads[i]!, direction)).data())[0]!;
      expect(((await at(0.02)) - (await at(-0.02))) / 0.04).to.be.closeTo(slope, 3e-3);
    }
  });

  describe('with an approximate gradient', () => {
    const [rows, inputs, classes] = [10, 64, 96];
    const options = {rank: 0, keep: 0.25, frozenRank: 0, refreshEvery: 2, exactEvery: 0};

    for (const transposed of [false, true]) {
      it(`selects from every third row of three chunks, one pass a call, ${transposed ? 'a table' : 'a kernel'}`, async () => {
        const head = randomHead(rows, inputs, classes, false);
        const {kernel} = head;
        // a prompt whose labels do not count: neighbouring rows would have no gradient to select from
        const labels = [...Array<number>(5).fill(-100), ...randomLabels(5, classes)];
        const gradient = new ActivationGradient(options, {transposed});
        const args = {
          ...argsOf(head, labels, ['x'], transposed),
          gradient,
          chunkBytes: chunkBytes(4, classes),
        };
        const {dLogits} = reference(head, labels);
        const first = matrix(4, classes, (i, j) => dLogits.data[3 * i * classes + j]!);
        const scores = columnScores(first, columnNorms(kernel), 'product');
        for (let pass = 1; pass <= 3; pass++) {
          const {grads} = gradientsOf(args, ['x']);
          const indices = Array.from(await gradient.indices!.data());
          expect(indices).to.deep.equal(largest(scores, 24));
          await expectClose(grads[0]!, approxDx({kernel, scale: 1}, dLogits, indices).data);
          expect(gradient.stats).to.deep.equal({
            backwardPasses: pass,
            exactPasses: 0,
            refreshes: Math.ceil(pass / 2),
            kept: 24,
            multiplyAdds: pass * rows * inputs * classes,
            savedMultiplyAdds: (pass * rows * inputs * classes * 3) / 4,
          });
        }
        gradient.dispose();
      });
    }

    it('counts exact passes, and rows kept, once a call', async () => {
      const head = randomHead(12, inputs, classes, false);
      const labels = randomLabels(12, classes);
      const run = (gradient: ActivationGradient) =>
        gradientsOf({...argsOf(head, labels, ['x']), gradient, chunkBytes: chunkBytes(4, classes)}, ['x']);
      const exact = new ActivationGradient({...options, exactSteps: 1});
      await expectClose(run(exact).grads[0]!, reference(head, labels).x.data);
      expect(exact.stats).to.include({backwardPasses: 1, exactPasses: 1, kept: 0});
      run(exact);
      expect(exact.stats).to.include({backwardPasses: 2, exactPasses: 1, kept: 24});
      exact.dispose();
      const second = new ActivationGradient({...options, exactEvery: 2});
      await expectClose(run(second).grads[0]!, reference(head, labels).x.data);
      expect(second.stats).to.include({backwardPasses: 1, exactPasses: 1, refreshes: 1, kept: 0});
      run(second);
      expect(second.stats).to.include({backwardPasses: 2, exactPasses: 1, kept: 24});
      second.dispose();
      const sampled = new ActivationGradient({axis: 'rows', keep: 0.5, exactEvery: 0});
      for (let pass = 1; pass <= 2; pass++) {
        run(sampled);
        expect(sampled.stats).to.include({backwardPasses: pass, kept: 6});
      }
    });

    it('keeps the exact gradient of a trained kernel', async () => {
      const head = randomHead(rows, inputs, classes, false);
      const labels = randomLabels(rows, classes);
      const gradient = new ActivationGradient(options);
      const trained: Operand[] = ['x', 'kernel'];
      const args = {...argsOf(head, labels, trained), gradient, chunkBytes: chunkBytes(4, classes)};
      const {grads} = gradientsOf(args, trained);
      const {dLogits, kernel} = reference(head, labels);
      const indices = Array.from(await gradient.indices!.data());
      await expectClose(grads[0]!, approxDx({kernel: head.kernel, scale: 1}, dLogits, indices).data);
      await expectClose(grads[1]!, kernel.data);
      gradient.dispose();
    });

    it('leaves nothing behind but the state of the gradient', async () => {
      const head = randomHead(rows, inputs, classes, true);
      const args = {...argsOf(head, randomLabels(rows, classes), ALL), chunkBytes: chunkBytes(4, classes)};
      const gradient = new ActivationGradient(options);
      await expectNoLeaks(() => {
        const {value, grads} = gradientsOf({...args, gradient}, ALL);
        tf.dispose([value, grads, linearCrossEntropy(args)]);
        gradient.dispose();
      });
    });
  });

  describe('does no more than it must', () => {
    // the profiler reads every result, which WebGPU in Node cannot
    before(function () {
      if (backend !== 'cpu' && backend !== 'wasm') this.skip();
    });
    const [rows, inputs, classes] = [24, 8, 640];
    const head = randomHead(rows, inputs, classes, false);
    const labels = randomLabels(rows, classes);
    const options = {chunkBytes: chunkBytes(6, classes)};
    const products = async (trained: Operand[], more = {}) => {
      const args = {...argsOf(head, labels, trained), ...more};
      const counts = await workOf(() => gradientsOf(args, trained));
      return (counts[tf.BatchMatMul] ?? 0) + (counts[tf._FusedMatMul] ?? 0);
    };

    it('two products for a frozen kernel, three for a trained one, in each chunk', async () => {
      expect(await products(['x'])).to.equal(2);
      expect(await products(['x', 'kernel'])).to.equal(3);
      expect(await products(['x'], options)).to.equal(4 * 2);
      expect(await products(['x', 'kernel'], options)).to.equal(4 * 3);
    });

    it('one product and no gradient while no tape records', async () => {
      const args = argsOf(head, labels, ALL);
      const counts = await workOf(() => linearCrossEntropy(args));
      expect(counts).not.to.have.any.keys('CrossEntropyGrad', 'ActivationGrad');
      expect(counts).to.include({[tf._FusedMatMul]: 1, CrossEntropy: 1});
    });

    it('holds no matrix of all logits, and few of a chunk at a time', async () => {
      for (const trained of [['x'], ['x', 'kernel']] as Operand[][]) {
        const args = {...argsOf(head, labels, trained), ...options};
        const before = tf.memory().numBytes;
        const {kernels, peakBytes} = await tf.profile(() => gradientsOf(args, trained).value);
        const largestOutput = Math.max(
          ...kernels.flatMap(({outputShapes}) =>
            outputShapes.map((shape) => shape.reduce((size, n) => size * n, 1)),
          ),
        );
        expect(largestOutput).to.be.at.most(Math.max(6, inputs) * classes);
        // logits and two more on the way to their gradient, or that alone with a chunk's dW, the sum, and the new sum
        const dKernel = trained.length > 1 ? 4 * inputs * classes : 0;
        const chunk = options.chunkBytes;
        const held = Math.max(3 * chunk + dKernel, chunk + 3 * dKernel);
        expect(peakBytes - before).to.be.below(held + 12 * 4 * rows * inputs);
      }
    });
  });

  it('names the argument that does not fit, and its value', () => {
    const [x, kernel, labels] = [tf.zeros([4, 3]), tf.zeros([3, 5]), tf.zeros([4], 'int32')];
    const args = {x, kernel, labels};
    const bad = (more: object, message: string) =>
      expect(() => linearCrossEntropy({...args, ...more})).to.throw(`linearCrossEntropy: ${message}`);
    bad(
      {x: tf.zeros([4, 5])},
      'x must be float32 of shape [..., 3] and rank ≥ 2, but is float32 of shape [4,5]',
    );
    bad({transposed: true}, 'x must be float32 of shape [..., 5]');
    bad({kernel: tf.zeros([3])}, 'kernel must be a float32 matrix');
    bad({bias: tf.zeros([3])}, 'bias must be a float32 vector [5], but is float32 of shape [3]');
    bad({labels: tf.zeros([4])}, 'labels must be int32 of shape [4], but is float32 of shape [4]');
    bad({chunkBytes: 0}, 'chunkBytes must be a number > 0, but is 0');
    bad({chunkBytes: '1'}, "chunkBytes must be a number > 0, but is '1'");
    bad({ignoreLabel: 0.5}, 'ignoreLabel must be an integer, but is 0.5');
    bad(
      {gradient: new ActivationGradient({}, {transposed: true})},
      'gradient must be one for a plain kernel',
    );
    bad(
      {gradient: new ActivationGradient({}), kernel: tf.zeros([5, 3]), transposed: true},
      'gradient must be one for a transposed kernel',
    );
  });
});

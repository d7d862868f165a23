import * as tf from '@tensorflow/tfjs-core';
import {expect} from 'chai';
import {
  activationGrad,
  approxActivationGrad,
  type HalfFormat,
  loraMatMul,
  packColumns,
  packHalf,
  sampledActivationGrad,
  unpackHalf,
} from '../../src/index.ts';
import {usesOwnOps} from '../../src/kernels/tensorflow/register.ts';
import {randomStream} from '../../src/random.ts';
import {type Backend, describeWithShaders, expectClose, expectNoLeaks} from '../backends.ts';
import {approxDx} from '../reference/columns.ts';
import {nearest, nearestMatrix, unitRoundoff} from '../reference/half.ts';
import {adapterGradient, exactDx, forward, type Product} from '../reference/lora.ts';
import {type Matrix, randomMatrix, transpose} from '../reference/matrix.ts';
import {sampledDx} from '../reference/rows.ts';
import {randomDy, randomProduct, SIZES, type Sizes, tensorOf, tensorsOf, title} from './tensors.ts';

const FORMATS: HalfFormat[] = ['float16', 'bfloat16'];
const int32 = (values: number[]) => tf.tensor1d(values, 'int32');

/** Our TensorFlow op rounds the other factor too, and multiplies in bfloat16. */
const tolerance = (backend: Backend, format: HalfFormat): number =>
  backend === 'tensorflow' && format === 'bfloat16' && usesOwnOps() ? 4 * unitRoundoff(format) : 1e-4;

/** A product whose kernel is held at half precision, and the same with the numbers that this leaves of it. */
function halfProduct(sizes: Sizes, format: HalfFormat, transposed = false) {
  const product = randomProduct(sizes, 5);
  const kernel = packHalf(tensorOf(transposed ? transpose(product.kernel) : product.kernel), format);
  return {product, kernel, rounded: {...product, kernel: nearestMatrix(product.kernel, format)}};
}

function adapterOf({loraA, loraB, scale}: Product, dy: Matrix) {
  if (!loraA || !loraB) return {};
  return {loraA: tensorOf(loraA), loraDy: tensorOf(adapterGradient(dy, loraB, scale))};
}

describeWithShaders('half precision', (backend) => {
  for (const format of FORMATS) {
    describe(format, () => {
      it('rounds to the nearest number, ties to even, small ones too', async () => {
        const random = randomStream(1);
        const unit = unitRoundoff(format);
        const values = [
          ...Array.from({length: 200}, () => (random() - 0.5) * 2 ** (30 * random() - 20)),
          ...[0, 1, -1, 1 + unit, 1 + 3 * unit, -1 - unit, 65504, 65519, -65504],
          // float16's subnormals and what rounds to its smallest number or to nothing
          ...[6.1e-5, 6e-5, -5.96e-8, 2.9e-8, 3e-8, 1.5 * 2 ** -24, 2.5 * 2 ** -24, -1e-10],
        ].map(Math.fround);
        for (const columns of [1, 7, values.length]) {
          const rows = Math.floor(values.length / columns);
          const x = tf.tensor2d(values.slice(0, rows * columns), [rows, columns]);
          const half = packHalf(x, format);
          expect(half.words.shape).to.deep.equal([rows, Math.ceil(columns / 2)]);
          expect(half.words.dtype).to.equal('int32');
          const expected = values.slice(0, rows * columns).map((value) => nearest(value, format));
          expect([...(await unpackHalf(half).data())]).to.deep.equal(expected);
        }
      });

      it('packs what it unpacked bit for bit, and fills up rows with zeros', async () => {
        const half = packHalf(tensorOf(randomMatrix(5, 123, randomStream(2))), format);
        const words = [...(await half.words.data())];
        expect([...(await packHalf(unpackHalf(half), format).words.data())]).to.deep.equal(words);
        for (let row = 0; row < 5; row++) expect(words[62 * row + 61]! >>> 16).to.equal(0);
      });

      it('keeps infinity and what is no number', async () => {
        const x = tf.tensor2d([Number.NaN, 1, Number.NaN], [1, 3]);
        const [first, second] = await unpackHalf(packHalf(x, format)).data();
        expect([first, second]).to.deep.equal([Number.NaN, 1]);
        if (format === 'float16') return;
        const infinite = [Number.POSITIVE_INFINITY, -Number.POSITIVE_INFINITY, 3e38];
        const back = await unpackHalf(packHalf(tf.tensor2d(infinite, [1, 3]), format)).data();
        expect([...back]).to.deep.equal(infinite.map((value) => nearest(Math.fround(value), format)));
      });

      // only the decoding differs, and each shader takes a software adapter seconds to compile
      for (const sizes of backend === 'webgpu' && format === 'bfloat16' ? SIZES.slice(0, 2) : SIZES) {
        it(`multiplies and differentiates by the formulas: ${title(sizes)}`, async () => {
          const dy = randomDy(sizes);
          for (const transposed of [false, true]) {
            const {product, kernel, rounded} = halfProduct(sizes, format, transposed);
            const within = tolerance(backend, format);
            if (!transposed) {
              const y = loraMatMul({...tensorsOf(product), kernel});
              await expectClose(y, forward(rounded).data, within);
            }
            const inputs = {dy: tensorOf(dy), kernel, ...adapterOf(product, dy)};
            await expectClose(activationGrad(inputs, transposed), exactDx(rounded, dy).data, within);

            const rows = [...new Set([0, sizes.rows >> 1])];
            const weights = rows.map((row) => 1.5 + row);
            const sample = {indices: int32(rows), weights: tf.tensor1d(weights)};
            const sampled = sampledActivationGrad({...inputs, ...sample}, transposed);
            await expectClose(sampled, sampledDx(rounded, dy, rows, weights).data, within);
          }
        });

        it(`approximates by the formula, the packed columns at half precision too: ${title(sizes)}`, async () => {
          const dy = randomDy(sizes);
          const random = randomStream(3);
          const indices = Array.from({length: sizes.units}, (_, i) => i).filter(
            (i) => i === 0 || random() < 0.4,
          );
          const factors = {
            frozenA: randomMatrix(sizes.inputs, 2, random, 0.1),
            frozenB: randomMatrix(2, sizes.units, random, 0.1),
          };
          const frozen = {frozenA: tensorOf(factors.frozenA), frozenB: tensorOf(factors.frozenB)};
          for (const transposed of [false, true]) {
            const {product, kernel, rounded} = halfProduct(sizes, format, transposed);
            for (const some of [{}, frozen]) {
              const packed = packColumns({kernel, indices: int32(indices), ...some}, transposed);
              expect('words' in packed && packed.words.dtype).to.equal('int32');
              const inputs = {
                dy: tensorOf(dy),
                indices: int32(indices),
                packed,
                ...some,
                ...adapterOf(product, dy),
              };
              const expected = approxDx(rounded, dy, indices, some === frozen ? factors : undefined);
              await expectClose(approxActivationGrad(inputs), expected.data, 4 * unitRoundoff(format));
            }
          }
        });
      }
    });
  }

  it('leaves nothing behind', async () => {
    const {product, kernel} = halfProduct(SIZES[1]!, 'float16');
    const {x} = tensorsOf(product);
    await expectNoLeaks(() => loraMatMul({x, kernel}).dispose());
    const dy = tensorOf(randomDy(SIZES[1]!));
    await expectNoLeaks(() => activationGrad({dy, kernel}).dispose());
  });

  it('refuses what float16 cannot hold', function () {
    if (backend === 'webgpu') this.skip(); // what is on the GPU cannot be read at once in Node
    for (const value of [65520, -1e6, Number.POSITIVE_INFINITY]) {
      expect(() => packHalf(tf.tensor2d([1, value], [1, 2]), 'float16')).to.throw(
        `packHalf: 'float16' holds numbers from -65504 to 65504, but there is one of size ${Math.abs(value)}`,
      );
    }
  });

  it('refuses other operands by name', () => {
    const fails = (body: () => unknown, message: string) => expect(body).to.throw(message);
    fails(
      () => packHalf(tf.ones([3]), 'float16'),
      'packHalf: x must be a float32 matrix [any, any], but is float32 of shape [3]',
    );
    fails(
      () => packHalf(tf.ones([3, 3]), 'float8' as HalfFormat),
      "packHalf: format must be one of 'float16', 'bfloat16', but is 'float8'",
    );
    const kernel = packHalf(tf.ones([3, 5]), 'float16');
    fails(
      () => loraMatMul({x: tf.ones([2, 3]), kernel: {...kernel, columns: 7}}),
      "loraMatMul: kernel must be a matrix [any, any], but is 'float16' of 7 columns in int32 words [3,3]",
    );
    fails(
      () => activationGrad({dy: tf.ones([2, 4]), kernel}),
      "activationGrad: kernel must be a matrix [any, 4], but is 'float16' of 5 columns in int32 words [3,3]",
    );
  });
});

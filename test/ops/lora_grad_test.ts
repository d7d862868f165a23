import {expect} from 'chai';
import {loraGrad} from '../../src/ops/lora_grad.ts';
import {randomStream} from '../../src/random.ts';
import {describeWithShaders, expectClose, expectNoLeaks} from '../backends.ts';
import {matMul, randomMatrix, scale, transpose} from '../reference/matrix.ts';
import {tensorOf} from './tensors.ts';

/** N, in, out, rank: usual ones, odd ones, a rank above 16, one number. */
const SIZES: [number, number, number, number][] = [
  [64, 96, 64, 16],
  [5, 123, 123, 3],
  [70, 33, 577, 20],
  [1, 1, 1, 1],
];
const SCALE = 0.5;

describeWithShaders('loraGrad', () => {
  for (const [rows, inputs, units, rank] of SIZES) {
    it(`equals the formulas: ${rows}×${inputs}×${units}, rank ${rank}`, async () => {
      const random = randomStream(rows + inputs + units);
      const [x, dy] = [randomMatrix(rows, inputs, random), randomMatrix(rows, units, random)];
      const [loraX, b] = [randomMatrix(rows, rank, random), randomMatrix(rank, units, random)];
      const expectedDy = scale(matMul(dy, transpose(b)), SCALE);
      const expectedA = matMul(transpose(x), expectedDy);
      const expectedB = matMul(transpose(loraX), dy);
      const made = loraGrad(tensorOf(x), tensorOf(dy), tensorOf(loraX), tensorOf(b), SCALE);
      for (const [i, expected] of [expectedDy, expectedA, expectedB].entries()) {
        expect(made[i]!.shape).to.deep.equal([expected.rows, expected.columns]);
        await expectClose(made[i]!, expected.data);
      }
    });
  }

  it('leaves no tensor behind', async () => {
    const random = randomStream(1);
    const [x, dy] = [tensorOf(randomMatrix(6, 600, random)), tensorOf(randomMatrix(6, 40, random))];
    const [loraX, b] = [tensorOf(randomMatrix(6, 4, random)), tensorOf(randomMatrix(4, 40, random))];
    await expectNoLeaks(() => {
      for (const made of loraGrad(x, dy, loraX, b, 1)) made.dispose();
    });
  });
});

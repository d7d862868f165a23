import {expect} from 'chai';
import {lowRankMatMul} from '../../src/ops/low_rank_mat_mul.ts';
import {randomStream} from '../../src/random.ts';
import {describeWithShaders, expectClose, expectNoLeaks} from '../backends.ts';
import {type Matrix, matMul, randomMatrix, transpose} from '../reference/matrix.ts';
import {tensorOf} from './tensors.ts';

/** [rows, depth, columns]: few columns, few rows, a depth that is cut into parts, one number. */
const SIZES: [number, number, number][] = [
  [64, 64, 16],
  [5, 123, 123],
  [70, 577, 20],
  [1, 1, 1],
];

describeWithShaders('lowRankMatMul', () => {
  for (const [n, k, m] of SIZES) {
    it(`equals the formula with every combination of transposes, scaled: ${n}×${k}×${m}`, async () => {
      const random = randomStream(n + k + m);
      const [a, b] = [randomMatrix(n, k, random), randomMatrix(k, m, random)];
      const expected = matMul(a, b).data.map((value) => 0.5 * value);
      const turned = (matrix: Matrix, turn: boolean) => tensorOf(turn ? transpose(matrix) : matrix);
      for (const transposeA of [false, true]) {
        for (const transposeB of [false, true]) {
          const operands = [turned(a, transposeA), turned(b, transposeB)] as const;
          const result = lowRankMatMul(...operands, {transposeA, transposeB, scale: 0.5});
          expect(result.shape).to.deep.equal([n, m]);
          await expectClose(result, expected);
        }
      }
    });
  }

  it('leaves no tensor behind', async () => {
    const random = randomStream(1);
    const [a, b] = [tensorOf(randomMatrix(6, 600, random)), tensorOf(randomMatrix(600, 4, random))];
    await expectNoLeaks(() => lowRankMatMul(a, b).dispose());
  });
});

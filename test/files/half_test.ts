import {expect} from 'chai';
import {fromHalf, toHalf} from '../../src/files/half.ts';
import {decodeTensor, readSafetensors, writeSafetensors} from '../../src/files/safetensors.ts';

const ALL = Uint16Array.from({length: 65536}, (_, bits) => bits);
const isNumber = (bits: number) => (bits & 0x7fff) <= 0x7c00;

describe('half precision', () => {
  it('gives back every half as it was', () => {
    const back = toHalf(fromHalf(ALL));
    for (const bits of ALL) {
      if (isNumber(bits)) expect(back[bits], `bits ${bits}`).to.equal(bits);
      else expect(back[bits]! & 0x7fff, `bits ${bits}`).to.be.above(0x7c00);
    }
  });

  it('takes the nearest one, and of two that are equally near the even one', () => {
    const halves = fromHalf(ALL);
    // up to the last finite one but one; a float32 holds the middle of two halves exactly
    for (let bits = 0; bits < 0x7bff; bits++) {
      const [low, high] = [halves[bits]!, halves[bits + 1]!];
      const middle = (low + high) / 2;
      const near = (high - low) / 64;
      const given = Float32Array.of(middle, middle - near, middle + near, -middle);
      const even = bits % 2 === 0 ? bits : bits + 1;
      expect([...toHalf(given)], `between ${low} and ${high}`).to.deep.equal([
        even,
        bits,
        bits + 1,
        even | 0x8000,
      ]);
    }
  });

  it('is infinite beyond the largest', () => {
    const given = Float32Array.of(65519, 65520, 1e30, -1e30, Number.POSITIVE_INFINITY, 1e-30);
    expect([...toHalf(given)]).to.deep.equal([0x7bff, 0x7c00, 0x7c00, 0xfc00, 0x7c00, 0]);
  });

  it('is what a file of F16 holds, in half the bytes', () => {
    const data = Float32Array.of(1, -2.5, 1 / 3, 1e-7, 70000);
    const bytes = writeSafetensors(
      {a: {shape: [5], data}, b: {shape: [], data: data.subarray(2, 3)}},
      undefined,
      'F16',
    );
    const entries = readSafetensors('f', bytes);
    const values = (name: string) => {
      const entry = entries.get(name)!;
      expect(entry.dtype).to.equal('F16');
      return [...decodeTensor(name, entry, bytes.subarray(entry.start, entry.end))];
    };
    expect(values('a')).to.deep.equal([...fromHalf(toHalf(data))]);
    expect(values('b')).to.deep.equal([0.333251953125]);
    expect(entries.get('b')!.end - entries.get('a')!.start).to.equal(12);
  });
});

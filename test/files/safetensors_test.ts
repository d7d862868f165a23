import {expect} from 'chai';
import {FileError, type JsonObject} from '../../src/files/json.ts';
import {decodeTensor, readSafetensors, writeSafetensors} from '../../src/files/safetensors.ts';

/** A file of a given header, as text or JSON, and a number of data bytes. */
function file(header: JsonObject | string, data: Uint8Array | number, headerLength?: bigint): Uint8Array {
  const json = new TextEncoder().encode(typeof header === 'string' ? header : JSON.stringify(header));
  const bytes = typeof data === 'number' ? new Uint8Array(data) : data;
  const result = new Uint8Array(8 + json.length + bytes.length);
  new DataView(result.buffer).setBigUint64(0, headerLength ?? BigInt(json.length), true);
  result.set(json, 8);
  result.set(bytes, 8 + json.length);
  return result;
}

const entry = (dtype: unknown, shape: unknown, offsets: unknown) => ({dtype, shape, data_offsets: offsets});
const FILE = 'a.safetensors';

/** Every tensor of a file, decoded. */
function readAll(bytes: Uint8Array): Record<string, Float32Array> {
  const tensors = [...readSafetensors(FILE, bytes)];
  return Object.fromEntries(
    tensors.map(([name, entry]) => [name, decodeTensor(name, entry, bytes.subarray(entry.start, entry.end))]),
  );
}

describe('safetensors', () => {
  const tensors = {
    'layer.weight': {shape: [2, 3], data: Float32Array.of(1, -2, 3.5, 0, 1e-30, 7)},
    scalar: {shape: [], data: Float32Array.of(42)},
    empty: {shape: [0, 4], data: new Float32Array(0)},
  };

  it('reads back what it wrote', () => {
    const bytes = writeSafetensors(tensors, {format: 'pt'});
    const entries = readSafetensors(FILE, bytes);
    expect([...entries.keys()]).to.deep.equal(Object.keys(tensors));
    for (const [name, {shape, data}] of Object.entries(tensors)) {
      expect(entries.get(name)).to.deep.include({shape, dtype: 'F32', file: FILE});
      expect(readAll(bytes)[name]).to.deep.equal(data);
    }
    const headerLength = Number(new DataView(bytes.buffer).getBigUint64(0, true));
    expect(headerLength % 8).to.equal(0);
    const header = JSON.parse(new TextDecoder().decode(bytes.subarray(8, 8 + headerLength)));
    expect(header.__metadata__).to.deep.equal({format: 'pt'});
  });

  it('keeps names that are properties of every object', () => {
    for (const name of ['__proto__', 'constructor', 'toString']) {
      const named = Object.fromEntries([[name, {shape: [1], data: Float32Array.of(3)}]]);
      expect([...readSafetensors(FILE, writeSafetensors(named)).keys()]).to.deep.equal([name]);
    }
  });

  it('does not write a tensor whose shape and data differ', () => {
    const wrong = {a: {shape: [2, 2], data: new Float32Array(3)}};
    expect(() => writeSafetensors(wrong)).to.throw("tensor 'a' of shape [2,2] needs 4 values, not 3");
  });

  it('decodes fp16, its subnormal and infinite numbers included', () => {
    const bits = [0x3c00, 0xc000, 0x3555, 0x0001, 0x03ff, 0x0400, 0x7bff, 0x8000, 0x7c00, 0xfc00, 0x7e00];
    const values = [
      1,
      -2,
      0.333251953125,
      2 ** -24,
      1023 * 2 ** -24,
      2 ** -14,
      65504,
      -0,
      Infinity,
      -Infinity,
      NaN,
    ];
    const data = new Uint8Array(Uint16Array.from(bits).buffer);
    const {h} = readAll(file({h: entry('F16', [bits.length], [0, data.length])}, data));
    expect([...h!]).to.deep.equal(values);
  });

  it('decodes bf16', () => {
    const data = new Uint8Array(Uint16Array.of(0x3f80, 0xc049, 0x0001, 0xff80).buffer);
    const {b} = readAll(file({b: entry('BF16', [2, 2], [0, 8])}, data));
    expect([...b!]).to.deep.equal([1, -3.140625, 2 ** -133, -Infinity]);
  });

  it('reads data that lies at an odd address', () => {
    const bytes = file({a: entry('F32', [2], [0, 8])}, new Uint8Array(Float32Array.of(5, 6).buffer));
    const odd = new Uint8Array(bytes.length + 1);
    odd.set(bytes, 1);
    expect([...readAll(odd.subarray(1)).a!]).to.deep.equal([5, 6]);
  });

  const f32 = (shape: unknown, offsets: unknown) => ({x: entry('F32', shape, offsets)});
  const refused: [string, Uint8Array, RegExp][] = [
    ['an empty file', new Uint8Array(0), /0 bytes are too few/],
    [
      'a header longer than the file',
      file({}, 0, 100n),
      /a header of 100 bytes does not fit into the file of 10 bytes/,
    ],
    ['an absurd header length', file({}, 0, 2n ** 64n - 1n), /a header of \d+ bytes does not fit/],
    ['a header that is not JSON', file('{"x":', 0), /: the header is not valid JSON$/],
    ['a header that is no object', file('[1]', 0), /: the header does not hold a JSON object$/],
    [
      'a tensor given twice',
      file('{"x":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"x":{}}', 4),
      /: the header has the key 'x' twice$/,
    ],
    [
      'a key given twice, once escaped',
      file('{"x":{"dtype":"F32","\\u0064type":"I32","shape":[1],"data_offsets":[0,4]}}', 4),
      /: the header has the key 'dtype' twice$/,
    ],
    [
      'sizes that are no numbers',
      file('{"x":{"dtype":"F32","shape":[NaN],"data_offsets":[0,4]}}', 4),
      /JSON/,
    ],
    ['a size of null', file(f32([null], [0, 4]), 4), /tensor 'x' has a bad shape \[null\]/],
    ['a tensor without description', file({x: 3}, 0), /tensor 'x' has no description/],
    ['an unknown dtype', file({x: entry('Q4', [2], [0, 8])}, 8), /tensor 'x' has an unknown dtype "Q4"/],
    ['a dtype of Object.prototype', file({x: entry('toString', [2], [0, 8])}, 8), /unknown dtype "toString"/],
    ['a negative size', file(f32([-2], [0, 8]), 8), /tensor 'x' has a bad shape \[-2\]/],
    ['a fractional size', file(f32([0.5], [0, 2]), 2), /tensor 'x' has a bad shape \[0.5\]/],
    [
      'a shape beyond all memory',
      file(f32([2 ** 40, 2 ** 40], [0, 8]), 8),
      /tensor 'x' .* needs 4.8\d*e\+24 bytes/,
    ],
    ['offsets in reverse', file(f32([2], [8, 0]), 8), /tensor 'x' has bad data_offsets \[8,0\]/],
    ['offsets missing', file({x: {dtype: 'F32', shape: [2]}}, 8), /tensor 'x' has bad data_offsets/],
    [
      'fewer bytes than the shape needs',
      file(f32([3], [0, 8]), 8),
      /shape \[3\] needs 12 bytes but data_offsets give it 8/,
    ],
    [
      'a truncated file',
      file(f32([4], [0, 16]), 9),
      /tensor 'x' ends at byte \d+ but the file has \d+ \(truncated/,
    ],
    [
      'overlapping tensors',
      file({...f32([2], [0, 8]), y: entry('F32', [2], [4, 12])}, 12),
      /tensor 'y' overlaps the one before it/,
    ],
    ['a gap', file({...f32([1], [0, 4]), y: entry('F32', [1], [8, 12])}, 12), /tensor 'y' follows a gap/],
    ['bytes of no tensor', file(f32([1], [0, 4]), 7), /3 bytes at its end belong to no tensor/],
  ];
  for (const [what, bytes, message] of refused) {
    it(`is refused: ${what}`, () => {
      expect(() => readSafetensors(FILE, bytes)).to.throw(FileError, message);
      expect(() => readSafetensors(FILE, bytes)).to.throw(/^a\.safetensors: .*$/);
    });
  }

  it('does not decode integers', () => {
    const bytes = file({x: entry('I64', [1], [0, 8])}, 8);
    expect(() => readAll(bytes)).to.throw(FileError, "a.safetensors: tensor 'x' has dtype I64");
  });
});

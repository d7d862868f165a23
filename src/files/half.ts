/** Every half-precision number as float32, indexed by its 16 bits. */
function makeTable(): Float32Array {
  const table = new Float32Array(65536);
  for (let bits = 0; bits < 65536; bits++) {
    const sign = bits & 0x8000 ? -1 : 1;
    const exponent = (bits >> 10) & 31;
    const fraction = bits & 1023;
    if (exponent === 31) table[bits] = fraction ? Number.NaN : sign * Number.POSITIVE_INFINITY;
    else if (exponent === 0) table[bits] = sign * fraction * 2 ** -24;
    else table[bits] = sign * (1024 + fraction) * 2 ** (exponent - 25);
  }
  return table;
}

let table: Float32Array | undefined;

/** Half-precision numbers (IEEE 754 binary16), by their bits, as float32. */
export function fromHalf(bits: Uint16Array): Float32Array<ArrayBuffer> {
  table ??= makeTable();
  const values = new Float32Array(bits.length);
  for (let i = 0; i < bits.length; i++) values[i] = table[bits[i]!]!;
  return values;
}

const wordsOf = ({buffer, byteOffset, length}: Float32Array) => new Uint32Array(buffer, byteOffset, length);

/** The nearest half-precision number of each, by its bits, ties to even; from 65520 on it is infinite. */
export function toHalf(values: Float32Array): Uint16Array<ArrayBuffer> {
  const words = wordsOf(values);
  const halves = new Uint16Array(values.length);
  for (let i = 0; i < halves.length; i++) {
    const word = words[i]!;
    const sign = (word >>> 16) & 0x8000;
    const magnitude = word & 0x7fffffff;
    if (magnitude > 0x7f800000)
      halves[i] = sign | 0x7e00; // not a number
    else if (magnitude >= 0x477ff000) halves[i] = sign | 0x7c00;
    // the exponent is counted from 15 instead of 127; a carry out of the fraction goes on into it
    else if (magnitude >= 0x38800000) {
      halves[i] = sign | ((magnitude - 0x38000000 + 0xfff + ((magnitude >>> 13) & 1)) >>> 13);
    } else {
      const steps = Math.abs(values[i]!) * 2 ** 24; // below 2⁻¹⁴ halves are 2⁻²⁴ apart
      const whole = Math.floor(steps);
      const up = steps - whole > 0.5 || (steps - whole === 0.5 && whole % 2 === 1);
      halves[i] = sign | (whole + (up ? 1 : 0));
    }
  }
  return halves;
}

/** bfloat16 numbers, the upper halves of float32 ones, by their bits, as float32. */
export function fromBfloat16(bits: Uint16Array): Float32Array<ArrayBuffer> {
  const words = new Uint32Array(bits.length);
  for (let i = 0; i < bits.length; i++) words[i] = bits[i]! << 16;
  return new Float32Array(words.buffer);
}

/** The nearest bfloat16 number of each, by its bits, ties to even. */
export function toBfloat16(values: Float32Array): Uint16Array<ArrayBuffer> {
  const words = wordsOf(values);
  const bits = new Uint16Array(values.length);
  for (let i = 0; i < bits.length; i++) {
    const word = words[i]!;
    if ((word & 0x7fffffff) > 0x7f800000)
      bits[i] = (word >>> 16) | 0x40; // stays not a number
    else bits[i] = (word + 0x7fff + ((word >>> 16) & 1)) >>> 16;
  }
  return bits;
}

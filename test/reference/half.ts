import type {HalfFormat} from '../../src/kernels/kernel_names.ts';
import {type Matrix, matrix} from './matrix.ts';

/** Bits after the point, and the exponent of the smallest normal number. */
const FORMATS: Record<HalfFormat, {fraction: number; least: number; largest: number}> = {
  float16: {fraction: 10, least: -14, largest: 65504},
  bfloat16: {fraction: 7, least: -126, largest: (2 - 2 ** -7) * 2 ** 127},
};

/** The nearest number of a format, of two equally near ones the even one. */
export function nearest(x: number, format: HalfFormat): number {
  if (x === 0 || !Number.isFinite(x)) return x;
  const {fraction, least, largest} = FORMATS[format];
  const exponent = Math.max(Math.floor(Math.log2(Math.abs(x))), least);
  const step = 2 ** (exponent - fraction);
  const steps = Math.abs(x) / step;
  const whole = Math.floor(steps);
  const up = steps - whole > 0.5 || (steps - whole === 0.5 && whole % 2 === 1);
  const rounded = (whole + (up ? 1 : 0)) * step;
  return Math.sign(x) * (rounded > largest ? Number.POSITIVE_INFINITY : rounded);
}

export const nearestMatrix = (a: Matrix, format: HalfFormat): Matrix =>
  matrix(a.rows, a.columns, (i, j) => nearest(a.data[i * a.columns + j]!, format));

/** The largest relative error of rounding a normal number. */
export const unitRoundoff = (format: HalfFormat): number => 2 ** -(FORMATS[format].fraction + 1);

import * as tf from '@tensorflow/tfjs-core';
import {LayerVariable} from '@tensorflow/tfjs-layers';
import type {HalfFormat, HalfLayout} from '../kernels/kernel_names.ts';
import {checkRange, overflowError, packWords, unpackHalf, type Weights, weightsOf} from '../ops/half.ts';

/** What tfjs hides of its LayerVariable; the fields are those of tfjs-layers 4.22. */
interface VariableFields {
  val: tf.Variable;
  shape: number[];
  dtype: tf.DataType;
}

const layouts = new WeakMap<LayerVariable, HalfLayout>();
/** Found to hold what its format cannot, after it was packed. */
const overflows = new WeakMap<LayerVariable, Error>();

/** How a variable's numbers lie, if it is held at half precision. */
export const layoutOf = (variable: LayerVariable): HalfLayout | undefined => layouts.get(variable);

/** The matrix that a variable holds. @throws Error if it was found to have numbers beyond its format's range. */
export function weightsIn(variable: LayerVariable): Weights {
  const error = overflows.get(variable);
  if (error) throw error;
  return weightsOf(variable.read(), layouts.get(variable));
}

/** Rows and columns of the matrix that a variable holds. */
export function matrixShape(variable: LayerVariable): [number, number] {
  const [rows, columns] = variable.shape as [number, number];
  return [rows, layouts.get(variable)?.columns ?? columns];
}

/** Numbers that a variable holds. */
export function sizeOf(variable: LayerVariable): number {
  return layouts.has(variable)
    ? tf.util.sizeFromShape(matrixShape(variable))
    : tf.util.sizeFromShape(variable.shape as number[]);
}

/**
 * Refuses values for a variable that a format cannot hold: at once, or where they cannot be read at once, when the variable is
 * used next.
 * @param owner Who is named.
 */
export function refuseOverflow(
  owner: string,
  variable: LayerVariable,
  values: tf.Tensor,
  format: HalfFormat,
): void {
  overflows.delete(variable);
  const later = checkRange(owner, values, format)?.then((largest) => {
    const error = overflowError(owner, largest);
    if (error && layouts.has(variable)) overflows.set(variable, error);
  });
  later?.catch(() => undefined); // of a device that is lost, which others tell
}

/** The words of float32 values for a variable at half precision; anything else, as words are, is left as it is. */
export function wordsFor(owner: string, variable: LayerVariable, value: tf.Tensor): tf.Tensor {
  const layout = layouts.get(variable);
  const fits = value.dtype === 'float32' && tf.util.arraysEqual(value.shape, matrixShape(variable));
  if (!layout || !fits) return value;
  refuseOverflow(owner, variable, value, layout.format);
  return packWords(value, layout.format);
}

/** Another tensor, of another shape and dtype, in a variable's place: who shares the variable goes on sharing it. */
function exchange(variable: LayerVariable, make: (values: tf.Tensor) => tf.Tensor): void {
  const fields = variable as unknown as VariableFields;
  const {val} = fields;
  const made = tf.tidy(() => make(val));
  val.dispose(); // first: its name is to be free
  fields.val = tf.variable(made, false, val.name, made.dtype);
  fields.shape = made.shape;
  fields.dtype = made.dtype;
  made.dispose();
}

/**
 * Holds a frozen variable, a matrix, at half precision from now on: in int32 words, see `packHalf`. `write` then takes float32
 * values of the matrix's shape, and rounds them, as well as words. Its values must be in the format's range: `refuseOverflow`.
 * @param owner Who is named where a value that is written is not.
 */
export function halveVariable(owner: string, variable: LayerVariable, format: HalfFormat): void {
  const columns = variable.shape[1]!;
  exchange(variable, (values) => packWords(values, format));
  layouts.set(variable, {format, columns});
  variable.write = (value) => {
    tf.tidy(() => void LayerVariable.prototype.write.call(variable, wordsFor(owner, variable, value)));
    return variable;
  };
}

/** Holds a variable as float32 again, with the rounded values. */
export function widenVariable(variable: LayerVariable): void {
  const layout = layouts.get(variable);
  if (!layout) return;
  exchange(variable, (words) => unpackHalf({words, ...layout}));
  layouts.delete(variable);
  overflows.delete(variable);
  Reflect.deleteProperty(variable, 'write');
}

import type {TensorFlowBackend, TensorFlowData} from './backend.ts';

/** Numbers in the largest array that is shared: shapes, axes and paddings have fewer. */
const MOST_NUMBERS = 8;
/** How many arrays without a user are kept: a training step repeats some hundred, and makes a few of its own. */
const MOST_UNUSED = 1024;

interface SharedArray {
  key: string;
  handle: number;
  users: number;
}

type Numbers = Float32Array | Int32Array | Uint8Array;

/** −0 is not 0. */
const textOf = (value: number): string => (Object.is(value, -0) ? '-0' : String(value));

/**
 * TensorFlow's copies of small arrays, one for all that are equal, kept for when the same numbers come again. Handing over
 * one takes 0.14 ms on a GPU, and an operation with a number among its operands does it every time.
 */
export class SmallArrays {
  private readonly arrays = new Map<string, SharedArray>();
  /** The arrays without a user, the one that is so for longest first. */
  private readonly unused = new Set<SharedArray>();
  private readonly taken = new Map<TensorFlowData, SharedArray>();
  /** Whether arrays are shared, and kept, at the moment. */
  private isOpen = false;

  constructor(private readonly backend: TensorFlowBackend) {}

  open(): void {
    this.isOpen = true;
  }

  /** Nothing is shared from now on; what is in use stays so until it is released. */
  close(): void {
    this.isOpen = false;
    this.keep(0);
  }

  /** Gives data that still waits in JavaScript a handle of that shape. */
  upload(data: TensorFlowData, shape: number[]): void {
    const {dtype, values} = data;
    if (!this.isOpen || Array.isArray(values) || values!.length > MOST_NUMBERS) {
      data.id = this.backend.binding.createTensor(shape, dtype, values);
    } else {
      const array = this.take(shape, dtype, values!);
      this.taken.set(data, array);
      data.id = array.handle;
    }
    data.shape = shape;
    data.values = null;
  }

  /** To be called before data is freed: takes away a handle that is not its own. */
  release(data: TensorFlowData): void {
    const array = this.taken.get(data);
    if (array === undefined) return;
    this.taken.delete(data);
    data.id = -1;
    this.giveBack(array);
  }

  /** What `use` makes of the handle of a shape, as a tensor. */
  withShape<T>(shape: number[], use: (handle: number) => T): T {
    const array = this.take([shape.length], this.backend.binding.TF_INT32, Int32Array.from(shape));
    try {
      return use(array.handle);
    } finally {
      this.giveBack(array);
    }
  }

  private take(shape: number[], dtype: number, values: Numbers): SharedArray {
    const key = `${dtype};${shape};${Array.from(values, textOf)}`;
    let array = this.arrays.get(key);
    if (array === undefined) {
      // of a copy: TensorFlow may go on using the memory that it is given, which is the program's
      array = {key, handle: this.backend.binding.createTensor(shape, dtype, values.slice()), users: 0};
      this.arrays.set(key, array);
    }
    array.users++;
    this.unused.delete(array);
    return array;
  }

  private giveBack(array: SharedArray): void {
    array.users--;
    if (array.users > 0) return;
    this.unused.add(array);
    this.keep(this.isOpen ? MOST_UNUSED : 0);
  }

  private keep(most: number): void {
    for (const array of this.unused) {
      if (this.unused.size <= most) return;
      this.unused.delete(array);
      this.arrays.delete(array.key);
      this.backend.binding.deleteTensor(array.handle);
    }
  }
}

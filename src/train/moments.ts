import * as tf from '@tensorflow/tfjs-core';
import {pack, unpack} from '../ops/clip_by_global_norm.ts';

/** Both moments: of all variables as vectors [n], or of one variable in its shape. */
export interface Moments<T extends tf.Tensor = tf.Tensor> {
  m: T;
  v: T;
}

interface Slot {
  /** The variable's name. */
  name: string;
  /** Its moments; absent while they are packed with the others', and while they are 0. */
  apart?: Moments;
}

function keepBoth<T extends tf.Tensor>(make: () => Moments<T>): Moments<T> {
  const made = tf.tidy(() => make() as unknown as tf.TensorContainerObject) as unknown as Moments<T>;
  tf.keep(made.m);
  tf.keep(made.v);
  return made;
}

/**
 * The moments that Adam keeps of its variables. They lie packed in two vectors as long as every step updates the same
 * variables; when others take part (one joins, one has no gradient) they are cut apart and packed anew.
 */
export class MomentStore {
  /** In order of appearance, in which they are saved too. */
  private slots = new Map<tf.Variable, Slot>();
  /** Loaded ones, each taken by the next variable that appears. */
  private waiting: Slot[] = [];
  private packedOf: tf.Variable[] = [];
  private packed: Moments<tf.Tensor1D> | undefined;

  /** Gives a variable its place. */
  add(variable: tf.Variable): void {
    if (this.slots.has(variable)) return;
    const apart = this.waiting[0]?.apart;
    const {shape} = apart?.m ?? variable;
    if (!tf.util.arraysEqual(shape, variable.shape)) {
      throw new Error(
        `AdamW: variable ${variable.name} has shape [${variable.shape}], but the moments loaded for it [${shape}]`,
      );
    }
    this.waiting.shift();
    this.slots.set(variable, {name: variable.name, ...(apart ? {apart} : {})});
  }

  /** The moments of these variables, in this order; owned by the store. */
  take(variables: tf.Variable[]): Moments<tf.Tensor1D> {
    const same =
      variables.length === this.packedOf.length && variables.every((v, i) => v === this.packedOf[i]);
    if (this.packed && same) return this.packed;
    this.cut();
    const slots = variables.map((variable) => this.slots.get(variable)!);
    const vector = (name: keyof Moments) =>
      pack(slots.map(({apart}, i) => apart?.[name] ?? tf.fill(variables[i]!.shape, 0)));
    this.packed = keepBoth(() => ({m: vector('m'), v: vector('v')}));
    this.packedOf = variables;
    for (const slot of slots) release(slot);
    return this.packed;
  }

  /** Replaces what `take` gave. */
  put(moments: Moments<tf.Tensor1D>): void {
    tf.dispose([this.packed!.m, this.packed!.v]);
    this.packed = keepBoth(() => moments);
  }

  /** Cuts the packed moments apart, and forgets variables that were disposed. */
  private cut(): void {
    const {packed, packedOf} = this;
    if (packed) {
      const shapes = packedOf.map(({shape}) => shape);
      const [m, v] = tf.tidy(() => [unpack(packed.m, shapes), unpack(packed.v, shapes)]) as [
        tf.Tensor[],
        tf.Tensor[],
      ];
      for (const [i, variable] of packedOf.entries()) {
        this.slots.get(variable)!.apart = keepBoth(() => ({m: m[i]!, v: v[i]!}));
      }
      tf.dispose([packed.m, packed.v]);
    }
    this.packed = undefined;
    this.packedOf = [];
    for (const [variable, slot] of this.slots) {
      if (!variable.isDisposed) continue;
      release(slot);
      this.slots.delete(variable);
    }
  }

  /** The moments of each variable in order of appearance, and its name; owned by the store until the next step. */
  all(): (Moments & {name: string})[] {
    this.cut();
    for (const [{shape}, slot] of this.slots) {
      slot.apart ??= keepBoth(() => ({m: tf.fill(shape, 0), v: tf.fill(shape, 0)}));
    }
    return [...this.slots.values(), ...this.waiting].map(({name, apart}) => ({name, ...apart!}));
  }

  /** Takes copies of moments for the variables that will appear next, in their order, and forgets all others. */
  load(moments: (Moments & {name: string})[]): void {
    const waiting = moments.map(({name, m, v}) => ({
      name,
      apart: keepBoth(() => ({m: tf.clone(m), v: tf.clone(v)})),
    }));
    this.dispose(); // not before: they may be this store's own
    this.waiting = waiting;
  }

  dispose(): void {
    this.cut();
    for (const slot of [...this.slots.values(), ...this.waiting]) release(slot);
    this.slots.clear();
    this.waiting = [];
  }
}

function release(slot: Slot): void {
  if (slot.apart) tf.dispose([slot.apart.m, slot.apart.v]);
  delete slot.apart;
}

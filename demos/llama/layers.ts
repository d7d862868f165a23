import * as tf from '@tensorflow/tfjs-core';
import * as tfl from '@tensorflow/tfjs-layers';
import {activationGrad, type Base, embeddingLookup, type Weights} from '../../src/index.ts';
import {halveVariable, weightsIn} from '../../src/layers/half_variable.ts';
import {operandOf, weightsOf} from '../../src/ops/half.ts';
import {product} from '../../src/ops/product.ts';
import {type RotaryConfig, rotaryTables} from './rotary.ts';

type LayerArgs = NonNullable<ConstructorParameters<typeof tfl.layers.Layer>[0]>;
type Inputs = tf.Tensor | tf.Tensor[];
type Shapes = tfl.Shape | tfl.Shape[];
type Gradient = {value: tf.Tensor; gradFunc: (dy: tf.Tensor, saved: tf.Tensor[]) => tf.Tensor | tf.Tensor[]};

const {zeros} = tfl.initializers;
const first = (inputs: Inputs) => (Array.isArray(inputs) ? inputs[0]! : inputs);
const firstShape = (shapes: Shapes) => (Array.isArray(shapes[0]) ? shapes[0] : shapes) as tfl.Shape;

/** How a matrix with a row for each token of the vocabulary is held. */
export interface TableArgs {
  /** Tokens. */
  inputDim: number;
  /** Numbers of each. */
  outputDim: number;
  /** Tokens of a part, for a table that is larger than a tensor may be. Default: one part has all. */
  partRows?: number;
  /** At half precision it is frozen. Default 'float32'. */
  base?: Base;
}

/** The weights of a table [inputDim, outputDim]: its parts, from top to bottom. */
class Table {
  readonly args: Required<TableArgs>;

  constructor({inputDim, outputDim, partRows = inputDim, base = 'float32'}: TableArgs) {
    this.args = {inputDim, outputDim, partRows, base};
  }

  /** Rows of the parts. */
  get rows(): number[] {
    const {inputDim, partRows} = this.args;
    const count = Math.ceil(inputDim / partRows);
    return Array.from({length: count}, (_, i) => Math.min(partRows, inputDim - i * partRows));
  }

  /** @param add The layer's addWeight. */
  build(owner: string, name: string, add: (name: string, shape: number[]) => tfl.LayerVariable): void {
    const {outputDim, base} = this.args;
    for (const [i, count] of this.rows.entries()) {
      const weight = add(this.rows.length === 1 ? name : `${name}.part${i}`, [count, outputDim]);
      if (base !== 'float32') halveVariable(owner, weight, base);
    }
  }
}

/**
 * Token ids [batch, t] → their rows [batch, t, outputDim], and a number that ties a head to this layer: what goes from layer
 * to layer tfjs casts to float32, and so would the words of a table at half precision.
 */
export class LlamaEmbedding extends tfl.layers.Layer {
  static className = 'LlamaEmbedding';
  private readonly table: Table;

  constructor(args: LayerArgs & TableArgs) {
    super(args);
    this.table = new Table(args);
  }

  override build(inputShape: Shapes) {
    this.table.build(this.name, 'embeddings', (name, shape) =>
      this.addWeight(name, shape, 'float32', zeros(), undefined, this.table.args.base === 'float32'),
    );
    super.build(inputShape);
  }

  override computeOutputShape(inputShape: Shapes) {
    const {outputDim} = this.table.args;
    return [[...firstShape(inputShape), outputDim], []];
  }

  override call(inputs: Inputs) {
    return tf.tidy(() => {
      const rows = embeddingLookup(this.weights.map(weightsIn), tf.cast(first(inputs), 'int32'));
      return [rows, tf.scalar(0)];
    });
  }

  override getConfig() {
    return {...super.getConfig(), ...this.table.args};
  }
}

/** Hidden states [batch, t, hidden] and a table in parts → logits [batch, t, vocab]. */
function headLogits(hidden: tf.Tensor, parts: Weights[], trains: boolean): tf.Tensor {
  const rows = tf.reshape(hidden, [-1, hidden.shape.at(-1)!]);
  const logits = parts.map((part) => {
    const {tensor: table, half} = operandOf(part);
    // Its own gradient: matMul's has a transpose flag, which is ten times slower on wasm.
    const head = tf.customGrad((...args): Gradient => {
      const save = args.at(-1) as tf.GradSaveFunc;
      const rows = args[0] as tf.Tensor;
      save([rows, table]);
      const gradFunc = (dy: tf.Tensor, saved: tf.Tensor[]) => {
        const [rows, table] = saved as [tf.Tensor, tf.Tensor];
        const dRows = activationGrad({dy, kernel: weightsOf(table, half)}, true);
        return args.length === 2 ? dRows : [dRows, product(dy, rows, true)];
      };
      // rows · tableᵀ, as that op computes for a dy of rows
      return {value: activationGrad({dy: rows, kernel: part}), gradFunc};
    });
    return trains ? head(rows, table) : head(rows);
  });
  const all = logits.length === 1 ? logits[0]! : tf.concat(logits, 1);
  return tf.reshape(all, [...hidden.shape.slice(0, -1), all.shape[1]!]);
}

/** A head that is an embedding's table: hidden states and that layer's second output → logits; no weight of its own. */
export class LlamaTiedHead extends tfl.layers.Layer {
  static className = 'LlamaTiedHead';
  private readonly units: number;

  /** @param args.units Tokens of the vocabulary. */
  constructor(args: LayerArgs & {units: number}) {
    super(args);
    this.units = args.units;
  }

  private get embedding(): tfl.layers.Layer {
    return this.inboundNodes[0]!.inboundLayers[1]!;
  }

  /** The variables of the embedding's table. */
  get tableWeights(): tfl.LayerVariable[] {
    return this.embedding.weights;
  }

  override computeOutputShape(inputShape: Shapes) {
    return [...firstShape(inputShape).slice(0, -1), this.units];
  }

  override call(inputs: Inputs) {
    // a frozen table needs no gradient, which costs as much as the head
    const trains = this.embedding.trainableWeights.length > 0;
    return tf.tidy(() => headLogits(first(inputs), this.tableWeights.map(weightsIn), trains));
  }

  override getConfig() {
    return {...super.getConfig(), units: this.units};
  }
}

/** A head of its own that is larger than a tensor may be: hidden states → logits. Frozen, and no target for adapters. */
export class LlamaHead extends tfl.layers.Layer {
  static className = 'LlamaHead';
  private readonly table: Table;

  constructor(args: LayerArgs & TableArgs) {
    super(args);
    this.table = new Table(args);
  }

  override build(inputShape: Shapes) {
    this.table.build(this.name, 'kernel', (name, shape) =>
      this.addWeight(name, shape, 'float32', zeros(), undefined, false),
    );
    super.build(inputShape);
  }

  override computeOutputShape(inputShape: Shapes) {
    return [...firstShape(inputShape).slice(0, -1), this.table.args.inputDim];
  }

  override call(inputs: Inputs) {
    return tf.tidy(() => headLogits(first(inputs), this.weights.map(weightsIn), false));
  }

  override getConfig() {
    return {...super.getConfig(), ...this.table.args};
  }
}

type RotaryArgs = RotaryConfig & {maxPositions: number};

/**
 * Of ids [batch, t] takes the length only and gives the tables that every rotation of the model shares: cosine
 * and sine [t, headDim / 2]. Those of the last length are kept until another is asked for.
 */
export class LlamaRotary extends tfl.layers.Layer {
  static className = 'LlamaRotary';
  private readonly rotary: RotaryArgs;
  private kept: {length: number; backend: string; tensors: tf.Tensor[]} | undefined;

  constructor(args: LayerArgs & RotaryArgs) {
    super(args);
    const {headDim, maxPositions, ropeTheta, ropeScaling} = args;
    this.rotary = {headDim, maxPositions, ropeTheta, ...(ropeScaling ? {ropeScaling: {...ropeScaling}} : {})};
  }

  override computeOutputShape(inputShape: Shapes) {
    const table = [firstShape(inputShape).at(-1)!, this.rotary.headDim / 2];
    return [table, table];
  }

  override call(inputs: Inputs) {
    const length = first(inputs).shape.at(-1)!;
    if (length > this.rotary.maxPositions) {
      throw new Error(
        `a sequence of ${length} tokens is longer than the model's max_position_embeddings ` +
          `${this.rotary.maxPositions}`,
      );
    }
    return this.tables(length).map((tensor) => tf.reshape(tensor, tensor.shape));
  }

  private tables(length: number): tf.Tensor[] {
    const backend = tf.getBackend();
    if (this.kept?.length === length && this.kept.backend === backend) return this.kept.tensors;
    this.release();
    const {cos, sin} = rotaryTables(this.rotary, length);
    const tensors = [tf.keep(cos), tf.keep(sin)];
    this.kept = {length, backend, tensors};
    return tensors;
  }

  private release() {
    tf.dispose(this.kept?.tensors ?? []);
    this.kept = undefined;
  }

  override dispose() {
    const result = super.dispose();
    // A layer shared by two models is disposed with the last of them.
    if (result.refCountAfterDispose === 0) this.release();
    return result;
  }

  override getConfig() {
    return {...super.getConfig(), ...this.rotary};
  }
}

for (const layer of [LlamaEmbedding, LlamaTiedHead, LlamaHead, LlamaRotary]) {
  tf.serialization.registerClass(
    layer as unknown as tf.serialization.SerializableConstructor<tfl.layers.Layer>,
  );
}

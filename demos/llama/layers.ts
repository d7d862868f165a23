import * as tf from '@tensorflow/tfjs-core';
import * as tfl from '@tensorflow/tfjs-layers';
import {embeddingLookup} from '../../src/index.ts';
import {product} from '../../src/ops/product.ts';
import {type RotaryConfig, rotaryTables} from './rotary.ts';

type LayerArgs = NonNullable<ConstructorParameters<typeof tfl.layers.Layer>[0]>;
type Inputs = tf.Tensor | tf.Tensor[];
type Shapes = tfl.Shape | tfl.Shape[];
type Gradient = {value: tf.Tensor; gradFunc: (dy: tf.Tensor, saved: tf.Tensor[]) => tf.Tensor | tf.Tensor[]};

const first = (inputs: Inputs) => (Array.isArray(inputs) ? inputs[0]! : inputs);
const firstShape = (shapes: Shapes) => (Array.isArray(shapes[0]) ? shapes[0] : shapes) as tfl.Shape;

/**
 * Token ids [batch, t] → their rows [batch, t, outputDim], and the whole table [inputDim, outputDim] for a
 * tied head.
 */
export class LlamaEmbedding extends tfl.layers.Layer {
  static className = 'LlamaEmbedding';
  private readonly inputDim: number;
  private readonly outputDim: number;
  private embeddings!: tfl.LayerVariable;

  constructor(args: LayerArgs & {inputDim: number; outputDim: number}) {
    super(args);
    this.inputDim = args.inputDim;
    this.outputDim = args.outputDim;
  }

  override build(inputShape: Shapes) {
    const shape = [this.inputDim, this.outputDim];
    this.embeddings = this.addWeight('embeddings', shape, 'float32', tfl.initializers.zeros());
    super.build(inputShape);
  }

  override computeOutputShape(inputShape: Shapes) {
    return [
      [...firstShape(inputShape), this.outputDim],
      [this.inputDim, this.outputDim],
    ];
  }

  override call(inputs: Inputs) {
    return tf.tidy(() => {
      const table = this.embeddings.read();
      // A reshape shares the memory (a clone copies it on wasm); the executor disposes what a layer returns.
      return [embeddingLookup(table, tf.cast(first(inputs), 'int32')), tf.reshape(table, table.shape)];
    });
  }

  override getConfig() {
    return {...super.getConfig(), inputDim: this.inputDim, outputDim: this.outputDim};
  }
}

/**
 * Hidden states [batch, t, hidden] and an embedding's table [vocab, hidden] → logits [batch, t, vocab]; no
 * weight of its own.
 */
export class LlamaTiedHead extends tfl.layers.Layer {
  static className = 'LlamaTiedHead';

  override computeOutputShape(inputShape: Shapes) {
    const [hidden, table] = inputShape as [tfl.Shape, tfl.Shape];
    return [...hidden.slice(0, -1), table[0]!];
  }

  /** A frozen table needs no gradient, and its gradient costs as much as the head itself. */
  private get tableTrains() {
    const embedding = this.inboundNodes[0]?.inboundLayers[1];
    return embedding === undefined || embedding.trainableWeights.length > 0;
  }

  override call(inputs: Inputs) {
    return tf.tidy(() => {
      const [hidden, table] = inputs as [tf.Tensor, tf.Tensor];
      const [vocab, dim] = table.shape as [number, number];
      const rows = tf.reshape(hidden, [-1, dim]);
      // Its own gradient: matMul's has a transpose flag, which is ten times slower on wasm.
      const head = tf.customGrad((...args): Gradient => {
        const save = args.at(-1) as tf.GradSaveFunc;
        const rows = args[0] as tf.Tensor;
        save([rows, table]);
        const gradFunc = (dy: tf.Tensor, saved: tf.Tensor[]) => {
          const [rows, table] = saved as [tf.Tensor, tf.Tensor];
          const dRows = tf.matMul(dy, table);
          return args.length === 2 ? dRows : [dRows, product(dy, rows, true)];
        };
        return {value: product(rows, table, false, true), gradFunc};
      });
      const logits = this.tableTrains ? head(rows, table) : head(rows);
      return tf.reshape(logits, [...hidden.shape.slice(0, -1), vocab]);
    });
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

for (const layer of [LlamaEmbedding, LlamaTiedHead, LlamaRotary]) {
  tf.serialization.registerClass(
    layer as unknown as tf.serialization.SerializableConstructor<tfl.layers.Layer>,
  );
}

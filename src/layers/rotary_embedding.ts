import * as tf from '@tensorflow/tfjs-core';
import * as tfl from '@tensorflow/tfjs-layers';
import {checkPairing, type RotaryEmbeddingOptions, rotaryEmbedding} from '../ops/rotary_embedding.ts';
import {type CallArgs, firstShape, type Inputs, type LayerArgs, listOf, type Shapes} from './inputs.ts';

export type RotaryEmbeddingArgs = LayerArgs & RotaryEmbeddingOptions;

/**
 * The op `rotaryEmbedding` as a layer without weights: [x, cos, sin] of shapes [batch, t, heads·headDim],
 * [t, headDim / 2] and [t, headDim / 2] → as x. The tables are to come from a layer: of a model's inputs fit and predict
 * take a batch.
 */
export class RotaryEmbedding extends tfl.layers.Layer {
  /** @nocollapse */
  static className = 'CELoRARotaryEmbedding';
  private readonly pairing: NonNullable<RotaryEmbeddingOptions['pairing']>;

  constructor(args: RotaryEmbeddingArgs = {}) {
    super(args);
    this.pairing = args.pairing ?? 'half';
    checkPairing(`RotaryEmbedding ${this.name}`, this.pairing);
  }

  override computeOutputShape(inputShape: Shapes): tfl.Shape {
    return firstShape(inputShape);
  }

  override call(inputs: Inputs, kwargs: CallArgs): tf.Tensor {
    this.invokeCallHook(inputs, kwargs);
    const [x, cos, sin] = listOf(`RotaryEmbedding ${this.name}`, inputs, 3) as [
      tf.Tensor,
      tf.Tensor,
      tf.Tensor,
    ];
    return rotaryEmbedding(x, cos, sin, {pairing: this.pairing});
  }

  override getConfig(): tf.serialization.ConfigDict {
    return {...super.getConfig(), pairing: this.pairing};
  }
}

tf.serialization.registerClass(RotaryEmbedding);

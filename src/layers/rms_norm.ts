import * as tf from '@tensorflow/tfjs-core';
import * as tfl from '@tensorflow/tfjs-layers';
import {positive} from '../ops/check.ts';
import {type RMSNormOptions, rmsNorm} from '../ops/rms_norm.ts';
import {type CallArgs, firstShape, type Inputs, type LayerArgs, listOf, type Shapes} from './inputs.ts';

export type RMSNormArgs = LayerArgs & RMSNormOptions;

/**
 * The op `rmsNorm` as a layer: x [..., d] → y = x / √(mean(x²) + epsilon) · weight, weight [d] starting at 1. There is no
 * layer of `addRMSNorm`: tfjs runs a layer of two outputs once for each.
 */
export class RMSNorm extends tfl.layers.Layer {
  /** @nocollapse */
  static className = 'CELoRARMSNorm';
  private readonly epsilon: number;
  private weight: tfl.LayerVariable | undefined;

  constructor(args: RMSNormArgs = {}) {
    super(args);
    this.epsilon = args.epsilon ?? 1e-6;
    positive(`RMSNorm ${this.name}`, 'epsilon', this.epsilon);
    this.supportsMasking = true;
  }

  override build(inputShape: Shapes): void {
    const size = firstShape(inputShape).at(-1);
    if (size == null) {
      throw new Error(`RMSNorm ${this.name}: the last dimension of the input must be known, but is null`);
    }
    this.weight = this.addWeight('weight', [size], 'float32', tfl.initializers.ones());
    this.built = true;
  }

  override computeOutputShape(inputShape: Shapes): tfl.Shape {
    return firstShape(inputShape);
  }

  override call(inputs: Inputs, kwargs: CallArgs): tf.Tensor {
    return tf.tidy(() => {
      this.invokeCallHook(inputs, kwargs);
      const [x] = listOf(`RMSNorm ${this.name}`, inputs, 1) as [tf.Tensor];
      return rmsNorm(x, this.weight!.read(), {epsilon: this.epsilon});
    });
  }

  override getConfig(): tf.serialization.ConfigDict {
    return {...super.getConfig(), epsilon: this.epsilon};
  }
}

tf.serialization.registerClass(RMSNorm);

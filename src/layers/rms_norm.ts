import * as tf from '@tensorflow/tfjs-core';
import * as tfl from '@tensorflow/tfjs-layers';
import {positive} from '../ops/check.ts';
import {addRMSNorm, type RMSNormOptions, rmsNorm} from '../ops/rms_norm.ts';
import {type CallArgs, firstShape, type Inputs, type LayerArgs, listOf, type Shapes} from './inputs.ts';

export type RMSNormArgs = LayerArgs & RMSNormOptions;

/**
 * Root mean square normalisation over the last axis, y = x / √(mean(x²) + epsilon) · weight, weight [d] starting at 1.
 * Applied to x [..., d] it gives y. Applied to [x, residual], both [..., d], it gives [y, sum]: the sum of the two, which
 * goes on, and the normalised sum.
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
  }

  override build(inputShape: Shapes): void {
    const size = firstShape(inputShape).at(-1);
    if (size == null) {
      throw new Error(`RMSNorm ${this.name}: the last dimension of the input must be known, but is null`);
    }
    this.weight = this.addWeight('weight', [size], 'float32', tfl.initializers.ones());
    this.built = true;
  }

  override computeOutputShape(inputShape: Shapes): Shapes {
    return inputShape;
  }

  override call(inputs: Inputs, kwargs: CallArgs): tf.Tensor | tf.Tensor[] {
    return tf.tidy(() => {
      this.invokeCallHook(inputs, kwargs);
      const [x, residual] = listOf(`RMSNorm ${this.name}`, inputs, 1, 2) as [tf.Tensor, tf.Tensor?];
      const weight = this.weight!.read();
      const {epsilon} = this;
      if (!residual) return rmsNorm(x, weight, {epsilon});
      const {y, sum} = addRMSNorm(x, residual, weight, {epsilon});
      return [y, sum];
    });
  }

  override getConfig(): tf.serialization.ConfigDict {
    return {...super.getConfig(), epsilon: this.epsilon};
  }
}

tf.serialization.registerClass(RMSNorm);

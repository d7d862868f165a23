import * as tf from '@tensorflow/tfjs-core';
import * as tfl from '@tensorflow/tfjs-layers';
import {checkActivation, type GatedUnitOptions, gatedUnit} from '../ops/gated_unit.ts';
import {type CallArgs, firstShape, type Inputs, type LayerArgs, listOf, type Shapes} from './inputs.ts';

export type GatedUnitArgs = LayerArgs & GatedUnitOptions;

/** The op `gatedUnit` as a layer without weights: [gate, up], [...] both → activation(gate) · up. */
export class GatedUnit extends tfl.layers.Layer {
  /** @nocollapse */
  static className = 'CELoRAGatedUnit';
  private readonly activation: NonNullable<GatedUnitOptions['activation']>;

  constructor(args: GatedUnitArgs = {}) {
    super(args);
    this.activation = args.activation ?? 'silu';
    checkActivation(`GatedUnit ${this.name}`, this.activation);
  }

  override computeOutputShape(inputShape: Shapes): tfl.Shape {
    return firstShape(inputShape);
  }

  override call(inputs: Inputs, kwargs: CallArgs): tf.Tensor {
    this.invokeCallHook(inputs, kwargs);
    const [gate, up] = listOf(`GatedUnit ${this.name}`, inputs, 2) as [tf.Tensor, tf.Tensor];
    return gatedUnit(gate, up, {activation: this.activation});
  }

  override getConfig(): tf.serialization.ConfigDict {
    return {...super.getConfig(), activation: this.activation};
  }
}

tf.serialization.registerClass(GatedUnit);

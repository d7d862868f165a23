import * as tf from '@tensorflow/tfjs-core';
import * as tfl from '@tensorflow/tfjs-layers';
import {type AttentionHeads, causalAttention, checkHeads} from '../ops/causal_attention.ts';
import {type CallArgs, firstShape, type Inputs, type LayerArgs, listOf, type Shapes} from './inputs.ts';

export type CausalAttentionArgs = LayerArgs & AttentionHeads;

/**
 * The op `causalAttention` as a layer without weights: [q, k, v] or [q, k, v, segments] of shapes
 * [batch, t, numHeads·headDim], twice [batch, t, numKvHeads·headDim], and int32 [batch, t] → as q.
 */
export class CausalAttention extends tfl.layers.Layer {
  /** @nocollapse */
  static className = 'CELoRACausalAttention';
  private readonly heads: {numHeads: number; numKvHeads: number; scale?: number};

  constructor(args: CausalAttentionArgs) {
    super(args);
    const {numHeads, numKvHeads = numHeads, scale} = args;
    this.heads = {numHeads, numKvHeads, ...(scale === undefined ? {} : {scale})};
    checkHeads(`CausalAttention ${this.name}`, this.heads);
  }

  override computeOutputShape(inputShape: Shapes): tfl.Shape {
    return firstShape(inputShape);
  }

  override call(inputs: Inputs, kwargs: CallArgs): tf.Tensor {
    this.invokeCallHook(inputs, kwargs);
    const [q, k, v, segments] = listOf(`CausalAttention ${this.name}`, inputs, 3, 4) as [
      tf.Tensor,
      tf.Tensor,
      tf.Tensor,
      tf.Tensor?,
    ];
    return causalAttention(q, k, v, {...this.heads, segments});
  }

  override getConfig(): tf.serialization.ConfigDict {
    return {...super.getConfig(), ...this.heads};
  }
}

tf.serialization.registerClass(CausalAttention);

import * as tf from '@tensorflow/tfjs-core';
import * as tfl from '@tensorflow/tfjs-layers';
import {mlp, randomTensor, settle} from './models.ts';

type Symbolic = tfl.SymbolicTensor;

/** A model of one kind, and what it is fed. */
export interface Specimen {
  title: string;
  make: () => tfl.LayersModel;
  inputs: () => tf.Tensor[];
  targets: () => tf.Tensor[];
  /** Tested on WebGPU too: software takes its time there, and most of the graph's business is any backend's. */
  webgpu?: boolean;
  /** It holds parts that are stock tfjs in training, so that fit runs `asStock`. */
  stock?: boolean;
  /** The sizes of its Dense layers, [in, units] by name. */
  dense: Record<string, [number, number]>;
}

/** A layer that tfjs knows nothing of: rebuilding the model from its config would fail. */
class Doubled extends tfl.layers.Layer {
  static className = 'Doubled';
  override call(inputs: tf.Tensor | tf.Tensor[]): tf.Tensor {
    return tf.mul(Array.isArray(inputs) ? inputs[0]! : inputs, 2);
  }
  override computeOutputShape(shape: tfl.Shape): tfl.Shape {
    return shape;
  }
}

const apply = (layer: tfl.layers.Layer, input: Symbolic | Symbolic[]): Symbolic =>
  layer.apply(input) as Symbolic;

function functional(): tfl.LayersModel {
  const input = tfl.input({shape: [6]});
  const left = apply(tfl.layers.dense({units: 5, activation: 'tanh', name: 'left'}), input);
  const right = apply(tfl.layers.dense({units: 5, useBias: false, name: 'right'}), input);
  const sum = apply(tfl.layers.add(), [left, right]);
  return tfl.model({inputs: input, outputs: apply(tfl.layers.dense({units: 4, name: 'top'}), sum)});
}

function severalInputsAndOutputs(): tfl.LayersModel {
  const [one, two] = [tfl.input({shape: [6]}), tfl.input({shape: [3]})];
  const first = apply(tfl.layers.dense({units: 4, name: 'first'}), one);
  const second = apply(tfl.layers.dense({units: 4, name: 'second'}), two);
  const both = apply(tfl.layers.concatenate(), [first, second]);
  const out = apply(tfl.layers.dense({units: 3, activation: 'sigmoid', name: 'out'}), both);
  // an input layer of the model and an output layer too
  return tfl.model({inputs: [one, two], outputs: [out, first]});
}

function nested(): tfl.LayersModel {
  const middle = tfl.sequential({
    name: 'middle',
    layers: [mlp('inner_'), tfl.layers.dense({units: 5, activation: 'elu', name: 'between'})],
  });
  middle.trainable = false;
  const input = tfl.input({shape: [6]});
  const top = apply(tfl.layers.dense({units: 4, name: 'top'}), apply(middle, input));
  return tfl.model({inputs: input, outputs: top});
}

function shared(): tfl.LayersModel {
  const twice = tfl.layers.dense({units: 6, activation: 'tanh', name: 'twice'});
  const input = tfl.input({shape: [6]});
  const top = tfl.layers.dense({units: 4, name: 'top'});
  return tfl.model({inputs: input, outputs: apply(top, apply(twice, apply(twice, input)))});
}

function sharedAcrossModels(): tfl.LayersModel {
  const common = tfl.layers.dense({units: 6, activation: 'tanh', name: 'common', inputShape: [6]});
  const inner = tfl.sequential({name: 'inner', layers: [common]});
  const input = tfl.input({shape: [6]});
  const top = tfl.layers.dense({units: 4, name: 'top'});
  return tfl.model({inputs: input, outputs: apply(top, apply(common, apply(inner, input)))});
}

const mlpSizes: Specimen['dense'] = {hidden: [6, 8], output: [8, 4]};
const x = () => [randomTensor([10, 6], 1)];
const y = () => [randomTensor([10, 4], 2)];
const words = () => [tf.cast(tf.abs(tf.mul(randomTensor([6, 3], 1), 2)), 'int32')];

const SPECIMENS: readonly Specimen[] = [
  {title: 'sequential', make: mlp, inputs: x, targets: y, dense: mlpSizes},
  {
    title: 'functional',
    make: functional,
    inputs: x,
    targets: y,
    dense: {left: [6, 5], right: [6, 5], top: [5, 4]},
  },
  {
    title: 'several inputs and outputs',
    make: severalInputsAndOutputs,
    inputs: () => [randomTensor([8, 6], 1), randomTensor([8, 3], 2)],
    targets: () => [randomTensor([8, 3], 3), randomTensor([8, 4], 4)],
    dense: {first: [6, 4], second: [3, 4], out: [8, 3]},
  },
  {
    title: 'nested on two levels, frozen before',
    make: nested,
    inputs: x,
    targets: y,
    dense: {inner_hidden: [6, 8], inner_output: [8, 4], between: [4, 5], top: [5, 4]},
  },
  {title: 'a shared Dense', make: shared, inputs: x, targets: y, dense: {twice: [6, 6], top: [6, 4]}},
  {
    title: 'a Dense shared across models',
    make: sharedAcrossModels,
    inputs: x,
    targets: y,
    dense: {common: [6, 6], top: [6, 4]},
  },
  {
    title: 'Dense in TimeDistributed',
    make: () =>
      tfl.sequential({
        layers: [
          tfl.layers.timeDistributed({
            layer: tfl.layers.dense({units: 5, activation: 'relu', name: 'wrapped'}),
            inputShape: [3, 6],
            name: 'times',
          }),
          tfl.layers.timeDistributed({layer: tfl.layers.dense({units: 4, name: 'second'}), name: 'again'}),
        ],
      }),
    inputs: () => [randomTensor([4, 3, 6], 1)],
    targets: () => [randomTensor([4, 3, 4], 2)],
    dense: {wrapped: [6, 5], second: [5, 4]},
    webgpu: true,
  },
  {
    title: 'an unregistered custom layer',
    make: () =>
      tfl.sequential({
        layers: [
          tfl.layers.dense({units: 8, activation: 'softplus', inputShape: [6], name: 'hidden'}),
          new Doubled({name: 'doubled'}),
          tfl.layers.dense({units: 4, name: 'output'}),
        ],
      }),
    inputs: x,
    targets: y,
    dense: mlpSizes,
  },
  {
    title: 'BatchNormalization and dropout',
    make: () =>
      tfl.sequential({
        layers: [
          tfl.layers.dense({units: 8, inputShape: [6], name: 'hidden'}),
          tfl.layers.batchNormalization({name: 'norm'}),
          tfl.layers.dropout({rate: 0.2, seed: 5}),
          tfl.layers.dense({units: 4, name: 'output'}),
        ],
      }),
    inputs: x,
    targets: y,
    dense: mlpSizes,
  },
  {
    title: 'embedding, LSTM and Dense',
    make: () =>
      tfl.sequential({
        layers: [
          tfl.layers.embedding({inputDim: 12, outputDim: 4, inputLength: 3, name: 'words'}),
          tfl.layers.dense({units: 6, activation: 'relu', name: 'mixed'}),
          tfl.layers.lstm({units: 5, recurrentInitializer: 'glorotNormal', name: 'lstm'}),
          tfl.layers.dense({units: 4, name: 'output'}),
        ],
      }),
    inputs: words,
    targets: () => [randomTensor([6, 4], 2)],
    stock: true,
    dense: {mixed: [4, 6], output: [5, 4]},
  },
  {
    title: 'Bidirectional',
    make: () =>
      tfl.sequential({
        layers: [
          tfl.layers.bidirectional({
            layer: tfl.layers.gru({
              units: 3,
              recurrentInitializer: 'glorotNormal',
            }) as unknown as tfl.RNN,
            mergeMode: 'concat',
            inputShape: [3, 6],
            name: 'both_ways',
          }),
          tfl.layers.dense({units: 4, name: 'output'}),
        ],
      }),
    inputs: () => [randomTensor([4, 3, 6], 1)],
    targets: () => [randomTensor([4, 4], 2)],
    stock: true,
    dense: {output: [6, 4]},
  },
];

export const ZOO: readonly Specimen[] = SPECIMENS.map((specimen) => ({
  ...specimen,
  make: () => settle(specimen.make()),
}));

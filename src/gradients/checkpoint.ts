import * as tf from '@tensorflow/tfjs-core';
import {recordSeeds, replaySeeds} from '../random.ts';
import {type TapeNode, tapeEngine} from './engine.ts';
import {isRecording, offTape} from './off_tape.ts';
import {backpropagate, disposeSaved, nodesBetween, record} from './tape.ts';

type Outputs = tf.Tensor | tf.Tensor[];
type Block<T extends Outputs> = (...inputs: tf.Tensor[]) => T;

/**
 * Runs `block(...inputs)` without keeping its activations: the backward pass computes them again from the inputs
 * (Chen et al., "Training Deep Nets with Sublinear Memory Cost", arXiv 1604.06174). For one more forward pass of the
 * block, memory holds its inputs alone between the two passes. Gradients are exact. Without a gradient being recorded,
 * this is `block(...inputs)` in a tidy.
 *
 * The block must compute the same both times: no side effects, every tensor that it needs a gradient of among `inputs`
 * or `variables`, and random numbers from our layers and ops, or (with `installGradientFixes`) from tfjs's Dropout:
 * these repeat. May be nested, and used in `call` of a layer.
 * @param inputs The tensors that the block is called with, of any shape and dtype.
 * @param variables The trainable variables that the block reads. Default none.
 * @returns What the block returns: a tensor, or an array of tensors.
 * @throws Error (in the backward pass) if the result depends on a trainable variable that is not in `variables`: it
 *   would get no gradient.
 */
export function checkpoint<T extends Outputs>(
  block: Block<T>,
  inputs: tf.Tensor[],
  variables: tf.Variable[] = [],
): T {
  if (!isRecording()) return tf.tidy(() => block(...inputs));
  const {result, seeds} = recordSeeds(() => offTape(() => forward(block, inputs)));
  const {saved, outputs, list} = result;
  const {state} = tapeEngine();
  const named = (prefix: string, tensors: tf.Tensor[]): [string, tf.Tensor][] =>
    tensors.map((tensor, i) => [`${prefix}${i}`, tensor]);
  const again = new Map([...named('input', saved), ...named('variable', variables)]);
  state.activeTape!.push({
    id: state.nextTapeNodeId++,
    kernelName: 'Checkpoint',
    inputs: Object.fromEntries([...named('input', inputs), ...named('variable', variables)]),
    outputs,
    saved,
    gradient(dys) {
      const wanted = Object.keys(this.inputs).map((name) => again.get(name)!);
      const run = () => [replaySeeds(seeds, () => block(...saved))].flat();
      const grads = backward(run, wanted, variables, dys);
      return Object.fromEntries(Object.keys(this.inputs).map((name, i) => [name, () => grads[i]!]));
    },
  });
  return (list ? outputs : outputs[0]) as T;
}

/** Runs the block and keeps its inputs: clones, which the tape connects with them. */
function forward<T extends Outputs>(block: Block<T>, inputs: tf.Tensor[]) {
  const engine = tapeEngine();
  const result = block(...inputs);
  const list = Array.isArray(result);
  const outputs = [result].flat() as tf.Tensor[];
  if (outputs.length === 0 || !outputs.every((y) => y instanceof tf.Tensor)) {
    throw new Error('checkpoint: block must return a tensor or an array of tensors');
  }
  const scope = engine.state.activeScope!.id;
  // an output is a tensor of its own on the tape, not an input, and not twice the same
  const own = outputs.map((y, i) => (y.scopeId === scope && outputs.indexOf(y) === i ? y : tf.clone(y)));
  return {list, outputs: own, saved: engine.saveTensorsForBackwardMode(inputs)};
}

/** Runs the block again and propagates through it; restores the tape that this happens within. */
function backward(
  run: () => tf.Tensor[],
  wanted: tf.Tensor[],
  variables: tf.Variable[],
  dys: (tf.Tensor | null)[],
): tf.Tensor[] {
  const {state} = tapeEngine();
  const outer = state.activeTape!;
  // a backward pass that is differentiated itself records what happens here too, and keeps it
  const nested = state.gradientDepth > 0;
  const tape: TapeNode[] = nested ? outer : [];
  const start = tape.length;
  state.activeTape = tape;
  try {
    return tf.tidy(() => {
      const ys = record(run);
      const recorded = tape.slice(start);
      refuseUnlisted(recorded, ys, variables);
      const gradients = new Map<number, tf.Tensor>();
      const used = ys.filter((_, i) => dys[i] !== null);
      for (const [i, {id}] of ys.entries()) {
        const [dy, sum] = [dys[i], gradients.get(id)];
        if (dy) gradients.set(id, sum ? tf.add(sum, dy) : dy);
      }
      backpropagate(gradients, nodesBetween(recorded, wanted, used), wanted, !nested);
      return wanted.map(({id, shape}) => gradients.get(id) ?? tf.fill(shape, 0));
    });
  } finally {
    if (!nested) disposeSaved(tape);
    state.activeTape = outer;
  }
}

function refuseUnlisted(tape: TapeNode[], ys: tf.Tensor[], variables: tf.Variable[]): void {
  const read = new Set([...ys, ...tape.flatMap(({inputs}) => Object.values(inputs))]);
  for (const variable of read) {
    if (!(variable instanceof tf.Variable) || !variable.trainable || variables.includes(variable)) continue;
    if (!ys.includes(variable) && nodesBetween(tape, [variable], ys).length === 0) continue;
    throw new Error(
      `checkpoint: the block uses the trainable variable ${variable.name}, which is not in variables: ` +
        'it would get no gradient',
    );
  }
}

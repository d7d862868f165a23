import * as tf from '@tensorflow/tfjs-core';
import {type TapeNode, tapeEngine} from './engine.ts';

/** Runs `f` in a tidy and records it on the active tape. */
export function record<T extends tf.TensorContainer>(f: () => T): T {
  const {state} = tapeEngine();
  state.gradientDepth++;
  try {
    return tf.tidy('forward', f);
  } finally {
    state.gradientDepth--;
  }
}

/** The nodes that lead from xs to ys, in their order, each with those inputs alone that depend on xs. */
export function nodesBetween(tape: TapeNode[], xs: tf.Tensor[], ys: tf.Tensor[]): TapeNode[] {
  const fromX = new Set(xs.map(({id}) => id));
  const toY = new Set(ys.map(({id}) => id));
  const dependent = tape.filter(({inputs, outputs}) => {
    const depends = Object.values(inputs).some(({id}) => fromX.has(id));
    if (depends) for (const {id} of outputs) fromX.add(id);
    return depends;
  });
  const nodes: TapeNode[] = [];
  for (const node of dependent.reverse()) {
    if (!node.outputs.some(({id}) => toY.has(id))) continue;
    const inputs = Object.entries(node.inputs);
    for (const [, {id}] of inputs) toY.add(id);
    nodes.push({...node, inputs: Object.fromEntries(inputs.filter(([, {id}]) => fromX.has(id)))});
  }
  return nodes.reverse();
}

export function disposeSaved(nodes: TapeNode[]): void {
  for (const {saved} of nodes) for (const tensor of saved) tensor.dispose();
}

/**
 * Propagates gradients through nodes, the last one first. What a node used is freed when it is done: the gradients of
 * its outputs, what its gradient function made on the way, and with `freeSaved` what it saved. To be called in a tidy;
 * what was not made in it, or is kept, stays.
 * @param gradients By the ids of tensors: those of the results to start with, those of the tensors `wanted` in the end.
 */
export function backpropagate(
  gradients: Map<number, tf.Tensor>,
  nodes: TapeNode[],
  wanted: tf.Tensor[],
  freeSaved: boolean,
): void {
  const lasting = new Set(wanted.map(({id}) => id));
  const scope = tapeEngine().state.activeScope!.id;
  for (const node of nodes.toReversed()) {
    const dys = node.outputs.map(({id}) => gradients.get(id) ?? null);
    const dxs = tf.tidy(() => inputGradients(node, dys));
    for (const {id} of node.outputs) if (!lasting.has(id)) gradients.delete(id);
    const spent = dys.filter((dy) => dy !== null);
    for (const [i, {id}] of Object.values(node.inputs).entries()) {
      const dx = dxs[i]!;
      const sum = gradients.get(id);
      gradients.set(id, sum ? tf.add(sum, dx) : dx);
      if (sum) spent.push(sum, dx);
    }
    // one tensor may be the gradient of several others
    const needed = new Set(gradients.values());
    for (const tensor of spent) {
      if (tensor.scopeId === scope && !needed.has(tensor)) tensor.dispose();
    }
    if (freeSaved) for (const tensor of node.saved) if (!needed.has(tensor)) tensor.dispose();
  }
}

/** The gradients of a node's inputs, in their order; errors as in tfjs. */
function inputGradients(node: TapeNode, dys: (tf.Tensor | null)[]): tf.Tensor[] {
  if (node.gradient == null) {
    throw new Error(`Cannot compute gradient: gradient function not found for ${node.kernelName}.`);
  }
  const closures = node.gradient(dys);
  return Object.entries(node.inputs).map(([name, x]) => {
    const closure = closures[name];
    if (closure === undefined) {
      throw new Error(
        `Cannot backprop through input ${name}. Available gradients found: ${Object.keys(closures)}.`,
      );
    }
    const dx = tf.tidy(closure);
    if (dx.dtype !== 'float32') {
      throw new Error(
        `Error in gradient for op ${node.kernelName}. The gradient of input ` +
          `${name} must have 'float32' dtype, but has '${dx.dtype}'`,
      );
    }
    if (!tf.util.arraysEqual(dx.shape, x.shape)) {
      throw new Error(
        `Error in gradient for op ${node.kernelName}. The gradient of input ` +
          `'${name}' has shape '${dx.shape}', which does not match the shape of the input '${x.shape}'`,
      );
    }
    return dx;
  });
}

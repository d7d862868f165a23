import {show} from '../config.ts';
import type {Layer} from './layer_tree.ts';

/**
 * Which Dense layers are meant: 'all-dense'; a layer's name, or its last part after a dot or slash ('q_proj' is every
 * '….q_proj'); a RegExp tested on the name; a function of the layer; or a list of these.
 */
export type Target = string | RegExp | ((layer: Layer) => boolean) | readonly Target[];

export function matches(target: Target, layer: Layer): boolean {
  if (typeof target === 'function') return target(layer);
  // a global RegExp remembers where it stopped
  if (target instanceof RegExp)
    return new RegExp(target.source, target.flags.replace(/[gy]/g, '')).test(layer.name);
  if (typeof target === 'string') {
    return target === 'all-dense' || layer.name === target || layer.name.split(/[./]/).at(-1) === target;
  }
  return target.some((one) => matches(one, layer));
}

export function checkTarget(owner: string, option: string, target: unknown): asserts target is Target {
  const list = Array.isArray(target) ? target : [target];
  const valid = list.every(
    (one) => typeof one === 'string' || one instanceof RegExp || typeof one === 'function',
  );
  if (!valid || list.length === 0) {
    throw new Error(
      `${owner}: ${option} must be 'all-dense', a layer name, a RegExp, a function of the layer or a list of these, ` +
        `but is ${show(target)}`,
    );
  }
}

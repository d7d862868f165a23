import * as tf from '@tensorflow/tfjs-core';

type Allocator = Record<'_malloc' | '_free', (value: number) => number>;

/** Of WebAssembly; of a larger number of bytes it would take the remainder. */
const ADDRESSES = 2 ** 32;
const watched = new WeakSet<Allocator>();

/**
 * Has a tensor refused that WebAssembly has no memory for, with an error that says its bytes; the current backend must be
 * tfjs's 'wasm'. tfjs does not look whether there was any, and would write the tensor over what lies at address 0.
 */
export function refuseWithoutMemory(): void {
  const {wasm} = tf.backend() as unknown as {wasm: Allocator};
  if (watched.has(wasm)) return;
  watched.add(wasm);
  wasm._free(wasm._malloc(1)); // exchanges itself in its first call
  const {_malloc: allocate} = wasm;
  wasm._malloc = (bytes) => {
    const address = bytes < ADDRESSES ? allocate(bytes) : 0;
    if (address === 0 && bytes > 0) throw new Error(`out of memory: WebAssembly has no ${bytes} bytes left`);
    return address;
  };
}

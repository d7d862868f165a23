import * as tf from '@tensorflow/tfjs-core';
import {replaceMethod, restoreAll} from '../../gradients/engine.ts';
import {sharedInstall} from '../../gradients/shared_install.ts';
import type {WebGPUBackend} from './backend.ts';
import {bufferId, identities, keepAtMost, oldestNext} from './kept.ts';

/** One field of a program's uniforms, as tfjs's backend describes it. */
interface Field {
  type: string;
  data: number[];
}

/** Bytes that a field of so many numbers is aligned to in a uniform buffer (WGSL: those of i32, vec2, vec3 and vec4). */
const alignment = (count: number): number => (count === 1 ? 4 : count === 2 ? 8 : 16);

/** The words of a uniform buffer. Fields of five and six numbers are structures, which also align what follows them. */
function layOut(fields: Field[]): Uint32Array {
  const starts: number[] = [];
  let end = 0;
  let largest = 4;
  let before = 0;
  for (const {data} of fields) {
    const count = Math.max(1, data.length);
    const aligned = before > 4 ? 16 : alignment(count);
    largest = Math.max(largest, aligned);
    const start = Math.ceil(end / aligned) * aligned;
    starts.push(start);
    end = start + 4 * count;
    before = count;
  }
  const words = new Uint32Array((Math.ceil(end / largest) * largest) / 4);
  const [integers, floats] = [new Int32Array(words.buffer), new Float32Array(words.buffer)];
  for (const [i, {type, data}] of fields.entries()) {
    // a scalar's empty shape stands as a 1
    const values = data.length === 0 ? [1] : data;
    (type === 'float32' ? floats : type === 'uint32' ? words : integers).set(values, starts[i]! / 4);
  }
  return words;
}

/** Uniform buffers by content: a program of the same shapes has the same ones at every step. */
function cacheUniforms(backend: WebGPUBackend): () => void {
  const kept = keepAtMost<GPUBuffer>();
  return replaceMethod(backend, 'makeUniforms', () => (fields) => {
    const words = layOut(fields as Field[]);
    const buffer = kept(words.join(), () => {
      const usage = GPUBufferUsage.UNIFORM | GPUBufferUsage.COPY_DST;
      const made = backend.device.createBuffer({size: words.byteLength, usage});
      backend.device.queue.writeBuffer(made, 0, words);
      return made;
    });
    return {offset: 0, size: words.byteLength, buffer};
  });
}

/** Bind groups by layout and buffers. */
function cacheBindGroups(device: GPUDevice): () => void {
  const kept = keepAtMost<GPUBindGroup>();
  const layoutId = identities();
  return replaceMethod(device, 'createBindGroup', (stock) => (descriptor) => {
    const make = () => stock.call(device, descriptor);
    const parts: string[] = [];
    for (const {binding, resource} of descriptor.entries) {
      const {buffer, offset = 0, size = 0} = resource as GPUBufferBinding;
      if (buffer === undefined) return make(); // a texture
      parts.push(`${binding}:${bufferId(buffer)}:${offset}:${size}`);
    }
    return kept(`${layoutId(descriptor.layout)};${parts}`, make);
  });
}

/** A step meets the bind groups of the one before. */
function orderBuffers({bufferManager}: WebGPUBackend): () => void {
  return replaceMethod(
    bufferManager,
    'acquireBuffer',
    (stock) =>
      function (this: typeof bufferManager, size, usage, ...others) {
        oldestNext(this.freeBuffers.get(`${size}_${usage}`));
        return stock.call(this, size, usage, ...others);
      },
  );
}

/** Layouts by pipeline: one is asked for at every dispatch, and is another object each time. */
function cacheLayouts(): () => void {
  const kept = new WeakMap<GPUComputePipeline, GPUBindGroupLayout[]>();
  return replaceMethod(
    GPUComputePipeline.prototype,
    'getBindGroupLayout',
    (stock) =>
      function (this: GPUComputePipeline, index) {
        const layouts = kept.get(this) ?? [];
        kept.set(this, layouts);
        layouts[index] ??= stock.call(this, index);
        return layouts[index];
      },
  );
}

const install = sharedInstall(() => {
  const backend = tf.backend() as WebGPUBackend;
  return restoreAll([
    cacheUniforms(backend),
    cacheBindGroups(backend.device),
    orderBuffers(backend),
    cacheLayouts(),
  ]);
});

/**
 * Makes it cheaper for the CPU to run tfjs's own programs on WebGPU: stock tfjs makes a uniform buffer, a bind group and a
 * bind group's layout at every dispatch (about 20 µs of it in Node); with this they are kept and found again by content,
 * and free buffers are taken in one order, so that a step meets those of the one before. Results are the same. Our own
 * shaders do so by themselves.
 * @returns An installation; when the last one is disposed, tfjs is as it was.
 * @throws Error unless 'webgpu' is the current backend.
 */
export function installEncodingCache(): ReturnType<typeof install> {
  if (tf.getBackend() !== 'webgpu') {
    throw new Error(`installEncodingCache: the backend must be 'webgpu', but is '${tf.getBackend()}'`);
  }
  return install();
}

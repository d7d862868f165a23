import * as tf from '@tensorflow/tfjs-core';
import type {WebGPUBackend} from './backend.ts';
import {DeviceErrors, type Operand, requireWithinLimits} from './device_errors.ts';
import {grid} from './grid.ts';
import {bufferId, identities, keepAtMost} from './kept.ts';
import {type Pipeline, Pipelines} from './pipelines.ts';
import type {Specialization} from './shader.ts';
import {to_float} from './shaders.ts';

/** A buffer that a shader sees, by the name it has there. */
export interface Binding {
  name: string;
  tensor: tf.TensorInfo;
  /** Element type in the shader. Default 'f32'. */
  type?: 'f32' | 'vec4f' | 'i32' | 'u32' | 'vec2u' | 'vec4u';
}

/** One pass of a compute shader. */
export interface Dispatch {
  /** What profiles call it. */
  label: string;
  /** Text with entry point `main`; it declares neither its buffers nor its uniforms. A function is called to compile it. */
  source: string | (() => string);
  specialization: Specialization;
  outputs: readonly Binding[];
  inputs: readonly Binding[];
  /** Numbers that the shader knows as `u.name`: 32-bit unsigned integers, and `floats`. */
  uniforms: Readonly<Record<string, number>>;
  floats?: Readonly<Record<string, number>>;
  /** The uniforms are others at every call, as a step's number is: no buffer of them is kept. Default false. */
  passing?: boolean;
  workgroups: readonly [number, number, number];
}

/** A buffer that tfjs takes back, and gives to others, once the commands are submitted. */
function lendUniform(backend: WebGPUBackend, {size, usage}: GPUBufferDescriptor): GPUBuffer {
  const buffer = backend.bufferManager.acquireBuffer(size, usage);
  backend.uniformPendingDisposal.push(buffer);
  return buffer;
}

/** What is kept for a device: to make a pipeline, a bind group or a uniform buffer costs more than to look it up. */
class DeviceCache {
  private readonly uniforms = keepAtMost<GPUBuffer>();
  private readonly groups = keepAtMost<GPUBindGroup>();
  private readonly pipelineId = identities();
  private readonly device: GPUDevice;
  readonly pipelines: Pipelines;
  readonly errors: DeviceErrors;

  constructor(backend: WebGPUBackend) {
    this.device = backend.device;
    this.pipelines = new Pipelines(backend.device);
    this.errors = new DeviceErrors(backend);
  }

  uniform(backend: WebGPUBackend, {uniforms, floats = {}, passing = false}: Dispatch): GPUBuffer {
    const [integers, reals] = [Object.values(uniforms), Object.values(floats)];
    const make = () => {
      const words = new Uint32Array(Math.ceil((integers.length + reals.length) / 4) * 4);
      words.set(integers);
      new Float32Array(words.buffer).set(reals, integers.length);
      const descriptor = {size: words.byteLength, usage: GPUBufferUsage.UNIFORM | GPUBufferUsage.COPY_DST};
      const buffer = passing ? lendUniform(backend, descriptor) : this.device.createBuffer(descriptor);
      this.device.queue.writeBuffer(buffer, 0, words);
      return buffer;
    };
    return passing ? make() : this.uniforms(`${integers};${reals}`, make);
  }

  /** `checkNew` throws if one of the buffers, which were not bound together before, cannot be bound. */
  group({pipeline, layout}: Pipeline, buffers: GPUBuffer[], checkNew: () => void): GPUBindGroup {
    let key = `${this.pipelineId(pipeline)}`;
    for (const buffer of buffers) key += ` ${bufferId(buffer)}`;
    return this.groups(key, () => {
      checkNew();
      const entries = buffers.map((buffer, binding) => ({binding, resource: {buffer}}));
      return this.device.createBindGroup({layout, entries});
    });
  }
}

const caches = new WeakMap<WebGPUBackend, DeviceCache>();

function cacheOf(backend: WebGPUBackend): DeviceCache {
  const known = caches.get(backend);
  if (known !== undefined) return known;
  const made = new DeviceCache(backend);
  caches.set(backend, made);
  return made;
}

/** Waits for the pipelines that have been compiled ahead, with the flag WEBGPU_ENGINE_COMPILE_ONLY; returns how many. */
export const pipelinesCompiled = (backend: WebGPUBackend): Promise<number> =>
  cacheOf(backend).pipelines.compiled();

/** Records a pass among those of tfjs's own programs, and submits when tfjs would. */
export function dispatch(backend: WebGPUBackend, pass: Dispatch): void {
  const inputs = pass.inputs.map((binding) => withFloats(backend, binding));
  try {
    run(backend, {...pass, inputs});
  } finally {
    for (const [i, {tensor}] of inputs.entries()) {
      if (tensor !== pass.inputs[i]!.tensor) backend.disposeData(tensor.dataId);
    }
  }
}

/** A tensor that was cast to float32 still has its int32 numbers on the GPU: then others, made of them. */
function withFloats(backend: WebGPUBackend, binding: Binding): Binding {
  const {tensor, type = 'f32'} = binding;
  if (!/f/.test(type) || backend.tensorMap.get(tensor.dataId).dtype === 'float32') return binding;
  const floats = backend.makeTensorInfo(tensor.shape, 'float32');
  const size = tf.util.sizeFromShape(tensor.shape);
  run(backend, {
    label: 'ToFloat',
    source: to_float,
    specialization: {},
    outputs: [{name: 'out', tensor: floats}],
    inputs: [{name: 'x', tensor, type: 'i32'}],
    uniforms: {size},
    workgroups: grid(backend, Math.ceil(size / 64)),
  });
  return {...binding, tensor: floats};
}

function run(backend: WebGPUBackend, pass: Dispatch): void {
  const cache = cacheOf(backend);
  if (tf.env().getBool('WEBGPU_ENGINE_COMPILE_ONLY')) {
    cache.pipelines.compile(pass);
    // what has no buffer tfjs takes for numbers of the host
    for (const operand of pass.outputs) bufferOf(backend, cache, pass.label, operand);
    return;
  }
  const pipeline = cache.pipelines.get(pass);
  const operands = [...pass.outputs, ...pass.inputs];
  const group = orDispose(backend, pass.outputs, () => {
    cache.errors.check(pass.label);
    const buffers = operands.map((operand) => bufferOf(backend, cache, pass.label, operand));
    return cache.group(pipeline, [...buffers, cache.uniform(backend, pass)], () => {
      for (const operand of operands) requireWithinLimits(backend.device, pass.label, operand);
    });
  });
  // their buffers are not to be given to others before these commands are submitted
  for (const {tensor} of operands) backend.commandQueueOwnedIds.add(tensor.dataId);
  record(backend, pipeline.pipeline, group, pass);
}

/** The kernel whose pass fails does not return what the pass was to make: then nobody else frees it. */
function orDispose<T>(backend: WebGPUBackend, outputs: readonly Binding[], run: () => T): T {
  try {
    return run();
  } catch (error) {
    for (const {tensor} of outputs) backend.disposeData(tensor.dataId);
    throw error;
  }
}

function bufferOf(backend: WebGPUBackend, cache: DeviceCache, label: string, operand: Operand): GPUBuffer {
  cache.errors.allocate(label, operand);
  return backend.tensorMap.get(operand.tensor.dataId).resource!;
}

function record(
  backend: WebGPUBackend,
  pipeline: GPUComputePipeline,
  group: GPUBindGroup,
  {label, workgroups}: Dispatch,
): void {
  backend.ensureCommandEncoderReady();
  const timed = backend.activeTimers !== null && backend.activeTimers !== undefined;
  if (timed && backend.supportTimestampQuery) {
    backend.endComputePassEncoder();
    backend.querySet ??= backend.device.createQuerySet({type: 'timestamp', count: backend.querySetCount});
    const timestampWrites = {
      querySet: backend.querySet,
      beginningOfPassWriteIndex: 0,
      endOfPassWriteIndex: 1,
    };
    backend.computePassEncoder = backend.commandEncoder!.beginComputePass({timestampWrites});
  } else {
    backend.computePassEncoder ??= backend.commandEncoder!.beginComputePass();
  }
  const pass = backend.computePassEncoder;
  pass.setPipeline(pipeline);
  pass.setBindGroup(0, group);
  pass.dispatchWorkgroups(...workgroups);
  backend.dispatchCountInPass++;
  if (!timed && backend.dispatchCountInPass < tf.env().getNumber('WEBGPU_DEFERRED_SUBMIT_BATCH_SIZE')) return;
  backend.endComputePassEncoder();
  if (timed) backend.activeTimers!.push({name: label, query: backend.getQueryTime()});
  else backend.submitQueue();
}

/** A run of numbers to copy from one tensor into another one. */
export interface Copy {
  from: tf.TensorInfo;
  /** Of the numbers in its buffer. Default 0. */
  fromStart?: number;
  to: tf.TensorInfo;
  /** Default 0. */
  toStart?: number;
  /** How many numbers. */
  size: number;
}

/** Records copies, which take no shader and so any number of tensors at once, among the passes. */
export function copy(backend: WebGPUBackend, label: string, copies: Copy[]): void {
  if (tf.env().getBool('WEBGPU_ENGINE_COMPILE_ONLY')) return;
  const cache = cacheOf(backend);
  cache.errors.check(label);
  // before the encoder is taken: an upload ends its pass
  const buffers = copies.map(({from, to}) => [
    bufferOf(backend, cache, label, {name: 'from', tensor: from}),
    bufferOf(backend, cache, label, {name: 'to', tensor: to}),
  ]);
  backend.ensureCommandEncoderReady();
  backend.endComputePassEncoder();
  for (const [i, {from, fromStart = 0, to, toStart = 0, size}] of copies.entries()) {
    const [source, target] = buffers[i] as [GPUBuffer, GPUBuffer];
    backend.commandEncoder!.copyBufferToBuffer(source, 4 * fromStart, target, 4 * toStart, 4 * size);
    for (const {dataId} of [from, to]) backend.commandQueueOwnedIds.add(dataId);
  }
}

/** Records that a tensor becomes zero. */
export function clear(backend: WebGPUBackend, label: string, tensor: tf.TensorInfo): void {
  if (tf.env().getBool('WEBGPU_ENGINE_COMPILE_ONLY')) return;
  const cache = cacheOf(backend);
  cache.errors.check(label);
  const buffer = bufferOf(backend, cache, label, {name: 'cleared', tensor});
  backend.ensureCommandEncoderReady();
  backend.endComputePassEncoder();
  backend.commandEncoder!.clearBuffer(buffer);
  backend.commandQueueOwnedIds.add(tensor.dataId);
}

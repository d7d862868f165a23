import {type TensorInfo, util} from '@tensorflow/tfjs-core';
import {replaceMethod} from '../../gradients/engine.ts';
import type {WebGPUBackend} from './backend.ts';
import {oldestNext} from './kept.ts';

/** A tensor of a pass, by the name that the shader has for it. */
export interface Operand {
  name: string;
  tensor: TensorInfo;
}

const bytesOf = ({shape}: TensorInfo): number => 4 * util.sizeFromShape(shape);

const describe = (label: string, {name, tensor}: Operand): string =>
  `${label}: ${name}, ${tensor.dtype} of shape [${tensor.shape}], ${bytesOf(tensor)} bytes`;

/** @throws Error naming the tensor if the device cannot bind a buffer of its size, or not even make one. */
export function requireWithinLimits({limits}: GPUDevice, label: string, operand: Operand): void {
  for (const limit of ['maxBufferSize', 'maxStorageBufferBindingSize'] as const) {
    if (bytesOf(operand.tensor) <= limits[limit]) continue;
    const text = describe(label, operand);
    throw new Error(`${text}, is larger than this device allows (${limit} ${limits[limit]} bytes)`);
  }
}

/**
 * What goes wrong on a device, which says so later and then computes on without a word: it is thrown at the next pass of
 * ours or where a tensor is read, whichever comes first.
 */
export class DeviceErrors {
  private failure: Error | undefined;
  private lost: GPUDeviceLostInfo | undefined;
  /** Of the allocations since the last error that was thrown: those of the step that it ended are of no interest. */
  private period = 0;

  constructor(private readonly backend: WebGPUBackend) {
    const {device} = backend;
    void device.lost.then((info) => {
      this.lost = info;
    });
    // tfjs's own programs make buffers too
    device.addEventListener('uncapturederror', ({error}) => {
      if (error instanceof GPUOutOfMemoryError) this.note(`tfjs: ${error.message}`);
    });
    replaceMethod(backend, 'read', (stock) => async (dataId) => {
      try {
        const values = await stock.call(backend, dataId);
        this.throwFailure();
        return values;
      } catch (error) {
        // a read that fails with the device fails first
        await Promise.race([device.lost, new Promise((resolve) => setTimeout(resolve))]);
        this.throwIfLost('a read');
        throw error;
      }
    });
  }

  /** @throws Error if something has gone wrong since the last call. */
  check(label: string): void {
    this.throwIfLost(label);
    this.throwFailure();
  }

  /** Gives a tensor its buffer, if it has none, and watches whether there is memory for it. */
  allocate(label: string, operand: Operand): void {
    const {backend} = this;
    const {dataId} = operand.tensor;
    if (backend.tensorMap.get(dataId).resource != null) return;
    requireWithinLimits(backend.device, label, operand);
    const bytes = bytesOf(operand.tensor);
    const usage = GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_SRC | GPUBufferUsage.COPY_DST;
    const free = backend.bufferManager.freeBuffers.get(`${bytes}_${usage}`);
    // to watch costs more than to take a buffer that is free
    if (free?.length) {
      oldestNext(free);
      backend.uploadToGPU(dataId);
      return;
    }
    const {period} = this;
    backend.device.pushErrorScope('out-of-memory');
    backend.uploadToGPU(dataId);
    void backend.device.popErrorScope().then((error) => {
      if (error === null || period !== this.period) return;
      const held = backend.bufferManager.numBytesAllocated - bytes;
      this.note(
        `${describe(label, operand)}: out of memory on the GPU, where tfjs holds ${held} bytes (${error.message})`,
      );
    });
  }

  private note(message: string): void {
    this.failure ??= new Error(message.split('\n')[0]);
  }

  private throwFailure(): void {
    const {failure} = this;
    if (failure === undefined) return;
    this.failure = undefined;
    this.period++;
    throw failure;
  }

  private throwIfLost(label: string): void {
    if (this.lost === undefined) return;
    const {reason, message} = this.lost;
    throw new Error(
      `${label}: the GPU device is lost (${[reason, message].filter(Boolean).join(': ')}), and all its tensors with it; ` +
        "tf.removeBackend('webgpu'), start the backend again, make the model anew and resume from a checkpoint",
    );
  }
}

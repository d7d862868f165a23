export {useCELoRAWebGPU} from './backends/webgpu.ts';
export type {WebGPUAdapter, WebGPUOptions} from './backends/webgpu_adapter.ts';

export {type ChosenBackend, chooseBackend} from './backends/choose_node.ts';
export {setUpWasm} from './backends/wasm_node.ts';
export {setUpWebGPU, type WebGPUAdapter, type WebGPUOptions} from './backends/webgpu_node.ts';

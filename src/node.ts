export {readAdapter, writeAdapter} from './adapters/folder.ts';
export {type BackendName, type ChosenBackend, chooseBackend} from './backends/choose_backend.ts';
export {setUpTensorFlow, type TensorFlowLibrary} from './backends/tensorflow_node.ts';
export {setUpWasm} from './backends/wasm_node.ts';
export type {WebGPUAdapter, WebGPUOptions} from './backends/webgpu_adapter.ts';
export {type NodeWebGPUOptions, setUpWebGPU} from './backends/webgpu_node.ts';
export {installTensorFlowSharing} from './kernels/tensorflow/sharing.ts';
export {folderStore} from './train/folder_store.ts';

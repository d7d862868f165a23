import type {Base} from '../../src/index.ts';
import type {LayersEvent, LayersRequest} from './layers/protocol.ts';
import type {Settings} from './settings.ts';

/** 'auto': WebGPU on a real GPU, else WebAssembly. */
export type BackendChoice = 'auto' | 'webgpu' | 'wasm';

export type ModelSource =
  | {kind: 'embedded'}
  | {kind: 'files'; name: string; files: File[]}
  | {kind: 'url'; url: string};

export type TextSource = {kind: 'built-in'} | {kind: 'typed'; text: string} | {kind: 'file'; file: File};

export type Method = 'celora' | 'exact';

export interface Job {
  text: TextSource;
  settings: Settings;
}

export interface SampleOptions {
  prompt: string;
  /** 0: always the likeliest token. */
  temperature: number;
  maxNewTokens: number;
  seed: number;
}

/** What the page asks of its worker. Requests are done in turn, but `pause`, `stop` and `hush` act at once. */
export type Request =
  | LayersRequest
  /** `page`: the page's own address, beside which the embedded model and the built-in text lie. */
  | {type: 'start'; backend: BackendChoice; page: string}
  /** `base`: how its weights are to be held. */
  | {type: 'load'; source: ModelSource; base: Base}
  /** Writes with the base model, and with the active adapter if there is one. */
  | {type: 'sample'; options: SampleOptions}
  /** Ends a sample early. */
  | {type: 'hush'}
  | {type: 'train'; job: Job}
  /** Ends training after the step under way; `continue` goes on from there. */
  | {type: 'pause'}
  | {type: 'stop'}
  /** Goes on with the run that was paused, perhaps before the page was loaded. */
  | {type: 'continue'}
  /** Gives that run up. */
  | {type: 'discard'}
  /** Makes an adapter the active one; without a name, the base model alone. */
  | {type: 'activate'; adapter: string | undefined}
  /** An adapter from elsewhere, its .zip or its files; it becomes the active one. */
  | {type: 'add-adapter'; files: File[]}
  /** Asks for an adapter's files, or those of the model with it merged. */
  | {type: 'save'; adapter: string; merged: boolean};

export interface BackendInfo {
  backend: 'webgpu' | 'wasm';
  /** What it computes on, for a person to read. */
  device: string;
  isSoftware: boolean;
  /** Of WebAssembly; 1 on a GPU. */
  threads: number;
  /** Why it is not WebGPU on a GPU, if it was not asked for; else empty. */
  reason: string;
}

export interface ModelInfo {
  name: string;
  layers: number;
  hidden: number;
  parameters: number;
  base: Base;
  maxPositions: number;
}

/** What one layer selected. */
export interface LayerSelection {
  layer: string;
  /** Kept columns, ascending. */
  kept: Int32Array<ArrayBuffer>;
  /** Of all columns. */
  scores: Float32Array<ArrayBuffer>;
  /** The share of Σ scores² that the kept columns have. */
  energy: number;
}

export interface StepFigures {
  step: number;
  loss: number;
  tokensPerSecond: number;
  /** Of this method's run. */
  secondsLeft: number;
  /** Bytes that tensors take on the device. */
  memory: number;
  /** Multiply-adds that approximating has saved so far, and all those of exact LoRA in the same steps. */
  saved: number;
  multiplyAdds: number;
}

export type ErrorKind =
  | 'backend'
  | 'model'
  | 'file'
  | 'setting'
  | 'diverged'
  | 'memory'
  | 'device-lost'
  | 'bug';

/** What the worker tells the page. */
export type Event =
  | LayersEvent
  | {type: 'started'; info: BackendInfo}
  /** Bytes of the model. */
  | {type: 'loading'; loaded: number; total: number}
  | {type: 'loaded'; info: ModelInfo}
  /** The same model was read again for a run, its weights to be held in another way. */
  | {type: 'reloaded'; info: ModelInfo}
  /** All that is written so far, with the base or with the active adapter. */
  | {type: 'sample'; by: 'base' | 'adapter'; text: string}
  | {type: 'sampled'}
  | {type: 'prepared'; about: string; prompt: string; baseLoss: number}
  | {type: 'begun'; method: Method; steps: number; trainable: number; layers: string[]}
  | {type: 'resumed'; method: Method; losses: number[]}
  | {type: 'step'; method: Method; figures: StepFigures}
  | {type: 'selected'; step: number; layers: LayerSelection[]}
  /** `heldOut`: undefined if the run was paused or stopped. */
  | {type: 'ended'; method: Method; heldOut: number | undefined; seconds: number}
  | {type: 'trained'; end: 'done' | 'paused' | 'stopped'}
  /** There is a run of this model on this text that can be continued. */
  | {type: 'resumable'; textName: string}
  | {type: 'adapters'; names: string[]; active: string | undefined}
  /** Something to be kept, and what to call it. */
  | {type: 'saved'; name: string; zip: Blob}
  /** `fatal`: the worker must be started anew. */
  | {type: 'error'; kind: ErrorKind; message: string; fatal: boolean};

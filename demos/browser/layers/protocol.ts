/** What a layers-model is fine-tuned on. */
export type DataSource =
  /** Rows of features, the last column the label or the number to be learned. */
  | {kind: 'csv'; file: File}
  /** Images, each with its label. */
  | {kind: 'images'; images: {label: string; file: File}[]};

export interface LayersSettings {
  steps: number;
  /** Rows in a step. */
  batch: number;
  learningRate: number;
  rank: number;
  keep: number;
  seed: number;
}

export interface LayersJob {
  data: DataSource;
  /** Names of the Dense layers that get an adapter. */
  layers: string[];
  settings: LayersSettings;
}

/** What the page asks of its worker for a layers-model; 'layers-stop' acts at once. */
export type LayersRequest =
  /** The files of a model as tfjs saves it: a model.json and those of its weights. */
  | {type: 'layers-load'; files: File[]}
  | {type: 'layers-train'; job: LayersJob}
  /** Ends training after the step under way, and keeps what was learned. */
  | {type: 'layers-stop'}
  | {type: 'layers-save'};

/** A Dense layer, with its multiply-adds for one row, forward and backward. */
export interface DenseInfo {
  name: string;
  inputs: number;
  units: number;
  full: number;
  exactLoRA: number;
  celora: number;
}

export interface LayersModelInfo {
  name: string;
  parameters: number;
  /** Of one row. */
  input: number[];
  outputs: number;
  layers: DenseInfo[];
}

/** How well the held-out rows are predicted. */
export interface Fit {
  loss: number;
  /** Fraction of the rows whose label is right; undefined where numbers are learned. */
  accuracy: number | undefined;
}

export type LayersEvent =
  | {type: 'layers-loaded'; info: LayersModelInfo}
  /** `about`: the data, for a person to read. `ceiling`: exact LoRA's multiply-adds over CE-LoRA's. */
  | {type: 'layers-begun'; about: string; before: Fit; ceiling: number}
  | {type: 'layers-step'; step: number; loss: number}
  | {type: 'layers-trained'; after: Fit; seconds: number}
  /** A model.json and its weights, in a .zip. */
  | {type: 'layers-saved'; name: string; zip: Blob};

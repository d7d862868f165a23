/** How long, and on what, the configurations are trained. */
export interface Protocol {
  steps: number;
  /** Tokens of a window, and held-out windows. */
  length: number;
  windows: number;
}

/** One piece of work: a run that is trained to its end, or a short one whose steps are timed. */
export interface Job {
  kind: 'run' | 'time';
  /** The name of a configuration. */
  row: string;
  /** A .txt or .jsonl file. */
  file: string;
  seed: number;
}

interface Entry extends Protocol {
  data: string;
  row: string;
  seed: number;
  batch: number;
}

/** What came of a run. */
export interface Run extends Entry {
  kind: 'run';
  /** Multiply-adds of the steps' products, as a fraction of exact LoRA's at the full batch. */
  cost: number;
  /** Held-out loss at the end, and on the way. */
  loss: number;
  curve: {step: number; loss: number}[];
}

/** How long a step takes where nothing else runs. */
export interface Timing extends Entry {
  kind: 'time';
  /** Milliseconds of a step, selections among them. */
  milliseconds: number;
}

export type Result = Run | Timing;

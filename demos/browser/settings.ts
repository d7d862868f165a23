import {BASES, DEFAULT_CONFIG, resolveConfig} from '../../src/config.ts';
import type {Budget, CELoRAConfig} from '../../src/index.ts';

/** The options of CE-LoRA among the settings. */
export const CELORA_SETTINGS = [
  'rank',
  'alpha',
  'keep',
  'frozenRank',
  'refreshEvery',
  'exactSteps',
  'exactEvery',
  'base',
  'seed',
] as const satisfies readonly (keyof CELoRAConfig)[];

/** What a fine-tuning run is told; the same names as in the package. */
export interface Settings extends Pick<CELoRAConfig, (typeof CELORA_SETTINGS)[number]> {
  budget: Budget;
  /** A regular expression on the names of layers. */
  target: string;
  learningRate: number;
  batch: number;
  seq: number;
  steps: number;
  /** Whether the prompts of a .jsonl are read only, and not learned. */
  completionOnly: boolean;
  /** Whether exact LoRA is trained on the same batches afterwards. */
  compare: boolean;
}

/** One setting on the page: its default decides what kind of control it is. */
export interface Field<K extends keyof Settings = keyof Settings> {
  label: string;
  about: string;
  value: Settings[K];
  /** The values there are to choose from. */
  options?: readonly Settings[K][];
}

export const FIELDS: {[K in keyof Settings]: Field<K>} = {
  steps: {label: 'Steps', about: 'Steps of the optimizer.', value: 100},
  batch: {label: 'Batch', about: 'Rows of text in a step; memory and time grow with it.', value: 4},
  seq: {label: 'Sequence', about: 'Tokens in a row, at most the positions of the model.', value: 128},
  learningRate: {
    label: 'Learning rate',
    about: 'Its peak: it warms up over a twentieth of the steps, and falls to a tenth along a cosine.',
    value: 1e-3,
  },
  completionOnly: {
    label: 'Completions only',
    about:
      'What follows the prompts of a .jsonl is learned, and counts in the loss; the prompts are read only.',
    value: false,
  },
  compare: {
    label: 'Also train exact LoRA',
    about: 'Afterwards, from the same start on the same batches: what leaving columns out costs in loss.',
    value: true,
  },
  keep: {
    label: 'Keep',
    about: 'Fraction of the columns of dy that the activation gradient is computed from; 1 is exact LoRA.',
    value: DEFAULT_CONFIG.keep,
  },
  budget: {
    label: 'Budget',
    about: 'calibrated: the kept columns are divided among the layers by their scores; uniform: alike.',
    value: 'calibrated',
    options: ['calibrated', 'uniform'],
  },
  rank: {label: 'Rank', about: 'Rank of the adapters; more can learn more.', value: DEFAULT_CONFIG.rank},
  alpha: {label: 'Alpha', about: 'The adapter is scaled by alpha / rank.', value: DEFAULT_CONFIG.alpha},
  frozenRank: {
    label: 'Frozen rank',
    about: 'Rank of the frozen factors whose product stays exact (Double-LoRA); 0: none.',
    value: DEFAULT_CONFIG.frozenRank,
  },
  refreshEvery: {
    label: 'Refresh',
    about: 'Steps from one selection of columns to the next; the strips change with each.',
    value: DEFAULT_CONFIG.refreshEvery,
  },
  exactSteps: {
    label: 'Exact steps',
    about: 'At the start, that stay exact; below 1, a fraction of all steps.',
    value: DEFAULT_CONFIG.exactSteps,
  },
  exactEvery: {
    label: 'Exact every',
    about:
      'n: every n-th step is exact in all layers, which brings the loss near that of exact LoRA; 0: none.',
    value: DEFAULT_CONFIG.exactEvery,
  },
  base: {
    label: 'Weights',
    about:
      'How those of the model are held. At half precision they are rounded once and take half the memory; the model is read ' +
      'anew when it is to be held in another way.',
    value: DEFAULT_CONFIG.base,
    options: BASES,
  },
  target: {
    label: 'Target',
    about: 'A regular expression: the layers whose names it matches get an adapter.',
    value: '(q|k|v|o|gate|up|down)_proj$',
  },
  seed: {label: 'Seed', about: "Of the batches' order and the adapters' start.", value: DEFAULT_CONFIG.seed},
};

export const SETTING_NAMES = Object.keys(FIELDS) as (keyof Settings)[];

export const DEFAULT_SETTINGS = Object.fromEntries(
  SETTING_NAMES.map((name) => [name, FIELDS[name].value]),
) as unknown as Readonly<Settings>;

const COUNTS = ['steps', 'batch', 'seq'] as const;

function problemOf(name: keyof Settings, settings: Settings, maxPositions: number): string | undefined {
  const value = settings[name];
  if (COUNTS.some((count) => count === name)) {
    if (!Number.isSafeInteger(value) || (value as number) < 1)
      return `must be a whole number from 1, not ${value}`;
    return name === 'seq' && settings.seq > maxPositions
      ? `is ${value}, but the model has ${maxPositions} positions`
      : undefined;
  }
  if (name === 'rank' && settings.rank < 1) return `must be at least 1, but is ${value}`;
  if (name === 'learningRate') {
    return settings.learningRate > 0 && settings.learningRate < Number.POSITIVE_INFINITY
      ? undefined
      : `must be a number above 0, but is ${value}`;
  }
  try {
    if (name === 'target') new RegExp(settings.target);
    else if (CELORA_SETTINGS.some((option) => option === name)) resolveConfig({[name]: value}, '');
  } catch (error) {
    // of CE-LoRA's options, ': rank must be …'
    return (error as Error).message.replace(/^: \w+ /, '');
  }
  return undefined;
}

/** What is wrong with settings, by their names; nothing if it is empty. */
export function problemsOf(
  settings: Settings,
  maxPositions: number,
): Partial<Record<keyof Settings, string>> {
  const problems = SETTING_NAMES.map((name) => [name, problemOf(name, settings, maxPositions)] as const);
  return Object.fromEntries(problems.filter(([, problem]) => problem !== undefined));
}

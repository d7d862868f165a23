import {CONFIG_FILE, WEIGHTS_FILE} from './modules.ts';
import type {PeftConfig} from './peft_config.ts';

/** A name of the user's in a line of Markdown. */
const inLine = (name: string): string => name.replace(/[`|\s]+/g, ' ');

/** The README.md of an adapter, with the header that Hugging Face reads. */
export function adapterCard(config: PeftConfig, parameters: number): string {
  const {base_model_name_or_path: baseModel, r, lora_alpha: alpha, use_rslora: rslora} = config;
  // a JSON string is a YAML string, whatever is in it
  const header = [
    ...(baseModel === null ? [] : [`base_model: ${JSON.stringify(baseModel)}`]),
    'library_name: peft',
    ...(config.task_type === 'CAUSAL_LM' ? ['pipeline_tag: text-generation'] : []),
    'tags:',
    '- lora',
    '- tfjs-celora',
  ];
  const base = baseModel === null ? 'the base model' : `\`${inLine(baseModel)}\``;
  const modules = config.target_modules.slice(0, 12).map(inLine);
  if (config.target_modules.length > modules.length) modules.push('…');
  return `---
${header.join('\n')}
---

# LoRA adapter

For ${base}. Trained in TensorFlow.js with tfjs-celora (CE-LoRA, arXiv 2502.01378); the format is PEFT's.

| | |
|---|---|
| rank | ${r} |
| alpha | ${alpha}${rslora ? ' (scaled by alpha / √rank)' : ''} |
| modules | ${modules.join(', ')} |
| parameters | ${parameters.toLocaleString('en-US')} |

Where layers differ in rank or alpha, these are those of most of them, and \`${CONFIG_FILE}\` has the others.

## Use

In Python, with [PEFT](https://github.com/huggingface/peft), this folder beside the base model:

\`\`\`py
from peft import PeftModel

model = PeftModel.from_pretrained(base_model, "path/to/this/folder")
\`\`\`

In JavaScript, with tfjs-celora, \`files\` being the bytes of \`${WEIGHTS_FILE}\` and \`${CONFIG_FILE}\` by name:

\`\`\`ts
import {loadAdapter} from 'tfjs-celora';

loadAdapter(model, files);
\`\`\`
`;
}

import {Template} from '@huggingface/jinja';
import type {RenderChat} from '../../src/index.ts';
import {isObject, type JsonObject, ModelError} from './files.ts';

/** The default one of several named templates. */
function templateOf(value: unknown): string | undefined {
  if (typeof value === 'string') return value;
  if (!Array.isArray(value)) return undefined;
  const named = value.find((one) => isObject(one) && one.name === 'default');
  return isObject(named) && typeof named.template === 'string' ? named.template : undefined;
}

/** A special token's text, which is written in two ways. */
const tokenOf = (value: unknown): string | undefined => {
  const text = isObject(value) ? value.content : value;
  return typeof text === 'string' ? text : undefined;
};

/**
 * The chat template of a model's tokenizer_config.json, as a function; undefined if it has none.
 * @throws ModelError if the template is not understood; what it returns throws what the template raises.
 */
export function chatRenderer(settings: JsonObject): RenderChat | undefined {
  const source = templateOf(settings.chat_template);
  if (source === undefined) return undefined;
  let template: Template;
  try {
    template = new Template(source);
  } catch (error) {
    throw new ModelError(
      `tokenizer_config.json: chat_template is not understood (${(error as Error).message.split('\n')[0]})`,
    );
  }
  const tokens = {bos_token: tokenOf(settings.bos_token), eos_token: tokenOf(settings.eos_token)};
  return (messages, {addGenerationPrompt}) =>
    template.render({...tokens, messages, add_generation_prompt: addGenerationPrompt});
}

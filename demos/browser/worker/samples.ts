import {generate} from '../../llama/generate.ts';
import type {LoadedLlama} from '../../llama/load.ts';
import type {SampleOptions} from '../protocol.ts';

/** Among the likeliest tokens with this much of the probability, where a temperature draws. */
const TOP_P = 0.95;

/** Continues a prompt, with the model as it is now. @param onText Called with all that is written so far. */
export async function writeSample(
  {model, config, tokenizer}: LoadedLlama,
  {prompt, temperature, maxNewTokens, seed}: SampleOptions,
  signal: AbortSignal,
  onText: (text: string) => void,
): Promise<void> {
  // the end of a long prompt, so that there is room for what follows
  const ids = tokenizer.encode(prompt, {bos: true}).slice(-Math.max(1, config.maxPositions - maxNewTokens));
  const written: number[] = [];
  onText('');
  await generate(model, ids, {
    maxNewTokens,
    temperature,
    topP: TOP_P,
    seed,
    eosIds: tokenizer.eosIds,
    maxPositions: config.maxPositions,
    signal,
    onToken(id) {
      written.push(id);
      onText(tokenizer.decode(written));
    },
  });
}

import {show} from '../config.ts';
import {FileError, isObject, type JsonObject} from '../files/json.ts';

/** A piece of a text, and whether the model learns to write it or only reads it (a prompt). */
export interface TextPart {
  text: string;
  learn: boolean;
}

/** One text to fine-tune on, from its beginning to its end. */
export type Example = readonly TextPart[];

/** Makes an example of one row of data; throws an error that says what is wrong with the row. */
export type RowReader = (row: JsonObject) => Example;

/** A turn of a conversation, as chat templates want it. */
export interface ChatMessage {
  role: string;
  content: string;
}

/**
 * Renders a conversation by a model's chat template (`chat_template` of tokenizer_config.json, a Jinja template: see
 * the package @huggingface/jinja). `addGenerationPrompt`: with what asks the model for the next turn at its end.
 */
export type RenderChat = (messages: ChatMessage[], options: {addGenerationPrompt: boolean}) => string;

function field(row: JsonObject, name: string): string {
  const value = Object.hasOwn(row, name) ? row[name] : undefined;
  if (typeof value === 'string') return value;
  if (typeof value === 'number') return String(value);
  throw new Error(`has no text under '${name}'`);
}

/**
 * Rows into a text: `'Question: {question}\nAnswer: {answer}'`, where each `{name}` is the row's field of that name. What
 * comes before the last placeholder is the prompt, which is only read; the rest, from it to the end, is learned.
 * @throws Error for a template without a placeholder.
 */
export function textTemplate(template: string): RowReader {
  // the texts between the placeholders at the even places, the names at the odd ones
  const pieces = template.split(/\{(\w+)\}/);
  if (pieces.length === 1) {
    throw new Error(
      `textTemplate: template must have a placeholder such as {answer}, but is ${show(template)}`,
    );
  }
  return (row) => {
    const filled = pieces.map((piece, i) => (i % 2 === 0 ? piece : field(row, piece)));
    const prompt = filled.slice(0, -2).join('');
    const learned = {text: filled.slice(-2).join(''), learn: true};
    return prompt === '' ? [learned] : [{text: prompt, learn: false}, learned];
  };
}

function messagesOf(row: JsonObject, name: string): ChatMessage[] {
  const value = Object.hasOwn(row, name) ? row[name] : undefined;
  const isMessage = (one: unknown): one is ChatMessage & JsonObject =>
    isObject(one) && typeof one.role === 'string' && typeof one.content === 'string';
  if (Array.isArray(value) && value.every(isMessage)) return value;
  throw new Error(`has no list of messages, each with role and content, under '${name}'`);
}

/**
 * Rows with a conversation into its text by the model's chat template. The assistant's turns are learned, what ends them
 * included; everything else, and what asks for a turn, is only read.
 * @param name The field with the messages. Default 'messages'.
 */
export function chatTemplate(render: RenderChat, name = 'messages'): RowReader {
  return (row) => {
    const messages = messagesOf(row, name);
    const text = render(messages, {addGenerationPrompt: false});
    const parts: TextPart[] = [];
    let done = 0;
    const add = (end: number, learn: boolean) => {
      if (end > done) parts.push({text: text.slice(done, end), learn});
      done = Math.max(done, end);
    };
    for (const [i, {role}] of messages.entries()) {
      if (role !== 'assistant') continue;
      const before = render(messages.slice(0, i), {addGenerationPrompt: true});
      const after = render(messages.slice(0, i + 1), {addGenerationPrompt: false});
      if (!text.startsWith(before) || !text.startsWith(after)) {
        throw new Error(
          `cannot be learned from: the chat template changes what came before its turn ${i + 1}`,
        );
      }
      add(before.length, false);
      add(after.length, true);
    }
    add(text.length, false);
    return parts;
  };
}

/**
 * The examples of a .jsonl file: one JSON object a line; empty lines are passed over.
 * @param read Makes an example of a row: `textTemplate(…)`, `chatTemplate(…)`, or a function of your own.
 * @param file Its name, for messages.
 * @throws FileError naming file and line.
 */
export function readJsonLines(content: string, read: RowReader, file = 'data'): Example[] {
  const examples: Example[] = [];
  for (const [i, line] of content.split('\n').entries()) {
    if (line.trim() === '') continue;
    const fail = (problem: string): never => {
      throw new FileError(`line ${i + 1} of '${file}' ${problem}`);
    };
    let row: unknown;
    try {
      row = JSON.parse(line);
    } catch {
      fail('is not JSON');
    }
    if (!isObject(row)) fail('is not a JSON object');
    try {
      examples.push(read(row as JsonObject));
    } catch (error) {
      fail((error as Error).message);
    }
  }
  return examples;
}

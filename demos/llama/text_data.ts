import {
  chatTemplate,
  type Example,
  FileError,
  type RenderChat,
  type RowReader,
  readJsonLines,
  textTemplate,
} from '../../src/index.ts';

/** Texts to train on and to hold out. */
export interface TextData {
  train: Example[];
  heldOut: Example[];
  /** Parts of one text; texts of their own; conversations, whose chat template writes what begins a text. */
  kind: 'parts' | 'texts' | 'chats';
  /** The beginning of something held out, for the model to continue. */
  prompt: string;
}

/** What is needed of the model's tokenizer. */
export interface ChatTokenizer {
  renderChat?: RenderChat;
}

/** The last tenth is held out. */
const TRAIN_SHARE = 0.9;
const PROMPT_LENGTH = 60;

const FORMS: [fields: string[], read: RowReader][] = [
  [['text'], textTemplate('{text}')],
  [['question', 'answer'], textTemplate('Question: {question}\nAnswer: {answer}\n\n')],
  [['prompt', 'completion'], textTemplate('{prompt}{completion}')],
];

/** Reads rows by the fields that they have. */
function anyForm(renderChat: RenderChat | undefined): RowReader {
  return (row) => {
    const form = FORMS.find(([fields]) => fields.every((name) => typeof row[name] === 'string'));
    if (form) return form[1](row);
    if (!Array.isArray(row.messages)) {
      throw new Error('has neither text, nor question and answer, nor prompt and completion, nor messages');
    }
    if (renderChat) return chatTemplate(renderChat)(row);
    throw new Error("has messages, but the model's tokenizer_config.json has no chat_template");
  };
}

/** What an example begins with: its prompt, or the beginning of its text. */
function promptOf(example: Example): string {
  const [first, ...rest] = example;
  // a space at its end would be a token of its own, which the text does not have
  if (first && !first.learn && rest.length > 0) return first.text.replace(/ +$/, '');
  return (first?.text ?? '').slice(0, PROMPT_LENGTH);
}

function fromJsonLines(content: string, name: string, read: RowReader): TextData {
  let isChat = false;
  const rows = readJsonLines(
    content,
    (row) => {
      isChat ||= Array.isArray(row.messages);
      return read(row);
    },
    name,
  );
  // as in data sets that keep their source's blank lines
  const examples = rows.filter((example) => example.some(({text}) => text !== ''));
  if (examples.length < 2)
    throw new FileError(`'${name}' has ${examples.length} examples; two are the least`);
  const cut = Math.min(examples.length - 1, Math.max(1, Math.floor(examples.length * TRAIN_SHARE)));
  return {
    train: examples.slice(0, cut),
    heldOut: examples.slice(cut),
    kind: isChat ? 'chats' : 'texts',
    prompt: promptOf(examples[cut]!),
  };
}

function fromPlainText(content: string): TextData {
  const cut = Math.floor(content.length * TRAIN_SHARE);
  const [train, heldOut] = [content.slice(0, cut), content.slice(cut)];
  const example = (text: string): Example[] => [[{text, learn: true}]];
  return {
    train: example(train),
    heldOut: example(heldOut),
    kind: 'parts',
    prompt: heldOut.slice(0, PROMPT_LENGTH),
  };
}

/**
 * Reads the content of a .txt or .jsonl file; what it returns makes texts of it.
 * @param name The file's, for messages; its ending says how the content is read.
 * @param template Of the rows of a .jsonl; by default the fields that they have decide.
 * @throws FileError naming the file, and the line that is wrong.
 */
export function parseTextData(
  name: string,
  bytes: Uint8Array,
  template?: string,
): (tokenizer: ChatTokenizer) => TextData {
  const kind = /\.(txt|jsonl)$/i.exec(name)?.[1]?.toLowerCase();
  if (kind === undefined) throw new FileError(`'${name}' is neither .txt nor .jsonl`);
  let content: string;
  try {
    content = new TextDecoder('utf-8', {fatal: true}).decode(bytes);
  } catch {
    throw new FileError(`'${name}' is not UTF-8 text`);
  }
  if (content.trim() === '') throw new FileError(`'${name}' is empty`);
  if (kind === 'txt') return () => fromPlainText(content);
  return ({renderChat}) =>
    fromJsonLines(content, name, template === undefined ? anyForm(renderChat) : textTemplate(template));
}

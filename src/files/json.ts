/** Something is wrong with a file that was given; the message is one line that names the file. */
export class FileError extends Error {
  override name = 'FileError';
}

export type JsonObject = {[key: string]: unknown};

export const isObject = (value: unknown): value is JsonObject =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/** A text of a file as a message shows it: one short line, whatever it holds. */
function oneLine(text: string): string {
  const escaped = JSON.stringify(text.slice(0, 200)).slice(1, -1);
  return text.length > 200 ? `${escaped}…` : escaped;
}

/** A name of a file's in an error message. */
export const quote = (name: string): string => `'${oneLine(name)}'`;

/** A value of a file's in an error message. What is nested is left out: it may be of any depth and length. */
export function showJson(value: unknown): string {
  if (typeof value === 'string') return `"${oneLine(value)}"`;
  if (Array.isArray(value)) {
    const items = value.slice(0, 8).map((item) => (Array.isArray(item) ? '[…]' : showJson(item)));
    return `[${items.join(',')}${value.length > 8 ? ',…' : ''}]`;
  }
  return isObject(value) ? '{…}' : String(value);
}

/** The first key that an object of valid JSON has twice. */
function duplicateKey(json: string): string | undefined {
  const objects: Set<string>[] = [];
  for (let at = 0; at < json.length; at++) {
    const char = json[at];
    if (char === '{' || char === '[') objects.push(new Set());
    else if (char === '}' || char === ']') objects.pop();
    else if (char === '"') {
      const start = at;
      for (at++; json[at] !== '"'; at++) if (json[at] === '\\') at++;
      let next = at + 1;
      while (/\s/.test(json[next] ?? '')) next++;
      if (json[next] !== ':') continue;
      const key = JSON.parse(json.slice(start, at + 1)) as string;
      const keys = objects.at(-1)!;
      if (keys.has(key)) return key;
      keys.add(key);
    }
  }
  return undefined;
}

/**
 * Parses bytes that must hold a JSON object; `what` names them in the error. A key given twice is an error: readers
 * differ in which of its values they take, so that such a file says one thing here and another elsewhere.
 * @throws FileError
 */
export function parseJsonObject(bytes: Uint8Array, what: string): JsonObject {
  let text: string;
  let value: unknown;
  try {
    text = new TextDecoder('utf-8', {fatal: true}).decode(bytes);
    value = JSON.parse(text);
  } catch {
    throw new FileError(`${what} is not valid JSON`);
  }
  if (!isObject(value)) throw new FileError(`${what} does not hold a JSON object`);
  const key = duplicateKey(text);
  if (key !== undefined) throw new FileError(`${what} has the key ${quote(key)} twice`);
  return value;
}

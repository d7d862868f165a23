import {FileError, quote} from '../files/json.ts';

type Positions = ReadonlySet<number>;
/** Where a part of a pattern can end in a text when it begins at one of these positions. */
type Part = (text: string, from: Positions) => Positions;

/** What stands for one character: a class, an escape, the character itself. */
const CHARACTER = /\[\^?(?:\\.|[^\]\\[])+\]|\\[dwsDWS]|\\[^A-Za-z0-9]|[^\\[\](){}|*+?^$]/y;
/** How often: `*`, `+`, `?` or `{2}`, `{2,}`, `{2,5}`; being lazy (`*?`) changes nothing here. */
const TIMES = /(?:([*+?])|\{(\d{1,3})(,(\d{0,3}))?\})\??/y;
/** Longer patterns are no names of modules. */
const LONGEST = 1000;
/** Steps for all patterns and modules of a file: 2 seconds. 560 modules (80 layers), each named, take a quarter. */
const MOST_STEPS = 1e7;

function repeated(part: Part, least: number, most: number): Part {
  return (text, from) => {
    let reached = from;
    for (let times = 0; times < least; times++) reached = part(text, reached);
    const all = new Set(reached);
    for (let times = least; times < most && reached.size > 0; times++) {
      reached = new Set([...part(text, reached)].filter((position) => !all.has(position)));
      for (const position of reached) all.add(position);
    }
    return all;
  };
}

/**
 * A regular expression of Python's, in the part of its syntax that patterns of module names are written in. Its own
 * matcher, since one of a file's may be made to keep JavaScript's busy for years; this one goes through a text with all
 * ways to match at once, and `spend` may end it.
 */
function parse(pattern: string, spend: (steps: number) => void, refuse: () => never): Part {
  let at = 0;
  const take = (token: RegExp) => {
    token.lastIndex = at;
    const found = token.exec(pattern);
    if (found) at = token.lastIndex;
    return found;
  };
  const alternatives = (): Part => {
    const parts = [sequence()];
    while (take(/\|/y)) parts.push(sequence());
    return (text, from) => new Set(parts.flatMap((part) => [...part(text, from)]));
  };
  const sequence = (): Part => {
    const parts: Part[] = [];
    for (let part = piece(); part; part = piece()) parts.push(part);
    return (text, from) => {
      spend(1);
      let positions = from;
      for (let i = 0; i < parts.length && positions.size > 0; i++) positions = parts[i]!(text, positions);
      return positions;
    };
  };
  const piece = (): Part | undefined => {
    const part = atom();
    const times = part && take(TIMES);
    if (!times) return part;
    const [, sign, least, range, most] = times;
    if (sign !== undefined) return repeated(part, sign === '+' ? 1 : 0, sign === '?' ? 1 : Infinity);
    return repeated(part, Number(least), range === undefined ? Number(least) : Number(most || Infinity));
  };
  const only = (test: (text: string, position: number) => boolean, length: number): Part => {
    return (text, from) => {
      spend(from.size);
      const ends = new Set<number>();
      for (const position of from) if (test(text, position)) ends.add(position + length);
      return ends;
    };
  };
  const atom = (): Part | undefined => {
    if (take(/\^/y)) return only((_, position) => position === 0, 0);
    if (take(/\$/y)) return only((text, position) => position === text.length, 0);
    if (take(/\((?:\?:)?/y)) {
      const inner = alternatives();
      return take(/\)/y) ? inner : refuse();
    }
    const character = take(CHARACTER);
    if (!character) return undefined;
    const one = new RegExp(`^${character[0]}$`);
    return only((text, position) => one.test(text[position] ?? ''), 1);
  };
  const whole = alternatives();
  return at === pattern.length ? whole : refuse();
}

/**
 * Finds the first of some patterns that PEFT would say a module is meant by: one that matches the module's path, or
 * its end after a dot.
 * @param patterns Regular expressions of Python's: names, classes, groups, alternatives, repetitions.
 * @param where What holds them, for messages.
 * @throws FileError for a pattern of another syntax, and from the search for patterns that take too long.
 */
export function firstMatch(patterns: readonly string[], where: string): (path: string) => string | undefined {
  let steps = 0;
  const parsed = patterns.map((pattern): [string, Part] => {
    const refuse = (
      why = 'is not read: only names, classes, groups, alternatives and repetitions are',
    ): never => {
      throw new FileError(`${where}: the pattern ${quote(pattern)} ${why}`);
    };
    const spend = (more: number) => {
      steps += more;
      if (steps > MOST_STEPS) refuse('takes too long to match');
    };
    if (pattern.length > LONGEST) refuse('is too long');
    try {
      return [pattern, parse(pattern, spend, refuse)];
    } catch {
      return refuse(); // [z-a] is what only RegExp refuses
    }
  });
  return (path) => {
    const starts = new Set([0, ...[...path.matchAll(/\./g)].map(({index}) => index + 1)]);
    return parsed.find(([, part]) => part(path, starts).has(path.length))?.[0];
  };
}

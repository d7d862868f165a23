import {readFile} from 'node:fs/promises';
import {join} from 'node:path';
import {expect} from 'chai';

const TEXT = '(?:[^<&]|&(?:\\w+|#\\d+);)*';
const ATTRIBUTES = '((?:\\s+[\\w:-]+="(?:[^<&"]|&(?:\\w+|#\\d+);)*")*)';
/** Text, then one tag; what XML allows besides (comments, processing instructions) a chart has no use for. */
const PIECE = new RegExp(`(${TEXT})<(/?)([a-zA-Z][\\w-]*)${ATTRIBUTES}\\s*(/?)>`, 'y');
/** Those that every XML parser knows; HTML's others, as &nbsp;, it refuses. */
const ENTITIES = ['amp', 'lt', 'gt', 'quot', 'apos'];

export interface XmlElement {
  name: string;
  attributes: Record<string, string>;
  /** The text up to its first child or its end. */
  text: string;
}

/** The elements of an XML document in order of their start; fails if it is not well-formed. */
export function parseXml(source: string): XmlElement[] {
  const elements: XmlElement[] = [];
  const open: XmlElement[] = [];
  let at = 0;
  for (const [, entity] of source.matchAll(/&(\w+);/g)) expect(ENTITIES).to.include(entity);
  do {
    PIECE.lastIndex = at;
    const match = PIECE.exec(source);
    if (!match) return expect.fail(`no XML at ${at}: ${source.slice(at, at + 60)}`);
    const [piece, text, closing, name, attributes, empty] = match as unknown as string[];
    at += piece!.length;
    if (elements.at(-1) === open.at(-1) && open.length > 0) open.at(-1)!.text = text!;
    if (closing) expect(open.pop()?.name, `what </${name}> ends`).to.equal(name);
    else {
      const pairs = [...attributes!.matchAll(/([\w:-]+)="([^"]*)"/g)].map(([, key, value]) => [key, value]);
      const names = pairs.map(([key]) => key);
      expect(new Set(names).size, `attributes of <${name}>: ${names}`).to.equal(names.length);
      const element = {name: name!, attributes: Object.fromEntries(pairs), text: ''};
      elements.push(element);
      if (!empty) open.push(element);
    }
  } while (open.length > 0);
  expect(source.slice(at).trim(), 'after the root').to.equal('');
  return elements;
}

const COLOURS = {celora: '#c2410c', exact: '#1d4ed8'};

/** The points [x, y] of both lines of a method in a chart, the faint one and the running mean; none if it is not there. */
export function curves(svg: string, method: keyof typeof COLOURS): [number, number][][] {
  const elements = parseXml(svg);
  expect(elements[0]).to.deep.include({name: 'svg'});
  expect(elements[0]!.attributes.xmlns).to.equal('http://www.w3.org/2000/svg');
  return elements
    .filter(({name, attributes}) => name === 'path' && attributes.stroke === COLOURS[method])
    .map(({attributes}) =>
      attributes
        .d!.slice(1)
        .replace('Z', '')
        .split('L')
        .map((point) => point.split(',').map(Number) as [number, number]),
    );
}

export const readChart = (folder: string): Promise<string> => readFile(join(folder, 'loss.svg'), 'utf8');

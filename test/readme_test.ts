import {mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync} from 'node:fs';
import {join, resolve} from 'node:path';
import {expect} from 'chai';
import {runNode, runTsc} from './support/command.ts';

const ROOT = resolve(import.meta.dirname, '..');
const README = readFileSync(join(ROOT, 'README.md'), 'utf8');

/** The blocks of TypeScript and JavaScript, as programs that import the sources of this package from two folders up. */
const SNIPPETS = [...README.matchAll(/^```(ts|js)\r?\n(.*?)^```/gms)].map(
  ({1: language, 2: code, index}, i) => ({
    title: `line ${README.slice(0, index).split('\n').length}`,
    file: `snippet_${i}.${language}`,
    code: code!
      .replaceAll("'tfjs-celora'", "'../../src/index.ts'")
      .replaceAll("'tfjs-celora/node'", "'../../src/node.ts'"),
  }),
);

describe('README', () => {
  let folder: string;

  before(() => {
    mkdirSync(join(ROOT, '.cache'), {recursive: true});
    folder = mkdtempSync(join(ROOT, '.cache', 'readme_'));
    for (const {file, code} of SNIPPETS) writeFileSync(join(folder, file), code);
    const config = {extends: '../../tsconfig.json', include: ['*.ts']};
    writeFileSync(join(folder, 'tsconfig.json'), JSON.stringify(config));
  });

  after(() => rmSync(folder, {recursive: true}));

  it('has snippets of the three ways to use the package', () => {
    for (const name of ['applyCELoRA', 'celoraDense', 'registerCELoRAGradients']) {
      expect(SNIPPETS.some(({code}) => code.includes(`${name}(`))).to.equal(true, name);
    }
  });

  it('has snippets that the compiler accepts', () => runTsc(join(folder, 'tsconfig.json'), ROOT));

  for (const {title, file} of SNIPPETS) {
    it(`has a snippet that runs in ${title}`, () => runNode(join(folder, file), folder));
  }
});

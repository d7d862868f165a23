import type {TextSource} from '../protocol.ts';
import {byId} from './dom.ts';

type Kind = TextSource['kind'];
const KINDS: readonly Kind[] = ['built-in', 'typed', 'file'];

/** Where the text to learn comes from. */
export function mountText(): {read: () => TextSource} {
  const radios = [...document.querySelectorAll<HTMLInputElement>('input[name="text"]')];
  const area = byId('text-typed').querySelector('textarea')!;
  const drop = byId('text-file');
  const input = drop.querySelector('input')!;
  const chosen = () => radios.find(({checked}) => checked)!.value as Kind;
  let file: File | undefined;

  const choose = (kind: Kind) => {
    for (const radio of radios) radio.checked = radio.value === kind;
    for (const one of KINDS) byId(`text-${one}`).hidden = one !== kind;
  };
  const take = (given: File | undefined) => {
    if (!given) return;
    file = given;
    drop.querySelector('output')!.textContent = given.name;
    choose('file');
  };

  for (const radio of radios) radio.addEventListener('change', () => choose(chosen()));
  input.addEventListener('change', () => take(input.files?.[0]));
  // dropped anywhere on the section, whatever is chosen
  const section = drop.closest('section')!;
  section.addEventListener('dragover', (event) => {
    event.preventDefault();
    drop.classList.add('over');
  });
  section.addEventListener('dragleave', () => drop.classList.remove('over'));
  section.addEventListener('drop', (event) => {
    event.preventDefault();
    drop.classList.remove('over');
    take(event.dataTransfer?.files[0]);
  });

  return {
    read() {
      const kind = chosen();
      if (kind === 'typed') return {kind, text: area.value};
      if (kind === 'file' && file) return {kind, file};
      return {kind: 'built-in'};
    },
  };
}

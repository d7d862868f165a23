import type {TextSource} from '../protocol.ts';
import {byId} from './dom.ts';
import {onFiles} from './drop.ts';

type Kind = TextSource['kind'];
const KINDS: readonly Kind[] = ['built-in', 'typed', 'file'];

/** Where the text to learn comes from. `read` gives undefined where there is none yet, and shows what is missing. */
export function mountText(): {read: () => TextSource | undefined} {
  const radios = [...document.querySelectorAll<HTMLInputElement>('input[name="text"]')];
  const area = byId('text-typed').querySelector('textarea')!;
  const drop = byId('text-file');
  const chosen = () => radios.find(({checked}) => checked)!.value as Kind;
  let file: File | undefined;

  const choose = (kind: Kind) => {
    for (const radio of radios) radio.checked = radio.value === kind;
    for (const one of KINDS) byId(`text-${one}`).hidden = one !== kind;
  };
  for (const radio of radios) radio.addEventListener('change', () => choose(chosen()));
  onFiles(drop, ([given]) => {
    file = given;
    drop.querySelector('output')!.textContent = given!.name;
    choose('file');
  });

  return {
    read() {
      const kind = chosen();
      if (kind === 'built-in') return {kind};
      if (kind === 'typed' && area.value.trim() !== '') return {kind, text: area.value};
      if (kind === 'file' && file) return {kind, file};
      (kind === 'typed' ? area : drop.querySelector('input')!).focus();
      return undefined;
    },
  };
}

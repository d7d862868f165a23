import {FIELDS, type Field, problemsOf, SETTING_NAMES, type Settings} from '../settings.ts';
import type {WorkerClient} from './client.ts';
import {byId, make} from './dom.ts';

type Control = HTMLInputElement | HTMLSelectElement;

function controlOf({value, options}: Field, id: string): Control {
  if (options) {
    const choices = options.map((option) => make('option', {value: String(option)}, String(option)));
    const select = make('select', {id}, ...choices);
    select.value = String(value);
    return select;
  }
  if (typeof value === 'boolean') return make('input', {id, type: 'checkbox', checked: value});
  if (typeof value === 'number')
    return make('input', {id, type: 'number', step: 'any', value: String(value)});
  return make('input', {id, type: 'text', value, spellcheck: false});
}

const readControl = (control: Control, {value}: Field): Settings[keyof Settings] => {
  if (control instanceof HTMLInputElement && typeof value === 'boolean') return control.checked;
  if (control instanceof HTMLInputElement && typeof value === 'number') return control.valueAsNumber;
  return control.value;
};

export interface SettingsPanel {
  /** The settings as they are, right or wrong. */
  current: () => Settings;
  /** Undefined where one is wrong, which is then shown. */
  read: () => Settings | undefined;
}

/** The settings, each with its explanation. */
export function mountSettings(client: WorkerClient): SettingsPanel {
  const form = byId<HTMLFormElement>('settings');
  const controls = new Map<keyof Settings, {control: Control; problem: HTMLElement}>();
  let maxPositions = Number.POSITIVE_INFINITY;
  for (const name of SETTING_NAMES) {
    const field: Field = FIELDS[name];
    const id = `setting-${name}`;
    const control = controlOf(field, id);
    const about = make('small', {id: `${id}-about`}, field.about);
    const problem = make('small', {id: `${id}-problem`, className: 'problem'});
    control.setAttribute('aria-describedby', `${about.id} ${problem.id}`);
    const label = make('label', {htmlFor: id}, field.label);
    form.append(make('div', {className: 'field'}, label, control, about, problem));
    controls.set(name, {control, problem});
  }

  const current = () =>
    Object.fromEntries(
      [...controls].map(([name, {control}]) => [name, readControl(control, FIELDS[name])]),
    ) as unknown as Settings;
  const check = (settings: Settings): boolean => {
    const problems = problemsOf(settings, maxPositions);
    for (const [name, {control, problem}] of controls) {
      problem.textContent = problems[name] ?? '';
      control.toggleAttribute('aria-invalid', problems[name] !== undefined);
    }
    return Object.keys(problems).length === 0;
  };
  form.addEventListener('input', () => check(current()));
  form.addEventListener('submit', (event) => event.preventDefault());
  client.on('loaded', ({info}) => {
    maxPositions = info.maxPositions;
    check(current());
  });

  return {
    current,
    read() {
      const settings = current();
      if (check(settings)) return settings;
      form.closest('details')!.open = true;
      form.querySelector<HTMLElement>('[aria-invalid]')?.focus();
      return undefined;
    },
  };
}

import type {Method} from '../protocol.ts';
import {byId, make} from './dom.ts';
import {duration, percent} from './units.ts';

export const TITLES: Record<Method, string> = {celora: 'CE-LoRA', exact: 'Exact LoRA'};

/** The table of held-out losses: of the base, and of what each method made of it. */
export class Results {
  private readonly table = byId<HTMLTableElement>('results');

  /** @param baseLoss Unknown where a run goes on. */
  begin(baseLoss: number | undefined): void {
    this.table.tBodies[0]!.replaceChildren();
    this.table.hidden = true;
    if (baseLoss !== undefined) this.add('Base model', [baseLoss.toFixed(3), '', '']);
  }

  end(method: Method, heldOut: number | undefined, seconds: number, savedShare: number | undefined): void {
    const saved = savedShare === undefined ? '' : percent(savedShare);
    this.add(TITLES[method], [heldOut?.toFixed(3) ?? '', duration(seconds), saved]);
  }

  private add(title: string, values: string[]): void {
    const cells = values.map((value) => make('td', {}, value || '–'));
    this.table.tBodies[0]!.append(make('tr', {}, make('th', {scope: 'row'}, title), ...cells));
    this.table.hidden = false;
  }
}

import type {LayerSelection} from '../protocol.ts';
import {make} from './dom.ts';

interface Strip {
  canvas: HTMLCanvasElement;
  note: HTMLElement;
}

/** `model.layers.3.self_attn.q_proj` as `3 q`. */
const shortName = (layer: string) => layer.replace(/^.*layers\.(\d+)\..*?(\w+?)(_proj)?$/, '$1 $2');

/** Which columns each layer keeps, a line a column. */
export class Strips {
  private readonly root: HTMLElement;
  private readonly strips = new Map<string, Strip>();

  constructor(root: HTMLElement) {
    this.root = root;
  }

  begin(layers: readonly string[]): void {
    this.root.replaceChildren();
    this.strips.clear();
    for (const layer of layers) {
      const strip = {canvas: make('canvas', {width: 1, height: 1}), note: make('span', {}, '–')};
      this.strips.set(layer, strip);
      this.root.append(make('span', {title: layer}, shortName(layer)), strip.canvas, strip.note);
    }
  }

  show(selections: readonly LayerSelection[]): void {
    requestAnimationFrame(() => {
      const style = getComputedStyle(document.documentElement);
      for (const selection of selections) this.draw(selection, style.getPropertyValue('--accent'));
    });
  }

  private draw({layer, units, kept}: LayerSelection, colour: string): void {
    const strip = this.strips.get(layer);
    if (!strip) return;
    strip.canvas.width = units;
    const context = strip.canvas.getContext('2d')!;
    context.fillStyle = colour;
    for (const column of kept) context.fillRect(column, 0, 1, 1);
    strip.note.textContent = `${kept.length} of ${units}`;
  }
}

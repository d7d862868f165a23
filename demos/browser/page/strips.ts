import type {LayerSelection} from '../protocol.ts';
import {make} from './dom.ts';
import {percent} from './units.ts';

/** Lines of a strip: columns of wide layers share them. */
const MAX_LINES = 512;
const HEIGHT = 24;

interface Strip {
  canvas: HTMLCanvasElement;
  note: HTMLElement;
  selection?: LayerSelection;
}

/** `model.layers.3.self_attn.q_proj` as `3 q`. */
const shortName = (layer: string) => layer.replace(/^.*layers\.(\d+)\..*?(\w+?)(_proj)?$/, '$1 $2');

/** Which columns each layer keeps: a line a column, as high as its score. */
export class Strips {
  private readonly root: HTMLElement;
  private readonly strips = new Map<string, Strip>();
  private readonly due = new Set<Strip>();

  constructor(root: HTMLElement) {
    this.root = root;
    matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => {
      for (const strip of this.strips.values()) this.plan(strip);
    });
  }

  begin(layers: readonly string[]): void {
    // those of a run that goes on are still true
    if (layers.join() === [...this.strips.keys()].join()) return;
    this.root.replaceChildren();
    this.strips.clear();
    for (const layer of layers) {
      const canvas = make('canvas', {width: 1, height: HEIGHT, role: 'img', ariaLabel: layer});
      const strip = {canvas, note: make('span', {}, '–')};
      this.strips.set(layer, strip);
      this.root.append(make('span', {title: layer}, shortName(layer)), canvas, strip.note);
    }
  }

  show(selections: readonly LayerSelection[]): void {
    for (const selection of selections) {
      const strip = this.strips.get(selection.layer);
      if (!strip) continue;
      strip.selection = selection;
      this.plan(strip);
    }
    // the layers that approximate select in the same step
    for (const {note, selection} of this.strips.values()) if (!selection) note.textContent = 'exact';
  }

  /** One strip a frame, so that no frame is late however many layers there are. */
  private plan(strip: Strip): void {
    this.due.add(strip);
    if (this.due.size === 1) requestAnimationFrame(() => this.drawNext());
  }

  private drawNext(): void {
    const style = getComputedStyle(document.documentElement);
    const colours = {kept: style.getPropertyValue('--accent'), other: style.getPropertyValue('--left-out')};
    const end = performance.now() + 4;
    for (const strip of this.due) {
      draw(strip, colours);
      this.due.delete(strip);
      if (performance.now() > end) break;
    }
    if (this.due.size > 0) requestAnimationFrame(() => this.drawNext());
  }
}

function draw({canvas, note, selection}: Strip, colours: {kept: string; other: string}): void {
  if (!selection) return;
  const {scores, kept, energy, layer} = selection;
  const isKept = new Set(kept);
  const lines = Math.min(scores.length, MAX_LINES);
  const top = scores.reduce((most, score) => Math.max(most, score), 0) || 1;
  canvas.width = lines;
  const context = canvas.getContext('2d')!;
  for (let line = 0; line < lines; line++) {
    const begin = Math.floor((line * scores.length) / lines);
    const end = Math.floor(((line + 1) * scores.length) / lines);
    let best = begin;
    for (let column = begin; column < end; column++) if (scores[column]! > scores[best]!) best = column;
    const height = Math.max(2, (HEIGHT * scores[best]!) / top);
    context.fillStyle = isKept.has(best) ? colours.kept : colours.other;
    context.fillRect(line, HEIGHT - height, 1, height);
  }
  note.textContent = `${kept.length} of ${scores.length}: ${percent(energy)}`;
  canvas.ariaLabel = `${layer}: ${kept.length} of ${scores.length} columns kept, ${percent(energy)} of the score energy`;
}

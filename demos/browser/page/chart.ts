import uPlot from 'uplot';
import 'uplot/dist/uPlot.min.css';
import type {Method} from '../protocol.ts';

const METHODS: readonly Method[] = ['celora', 'exact'];
const HEIGHT = 260;

const colour = (name: string) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

/** Training loss of both methods by step, drawn at most once a frame. */
export class LossChart {
  private readonly root: HTMLElement;
  private readonly losses: Record<Method, number[]> = {celora: [], exact: []};
  private plot: uPlot | undefined;
  private isDue = false;

  constructor(root: HTMLElement) {
    this.root = root;
    new ResizeObserver(() => this.plot?.setSize({width: root.clientWidth, height: HEIGHT})).observe(root);
    matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => this.rebuild());
    this.rebuild();
  }

  clear(): void {
    for (const method of METHODS) this.losses[method] = [];
    this.draw();
  }

  /** The losses of a method so far. */
  set(method: Method, losses: number[]): void {
    this.losses[method] = [...losses];
    this.draw();
  }

  add(method: Method, step: number, loss: number): void {
    this.losses[method][step - 1] = loss;
    this.draw();
  }

  private data(): uPlot.AlignedData {
    const length = Math.max(...METHODS.map((method) => this.losses[method].length));
    const steps = Array.from({length}, (_, i) => i + 1);
    return [steps, ...METHODS.map((method) => steps.map((step) => this.losses[method][step - 1] ?? null))];
  }

  private draw(): void {
    if (this.isDue) return;
    this.isDue = true;
    requestAnimationFrame(() => {
      this.isDue = false;
      this.plot?.setData(this.data());
    });
  }

  /** Colours are read when a plot is made. */
  private rebuild(): void {
    this.plot?.destroy();
    const axis = {
      stroke: colour('--quiet'),
      grid: {stroke: colour('--line'), width: 1},
      ticks: {stroke: colour('--line'), width: 1},
    };
    const line = (label: string, name: string, dash: number[]) => ({
      label,
      stroke: colour(name),
      width: 2,
      dash,
      points: {show: false},
      value: (_: uPlot, loss: number | null) => loss?.toFixed(3) ?? '–',
    });
    this.plot = new uPlot(
      {
        width: this.root.clientWidth,
        height: HEIGHT,
        scales: {x: {time: false}},
        axes: [
          {...axis, label: 'step'},
          {...axis, label: 'loss'},
        ],
        series: [{label: 'step'}, line('CE-LoRA', '--accent', []), line('exact LoRA', '--exact', [4, 4])],
      },
      this.data(),
      this.root,
    );
  }
}

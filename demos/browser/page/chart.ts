import uPlot from 'uplot';
import 'uplot/dist/uPlot.min.css';
import type {Method} from '../protocol.ts';

/** What the line of a method is called and looks like. */
const LINES: Record<Method, {label: string; stroke: string; dash: number[]}> = {
  celora: {label: 'CE-LoRA', stroke: '--accent', dash: []},
  exact: {label: 'exact LoRA', stroke: '--exact', dash: [4, 4]},
};
const HEIGHT = 260;
/** From one line of the grid to the next: whole steps. */
const STEPS = [1, 2, 5]
  .flatMap((digit) => Array.from({length: 7}, (_, power) => digit * 10 ** power))
  .sort((a, b) => a - b);

const colour = (name: string) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

/** Training loss of methods by step, drawn at most once a frame. */
export class LossChart {
  private readonly root: HTMLElement;
  private readonly methods: readonly Method[];
  private readonly losses: Record<Method, number[]> = {celora: [], exact: []};
  private plot: uPlot | undefined;
  private isDue = false;

  constructor(root: HTMLElement, methods: readonly Method[]) {
    this.root = root;
    this.methods = methods;
    new ResizeObserver(() => this.plot?.setSize({width: root.clientWidth, height: HEIGHT})).observe(root);
    matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => this.rebuild());
    this.rebuild();
  }

  clear(): void {
    for (const method of this.methods) this.losses[method] = [];
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
    const length = Math.max(...this.methods.map((method) => this.losses[method].length));
    const steps = Array.from({length}, (_, i) => i + 1);
    return [
      steps,
      ...this.methods.map((method) => steps.map((step) => this.losses[method][step - 1] ?? null)),
    ];
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
    const line = (method: Method): uPlot.Series => ({
      ...LINES[method],
      stroke: colour(LINES[method].stroke),
      width: 2,
      points: {show: false},
      value: (_, loss) => loss?.toFixed(3) ?? '–',
    });
    this.plot = new uPlot(
      {
        width: this.root.clientWidth,
        height: HEIGHT,
        scales: {x: {time: false}},
        axes: [
          {...axis, label: 'step', incrs: STEPS},
          {...axis, label: 'loss'},
        ],
        series: [{label: 'step'}, ...this.methods.map(line)],
      },
      this.data(),
      this.root,
    );
  }
}

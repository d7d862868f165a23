/** What the page is at; it decides which controls can be used. */
export type PhaseName = 'starting' | 'empty' | 'ready' | 'sampling' | 'training' | 'paused' | 'broken';

/** The page's phase. Every control with `data-when` can be used in the phases that it names. */
export class Phase {
  private name: PhaseName = 'starting';

  /** What the page is at when nothing is under way: 'empty' without a model, 'paused' where there is a run to continue. */
  rest: 'empty' | 'ready' | 'paused' = 'empty';

  get current(): PhaseName {
    return this.name;
  }

  /** What was under way is done. */
  settle(): void {
    this.enter(this.rest);
  }

  enter(name: PhaseName): void {
    this.name = name;
    document.body.dataset.phase = name;
    type Control = HTMLButtonElement | HTMLInputElement | HTMLSelectElement;
    for (const control of document.querySelectorAll<Control>('[data-when]')) {
      control.disabled = !control.dataset.when!.split(' ').includes(name);
    }
  }
}

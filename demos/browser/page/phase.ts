/** What the page is at; it decides which controls can be used. */
export type PhaseName = 'starting' | 'ready' | 'sampling' | 'training' | 'paused' | 'broken';

/** The page's phase. Every control with `data-when` can be used in the phases that it names. */
export class Phase {
  private name: PhaseName = 'starting';

  /** What the page is at when nothing is under way: 'paused' where there is a run to continue. */
  rest: 'ready' | 'paused' = 'ready';

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
    for (const control of document.querySelectorAll<HTMLButtonElement | HTMLSelectElement>('[data-when]')) {
      control.disabled = !control.dataset.when!.split(' ').includes(name);
    }
  }
}

/** What the page is at; it decides which controls can be used. */
export type PhaseName = 'starting' | 'ready' | 'sampling' | 'training' | 'paused' | 'broken';

/** The page's phase. Every control with `data-when` can be used in the phases that it names. */
export class Phase {
  private name: PhaseName = 'starting';

  get current(): PhaseName {
    return this.name;
  }

  enter(name: PhaseName): void {
    this.name = name;
    document.body.dataset.phase = name;
    for (const control of document.querySelectorAll<HTMLButtonElement>('[data-when]')) {
      control.disabled = !control.dataset.when!.split(' ').includes(name);
    }
  }
}

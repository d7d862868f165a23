/** Something that the user can mend. It is shown as it is, and then `mend`: the command, or the advice, that helps. */
export class CliError extends Error {
  override name = 'CliError';
  readonly mend: string;

  constructor(message: string, mend: string, options?: ErrorOptions) {
    super(message, options);
    this.mend = mend;
  }
}

/** Something the user can mend: shown as one line, exit code 2. */
export class UserError extends Error {
  override name = 'UserError';
}

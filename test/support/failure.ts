/** The message with which `promise` fails; '' if it does not. */
export const failure = (promise: Promise<unknown>): Promise<string> =>
  promise.then(
    () => '',
    (error: Error) => error.message,
  );

/** What an installer gave; `dispose` takes it out again. */
export interface Installation {
  /** Once every installation of the same kind is disposed, tfjs is as it was; a second call does nothing. */
  dispose(): void;
}

/**
 * An installer that may be called by several, who do not know of each other: the first call installs, the last
 * `dispose` restores.
 * @param install Returns what restores.
 */
export function sharedInstall(install: () => () => void): () => Installation {
  let users = 0;
  let restore = () => {};
  return () => {
    if (users === 0) restore = install();
    users++;
    let held = true;
    return {
      dispose() {
        if (!held) return;
        held = false;
        users--;
        if (users === 0) restore();
      },
    };
  };
}

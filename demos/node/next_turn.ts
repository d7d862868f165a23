/** Lets signals and timers through, which a backend whose reads are immediate (wasm, cpu) never does by itself. */
export const nextTurn = () => new Promise<void>((resolve) => setImmediate(resolve));

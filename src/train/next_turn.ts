/**
 * Lets events, signals and timers through, which a backend whose reads are immediate (cpu, wasm) never does by itself. A
 * message, since timers of a page wait 4 ms, and a second where the page is in the background.
 */
export const nextTurn = (): Promise<void> =>
  new Promise((resolve) => {
    const {port1, port2} = new MessageChannel();
    port1.onmessage = () => {
      port1.close();
      resolve();
    };
    port2.postMessage(null);
  });

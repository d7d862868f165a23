/**
 * For how long a wait asks in every turn of the event loop, in ms: what is read back from a GPU that is done is there sooner.
 * Afterwards the timer's millisecond is little beside what has passed.
 */
const EAGER_MS = 5;

type SetImmediate = (callback: (...args: unknown[]) => void, ...args: unknown[]) => unknown;

/** Dawn's question is a native function without a name, and takes nothing; a promise's resolver is one that takes a value. */
const isQuestion = (callback: unknown, args: unknown[]): callback is () => void =>
  typeof callback === 'function' &&
  args.length === 0 &&
  callback.name === '' &&
  callback.length === 0 &&
  Function.prototype.toString.call(callback) === 'function () { [native code] }';

/**
 * setImmediate, but for the question that Dawn's binding for Node asks while the device works: whether it is done, once in
 * every turn of the event loop, each time by a new function (crbug.com/dawn/1127). That takes a core, which a software
 * adapter needs, and makes so much garbage that collecting it stops the thread for up to 0.1 s. After EAGER_MS of a wait
 * this one asks once a millisecond.
 *
 * Steps that are waited for one by one, with every turn and with this: on SwiftShader, 2 cores, a small Llama 1.19 and 0.70 s,
 * of which 0.25 s and 1 ms are collection of garbage; on an H100, hidden 4096, 450 ms on average (423–493) and 424
 * (423–425); hidden 2048, medians of 58.5 and 59.2 ms.
 */
export function patientSetImmediate(
  stock: SetImmediate,
  sleep: (callback: () => void, ms: number) => unknown = setTimeout,
  now: () => number = () => performance.now(),
): SetImmediate {
  let begun = 0;
  let asking = false;
  return (callback, ...args) => {
    if (!isQuestion(callback, args)) return stock(callback, ...args);
    // a question asked from within one goes on with its wait
    if (!asking) begun = now();
    const ask = () => {
      asking = true;
      try {
        callback();
      } finally {
        asking = false;
      }
    };
    return now() - begun < EAGER_MS ? stock(ask) : sleep(ask, 1);
  };
}

let isInstalled = false;

/**
 * Puts it in the place of the global one, once. Everything else that is given to setImmediate goes on to Node's. Not on Windows,
 * where a timer's millisecond may be sixteen.
 */
export function installPatientPolling(): void {
  if (isInstalled || process.platform === 'win32' || globalThis.setImmediate === undefined) return;
  isInstalled = true;
  const stock = globalThis.setImmediate;
  const patient = patientSetImmediate(stock as SetImmediate);
  // its name, its length and what util.promisify looks for
  globalThis.setImmediate = Object.defineProperties(
    patient,
    Object.getOwnPropertyDescriptors(stock),
  ) as typeof stock;
}

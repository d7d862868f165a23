import threadScript from '@tensorflow/tfjs-backend-wasm/wasm-out/tfjs-backend-wasm-threaded-simd.js?url';

/**
 * Runs `start` while threads of tfjs's wasm backend load their script from its file. By itself tfjs gives them the source
 * of a function of its own, which no longer runs by itself once a bundler has renamed what it refers to.
 */
export async function withThreads(start: () => Promise<boolean>): Promise<boolean> {
  const {Worker: Stock} = globalThis;
  const urlOrBlob = new URL(threadScript, import.meta.url).href;
  globalThis.Worker = class extends Stock {
    override postMessage(
      message: {cmd?: string},
      options?: Transferable[] | StructuredSerializeOptions,
    ): void {
      const changed = message.cmd === 'load' ? {...message, urlOrBlob} : message;
      super.postMessage(changed, options as StructuredSerializeOptions);
    }
  };
  try {
    return await start();
  } finally {
    globalThis.Worker = Stock;
  }
}

import {env, getBackend} from '@tensorflow/tfjs-core';

/**
 * Multiply-adds of an exact activation gradient below which approximating it saves no time, so that it stays exact;
 * negative, as by default: what was measured on the backend at hand.
 */
export const BREAK_EVEN_FLAG = 'CELORA_BREAK_EVEN';
env().registerFlag(BREAK_EVEN_FLAG, () => -1);

const measured = new Map<string, () => number>();

/** Says what was measured on a backend; 0, as where nothing was: approximate whatever saves multiply-adds. */
export function setBreakEven(backendName: string, multiplyAdds: () => number): void {
  measured.set(backendName, multiplyAdds);
}

/** Of the current backend. */
export function breakEven(): number {
  const chosen = env().getNumber(BREAK_EVEN_FLAG);
  return chosen >= 0 ? chosen : (measured.get(getBackend())?.() ?? 0);
}

import {show} from '../config.ts';

/**
 * A learning rate for every step of a run: a plain function of the step's number (from 0) and of how many steps there
 * are, so that a run that goes on from a saved state needs nothing but its position.
 */
export type Schedule = (step: number, steps: number) => number;

export interface ScheduleOptions {
  /** Steps of linear warm-up; below 1, a fraction of all steps, rounded. Default 0. */
  warmUp?: number;
  /** What the rate falls to at the end, as a fraction of its peak, 0 ≤ floor ≤ 1. Default 0. */
  floor?: number;
}

/** @param decay Of how far the run is past its warm-up, 0 … 1; from 1 down to 0. */
function schedule(
  owner: string,
  peak: number,
  {warmUp = 0, floor = 0}: ScheduleOptions,
  decay: (through: number) => number,
): Schedule {
  const refuse = (name: string, wants: string, value: unknown): never => {
    throw new Error(`${owner}: ${name} must be ${wants}, but is ${show(value)}`);
  };
  if (!(peak >= 0 && peak < Number.POSITIVE_INFINITY)) refuse('peak', 'a finite number ≥ 0', peak);
  if (!(warmUp >= 0 && (warmUp < 1 || Number.isSafeInteger(warmUp)))) {
    refuse('warmUp', 'an integer of steps ≥ 0, or a fraction below 1', warmUp);
  }
  if (!(floor >= 0 && floor <= 1)) refuse('floor', 'a number with 0 ≤ floor ≤ 1', floor);
  return (step, steps) => {
    const warm = warmUp < 1 ? Math.round(warmUp * steps) : warmUp;
    if (step < warm) return (peak * (step + 1)) / warm;
    const through = Math.min(1, (step - warm) / Math.max(1, steps - warm));
    return peak * (floor + (1 - floor) * decay(through));
  };
}

/**
 * Linear warm-up to `peak`, then a straight line down to floor · peak, which the step after the last would have.
 * @param peak The highest rate, ≥ 0.
 * @throws Error naming the option and the value.
 */
export const linearSchedule = (peak: number, options: ScheduleOptions = {}): Schedule =>
  schedule('linearSchedule', peak, options, (through) => 1 - through);

/**
 * Linear warm-up to `peak`, then half a cosine down to floor · peak (Loshchilov and Hutter, arXiv 1608.03983, without
 * restarts).
 * @param peak The highest rate, ≥ 0.
 * @throws Error naming the option and the value.
 */
export const cosineSchedule = (peak: number, options: ScheduleOptions = {}): Schedule =>
  schedule('cosineSchedule', peak, options, (through) => (1 + Math.cos(Math.PI * through)) / 2);

const scaled = (value: number, units: readonly string[], digits = 1): string => {
  let power = 0;
  while (value >= 1000 && power < units.length - 1) {
    value /= 1000;
    power++;
  }
  return `${value.toFixed(power === 0 ? 0 : digits)}\u00a0${units[power]}`.trim();
};

export const bytes = (value: number): string => scaled(value, ['B', 'kB', 'MB', 'GB']);

export const count = (value: number): string => scaled(value, ['', 'k', 'M', 'G', 'T']);

export const percent = (share: number): string => `${Math.round(100 * share)}\u00a0%`;

export function duration(seconds: number): string {
  const whole = Math.max(0, Math.round(seconds));
  const [minutes, rest] = [Math.floor(whole / 60), whole % 60];
  if (minutes < 60) return minutes === 0 ? `${rest}\u00a0s` : `${minutes}\u00a0min ${rest}\u00a0s`;
  return `${Math.floor(minutes / 60)}\u00a0h ${minutes % 60}\u00a0min`;
}

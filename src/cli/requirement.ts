/** A package of Python's and the versions of it that will do, as in '<13.0,>=12.5.3.2'. */
export interface Requirement {
  name: string;
  versions: string;
}

export const requirementText = ({name, versions}: Requirement): string => `${name}${versions}`;

/** A name as package indexes compare it (PEP 503). */
export const normalizeName = (name: string): string => name.toLowerCase().replace(/[-_.]+/g, '-');

/** Negative, zero or positive, as release `a` is older than `b`, the same or newer: '12.9' < '12.10'. */
export function compareVersions(a: string, b: string): number {
  const [left, right] = [a, b].map((version) => version.split('.').map(Number)) as [number[], number[]];
  for (let i = 0; i < Math.max(left.length, right.length); i++) {
    const difference = (left[i] ?? 0) - (right[i] ?? 0);
    if (difference !== 0) return difference;
  }
  return 0;
}

const COMPARISONS: Record<string, (difference: number) => boolean> = {
  '==': (difference) => difference === 0,
  '!=': (difference) => difference !== 0,
  '>=': (difference) => difference >= 0,
  '<=': (difference) => difference <= 0,
  '>': (difference) => difference > 0,
  '<': (difference) => difference < 0,
};

/** Whether a release is among `versions`. Pre-releases never are. @throws Error at an operator not used here (~=, ===). */
export function isAmong(version: string, versions: string): boolean {
  if (!/^\d+(\.\d+)*$/.test(version)) return false;
  return versions.split(',').every((clause) => {
    const {operator, bound} = /^\s*(?<operator>[=!<>~]+)\s*(?<bound>[\d.]+)\s*$/.exec(clause)?.groups ?? {};
    const holds = COMPARISONS[operator ?? ''];
    if (holds === undefined || bound === undefined)
      throw new Error(`cannot read the requirement '${clause}'`);
    return holds(compareVersions(version, bound));
  });
}

/** What a package requires for one of its extras, from the METADATA of its wheel. */
export function requirementsOfExtra(metadata: string, extra: string): Requirement[] {
  return [
    ...metadata.matchAll(
      /^Requires-Dist: ([\w.-]+) *\(?([^;()\r\n]*)\)? *; *extra == ['"]([^'"]+)['"]\r?$/gm,
    ),
  ]
    .filter(([, , , of]) => of === extra)
    .map(([, name, versions]) => ({name: normalizeName(name!), versions: versions!.trim()}));
}

/** Whether tests run that take long: only npm run test:browser has them. */
export const SLOW_TOO = process.env.CELORA_BROWSER_TESTS === 'all';

/** Says that a test is left out for that. */
export const skipSlow = (title: string): Mocha.Test => it.skip(`${title}: slow, npm run test:browser has it`);

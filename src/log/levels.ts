/** How much a line matters, most first. `noise` needs `verbose` 2, `debug` needs 1. */
export type Level = 'fatal' | 'error' | 'warn' | 'info' | 'debug' | 'noise';

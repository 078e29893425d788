// How long is waited for what may never come.

export const LIMIT_MS = 45_000; // what has not come by then, also on a busy machine, never comes
export const PRESENTED_MS = 1500; // how long after a seek a frame may take to be presented, on a busy machine
export const LATE = Symbol("late");

/** Resolves with LATE after so long. */
export const late = (ms) => new Promise((resolve) => setTimeout(resolve, ms, LATE));

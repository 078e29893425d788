// Keeps hls.js from waiting for what it does not load any more.
//
// Before it has taken its first piece, hls.js that is told of a header that it has ceased to load ceases to load the
// piece that it asked for since, too. It then waits for that piece until its time is up, which are 20 seconds.

/** A class that loads for hls.js, by another one: that the loading of a header was ended is not told. What ended it
 * knows. */
export function endingHeaders(Loader) {
  return class extends Loader {
    load(context, config, callbacks) {
      const told = context.frag?.sn === "initSegment" ? { ...callbacks, onAbort: undefined } : callbacks;
      super.load(context, config, told);
    }
  };
}

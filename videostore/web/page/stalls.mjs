// Has what stalls on its way asked for again.
//
// hls.js waits for the first byte for some seconds, but for those behind it up to two minutes.

export const STALL_MS = 8_000; // nothing comes for so long only if nothing comes any more; a slow network goes on sooner
const LOOK_MS = 1_000;

/** A class that loads for hls.js, by another one: what has begun to come, and then does not go on for `stallMs`, is late
 * as if it had not begun. */
export function unstalled(Loader, stallMs = STALL_MS) {
  return class extends Loader {
    load(context, config, callbacks) {
      let { loaded } = this.stats;
      let at = performance.now();
      clearInterval(this.looking);
      this.looking = setInterval(() => {
        const { stats } = this;
        if (stats.aborted || stats.loading.end > 0) clearInterval(this.looking);
        else if (stats.loaded !== loaded || stats.loading.first === 0) [loaded, at] = [stats.loaded, performance.now()];
        else if (performance.now() - at > stallMs) {
          at = performance.now();
          this.loadtimeout();
        }
      }, Math.min(LOOK_MS, stallMs / 2));
      super.load(context, config, callbacks);
    }

    destroy() {
      clearInterval(this.looking);
      super.destroy();
    }
  };
}

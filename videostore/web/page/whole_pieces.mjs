// Tells hls.js of what was cut off on its way, so that it asks for it again.
//
// A proxy may end an answer too early, and not say so. The browser would fail to decode it, for good after some attempts.

export const CUT_OFF = "the answer of the server was cut off";

/** A class that loads for hls.js, by another one: of what it asked for by its bytes it gets all, or an error of the
 * network. */
export function wholePieces(Loader) {
  return class extends Loader {
    load(context, config, callbacks) {
      const onSuccess = (response, stats, ...others) => {
        const isCut = response.data.byteLength < context.rangeEnd - context.rangeStart;
        if (isCut) callbacks.onError({ code: 0, text: CUT_OFF }, context, others[1], stats);
        else callbacks.onSuccess(response, stats, ...others);
      };
      super.load(context, config, { ...callbacks, onSuccess });
    }
  };
}

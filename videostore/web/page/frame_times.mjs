// The capture times of a recorder's frames, which the server knows to the microsecond.

const SEARCH_US = 5_000_000;
const ROUNDED_US = 100;
const KEYFRAME_WIDTH = 64; // of the picture of which the time alone is wanted

export class FrameTimes {
  constructor(api, recorder) {
    Object.assign(this, { api, recorder });
  }

  async within(from_us, to_us) {
    const { frames_us } = await this.api.get(this.api.recorderUrl(this.recorder.id, "frames", { from_us, to_us }));
    return frames_us;
  }

  /** The capture time of the last frame up to a moment. */
  async before(us) {
    const frames = await this.until(us);
    return frames[frames.length - 1] ?? us;
  }

  /** The capture times of some frames up to a moment. */
  until(us) {
    return this.within(us - SEARCH_US, us + 1).catch(() => []);
  }

  /** The capture time of the frame before the shown one, or after it, if that is no further away than `mostUs`. */
  async beside(us, direction, mostUs) {
    const frames = await this.within(us - mostUs, us + mostUs);
    // The shown time is rounded: the nearest frame is the shown one.
    const nearest = frames.reduce((best, one, number) => (Math.abs(one - us) < Math.abs(frames[best] - us) ? number : best), 0);
    return frames[nearest + direction];
  }

  /** The capture time of the shown frame to the microsecond: the player's is rounded. */
  async exact(us) {
    const [frame] = await this.within(us - ROUNDED_US, us + ROUNDED_US).catch(() => []);
    return frame ?? us;
  }

  /** The capture time of the keyframe with which a browser has to begin, to show a moment. */
  async keyframeBefore(us) {
    const url = this.api.recorderUrl(this.recorder.id, "frame.jpg", { at_us: us, width: KEYFRAME_WIDTH, exact: 0 });
    const captured = (response) => Number(response.headers.get("X-Capture-Time-Us"));
    return Math.min((await this.api.read(url, captured).catch(() => 0)) || us, us);
  }
}

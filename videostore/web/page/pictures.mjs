// Pictures of moments from the server. A few are asked for at once; while more are wanted, the last wins.

const MOST_AT_ONCE = 2;
const MOST_PIXELS = 16_000_000; // of all that are kept: 64 MB

export class Pictures {
  constructor(api) {
    this.api = api;
    this.kept = new Map();
    this.keptPixels = 0;
    this.running = 0;
    this.waiting = new Map();
    this.wishes = 0; // how many there were
    this.given = new Map(); // the newest wish of each place that has its answer, while some are on their way
  }

  /** The picture near a moment: `{bitmap, captured_us}`, or `{error}`; null if another was wanted since, unless this one
   * comes before that. `place` is who wants it: each place has one wish. `keep`: it may be wanted again. */
  get(place, recorder, us, { width, exact = false, keep = true }) {
    const url = this.api.recorderUrl(recorder, "frame.jpg", { at_us: Math.round(us), width, exact: exact ? 1 : 0 });
    const kept = keep ? this.kept.get(url) : undefined; // else its owner closes it
    if (kept) {
      this.kept.delete(url);
      this.kept.set(url, kept);
      this.withdraw(place);
      return Promise.resolve(kept);
    }
    return new Promise((resolve) => {
      this.waiting.get(place)?.resolve(null);
      this.waiting.set(place, { place, number: ++this.wishes, url, keep, resolve });
      this.next();
    });
  }

  /** A place wants none of those for which it has asked. */
  withdraw(place) {
    this.waiting.get(place)?.resolve(null);
    this.waiting.delete(place);
    if (this.running > 0) this.given.set(place, ++this.wishes);
  }

  next() {
    while (this.running < MOST_AT_ONCE && this.waiting.size > 0) {
      const [place, wish] = this.waiting.entries().next().value;
      this.waiting.delete(place);
      this.running += 1;
      this.fetch(wish).then((picture) => {
        this.give(wish, picture);
        this.running -= 1;
        if (this.running === 0) this.given.clear();
        this.next();
      });
    }
  }

  /** Answer a wish. Two are on their way at once: one that comes after a later one would take the place of that. */
  give({ place, number, keep, resolve }, picture) {
    const isLate = number < (this.given.get(place) ?? 0);
    if (!isLate) this.given.set(place, number);
    else if (!keep) picture.bitmap?.close();
    resolve(isLate ? null : picture);
  }

  async fetch({ url, keep }) {
    try {
      const picture = await this.api.read(url, async (response) => ({
        bitmap: await createImageBitmap(await response.blob()),
        captured_us: Number(response.headers.get("X-Capture-Time-Us")),
      }));
      if (keep) this.keep(url, picture);
      return picture;
    } catch (error) {
      return { error };
    }
  }

  /** Keep a picture; the oldest of too many go. */
  keep(url, picture) {
    this.drop(url); // another place wanted the same one
    this.kept.set(url, picture);
    this.keptPixels += pixelsOf(picture);
    while (this.keptPixels > MOST_PIXELS && this.kept.size > 1) this.drop(this.kept.keys().next().value);
  }

  drop(url) {
    const picture = this.kept.get(url);
    if (!picture) return;
    this.keptPixels -= pixelsOf(picture);
    this.kept.delete(url);
    picture.bitmap.close();
  }
}

const pixelsOf = ({ bitmap }) => bitmap.width * bitmap.height;

/** Draw a picture into a canvas, which takes its size. */
export function drawPicture(canvas, bitmap) {
  canvas.width = bitmap.width;
  canvas.height = bitmap.height;
  canvas.getContext("2d").drawImage(bitmap, 0, 0);
}

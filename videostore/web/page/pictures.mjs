// Pictures of moments from the server. A few are asked for at once; while more are wanted, the last wins.

const MOST_AT_ONCE = 2;
const MOST_KEPT = 200;

export class Pictures {
  constructor(api) {
    this.api = api;
    this.kept = new Map();
    this.running = 0;
    this.waiting = new Map();
  }

  /** The picture near a moment: `{bitmap, captured_us}`, or `{error}`; null if another was wanted since.
   * `place` is who wants it: each place has one wish. */
  get(place, recorder, us, { width, exact = false }) {
    const url = this.api.recorderUrl(recorder, "frame.jpg", { at_us: Math.round(us), width, exact: exact ? 1 : 0 });
    const kept = this.kept.get(url);
    if (kept) {
      this.kept.delete(url);
      this.kept.set(url, kept);
      this.waiting.get(place)?.resolve(null);
      this.waiting.delete(place);
      return Promise.resolve(kept);
    }
    return new Promise((resolve) => {
      this.waiting.get(place)?.resolve(null);
      this.waiting.set(place, { url, resolve });
      this.next();
    });
  }

  next() {
    while (this.running < MOST_AT_ONCE && this.waiting.size > 0) {
      const [place, { url, resolve }] = this.waiting.entries().next().value;
      this.waiting.delete(place);
      this.running += 1;
      this.fetch(url)
        .then(resolve)
        .finally(() => {
          this.running -= 1;
          this.next();
        });
    }
  }

  async fetch(url) {
    try {
      const response = await this.api.response(url);
      const captured = Number(response.headers.get("X-Capture-Time-Us"));
      const picture = { bitmap: await createImageBitmap(await response.blob()), captured_us: captured };
      this.kept.set(url, picture);
      if (this.kept.size > MOST_KEPT) {
        const [oldest, { bitmap }] = this.kept.entries().next().value;
        this.kept.delete(oldest);
        bitmap.close();
      }
      return picture;
    } catch (error) {
      return { error };
    }
  }
}

/** Draw a picture into a canvas, which takes its size. */
export function drawPicture(canvas, bitmap) {
  canvas.width = bitmap.width;
  canvas.height = bitmap.height;
  canvas.getContext("2d").drawImage(bitmap, 0, 0);
}

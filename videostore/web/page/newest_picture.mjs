// Live as single pictures, where the video cannot be played, until it can be.

import { describe } from "./same_tracks.mjs";

const HEADERS = /^#EXT-X-MAP:URI="([^"]+?)(?:\.init)?\.mp4"/gm;
const NAME = /(?:\.init)?\.mp4$/;

/** The newest picture of a recorder, however old it is, as `Pictures.get` has it. */
export async function newestPicture(pictures, place, recorder, us, width) {
  const ask = (at) => pictures.get(place, recorder, at, { width, exact: true, keep: false });
  const found = await ask(us);
  const last = found?.error?.fields?.before_us;
  return last ? ask(last) : found;
}

/** Looks whether other video is recorded by now than what could not be decoded. */
export class UnplayableFile {
  /** `header`: the address of the file's header. */
  constructor(api, id, header) {
    Object.assign(this, { api, id, name: header.replace(NAME, "") });
  }

  /** Whether the newest file holds other video. */
  async isOver() {
    const playlist = await this.api.read(this.api.playlistUrl(this.id, {}), (response) => response.text());
    const newest = [...playlist.matchAll(HEADERS)].pop();
    if (!newest || newest[1] === this.name) return false;
    const [before, now] = await Promise.all([this.name, newest[1]].map((name) => this.description(name)));
    const isOver = now !== "" && now !== before;
    if (!isOver) this.name = newest[1];
    return isOver;
  }

  /** What the header of a file says; empty if that cannot be read. */
  async description(name) {
    const url = `hls/${encodeURIComponent(this.id)}/${name}.init.mp4`;
    return describe(await this.api.read(url, (response) => response.arrayBuffer()).catch(() => new ArrayBuffer(0)));
  }
}

// The timeline's section of the page: lanes, strip, the picture under the pointer, and the same in words.

import { element, find, say } from "./element.mjs";
import { LanePointer } from "./lane_pointer.mjs";
import { hoverWords, laneWords } from "./lane_words.mjs";
import { drawLanes } from "./lanes.mjs";
import { drawOverview, overviewOf } from "./overview.mjs";
import { drawPicture } from "./pictures.mjs";
import { DAY_US, HOUR_US, lengthText, SECOND_US } from "./units.mjs";

const THUMBNAIL = 320;
const WORDS_MS = 1000;
const RETRY_MS = 1000;
const MONTH_US = 31 * DAY_US;
const isNone = (error) => error?.status === 404; // there is no picture; other errors may pass

export class LaneSection {
  /** `context` has view, clip, playhead, pictures, zone(), now(), end(), live(), onChange(). */
  constructor(context) {
    this.context = context;
    this.canvas = find("lanes");
    this.strip = find("overview");
    this.hoverBox = find("hover");
    this.due = false;
    this.scrubbing = false;
    new LanePointer(this.canvas, { view: context.view, marks: context.clip.marks, on: this });
    this.bindStrip();
    const zooms = { "zoom-hour": HOUR_US, "zoom-month": MONTH_US };
    for (const [id, span] of Object.entries(zooms)) find(id).onclick = () => this.zoomTo(span);
    find("zoom-day").onclick = () => this.zoomDay();
    find("zoom-in").onclick = () => this.zoom(0.5);
    find("zoom-out").onclick = () => this.zoom(2);
    for (const target of [this.canvas, this.strip]) new ResizeObserver(() => this.draw()).observe(target);
    const section = find("timeline");
    // The style sheet keeps it in sight on narrow screens, unless it is too high.
    new ResizeObserver(() => section.style.setProperty("--height", `${section.offsetHeight}px`)).observe(section);
    matchMedia("(prefers-color-scheme: light)").addEventListener("change", () => this.draw());
  }

  get laneCount() {
    return this.context.playhead.screens.length;
  }

  get lanes() {
    const { playhead, view, end } = this.context;
    const width = this.canvas.clientWidth;
    return playhead.screens.map((screen) => {
      const data = screen.timeline.get(view.from, Math.max(Math.min(view.to, end()), view.from + 1), width);
      const note = data ? "" : screen.timeline.error?.message ?? "asking what is recorded …";
      return { name: screen.recorder.name, data, focused: screen === playhead.focus, note, screen };
    });
  }

  /** Draw with the next frame of the screen. */
  draw() {
    if (this.due) return;
    this.due = true;
    requestAnimationFrame(() => {
      this.due = false;
      this.drawNow();
    });
  }

  drawNow() {
    const { view, clip, playhead, zone, now, end } = this.context;
    const lanes = this.lanes;
    const playheadUs = this.scrubUs ?? playhead.us;
    drawLanes(this.canvas, { view, zone: zone(), lanes, playheadUs, marks: clip.marks, nowUs: now() });
    this.stretch = overviewOf(view, zone());
    const timeline = playhead.focus?.timeline;
    const data = timeline?.get(this.stretch.from, Math.min(this.stretch.to, end()), this.strip.clientWidth);
    drawOverview(this.strip, { view, zone: zone(), stretch: this.stretch, data, nowUs: now() });
    say(find("span-text"), `${lengthText(view.span)} from ${zone().full(view.from)}`);
    this.tellHover();
    this.describe();
  }

  /** The same in words, not more often than it can be read. */
  describe() {
    this.describing ??= setTimeout(() => {
      this.describing = null;
      const { view, playhead, zone } = this.context;
      const us = this.scrubUs ?? playhead.shownUs;
      this.canvas.setAttribute("aria-valuemin", String(Math.floor(view.from / SECOND_US)));
      this.canvas.setAttribute("aria-valuemax", String(Math.floor(view.to / SECOND_US)));
      if (us !== null) {
        this.canvas.setAttribute("aria-valuenow", String(Math.floor(us / SECOND_US)));
        this.canvas.setAttribute("aria-valuetext", zone().full(us, 3));
      }
      const words = this.lanes.flatMap((lane) => laneWords(lane, view, zone()));
      const list = find("lanes-text");
      if (list.dataset.words === words.join()) return;
      list.dataset.words = words.join();
      list.replaceChildren(...words.map((text) => element("li", {}, text)));
    }, WORDS_MS);
  }

  zoom(factor) {
    const { view, playhead } = this.context;
    const us = playhead.us ?? (view.from + view.to) / 2;
    view.zoom(factor, us >= view.from && us <= view.to ? us : (view.from + view.to) / 2);
    this.moved();
  }

  zoomTo(span) {
    const { view, playhead } = this.context;
    const us = playhead.us ?? (view.from + view.to) / 2;
    view.set(us - span / 2, us + span / 2);
    this.moved();
  }

  zoomDay() {
    const { view, playhead, zone } = this.context;
    const { from_us, to_us } = zone().day(playhead.us ?? (view.from + view.to) / 2);
    view.set(from_us, to_us);
    this.moved();
  }

  moved() {
    this.draw();
    this.context.onChange();
  }

  screenAt(lane) {
    return this.context.playhead.screens[lane] ?? this.context.playhead.focus;
  }

  /** What is known of the moment under the pointer; more may become known while it lies there. */
  tellHover() {
    if (!this.hovered) return;
    const { end, view, zone } = this.context;
    const { us, lane } = this.hovered;
    const near = (view.span / this.canvas.clientWidth) * 6;
    say(find("hover-text"), us > end() ? "not yet" : hoverWords(us, this.screenAt(lane)?.timeline, zone(), near));
  }

  /** The pointer lies on a moment: a small picture of it, and what is known of it. */
  hover(us, x, lane) {
    const { end } = this.context;
    const screen = this.screenAt(lane);
    this.hovered = { us, lane };
    this.tellHover();
    this.hoverBox.hidden = false;
    const half = this.hoverBox.offsetWidth / 2;
    const left = Math.min(Math.max(x + this.canvas.offsetLeft, half + 4), this.canvas.clientWidth - half + 20);
    this.hoverBox.style.left = `${left}px`;
    if (screen && us <= end()) this.thumbnail(screen, us);
    else this.hideThumbnail();
  }

  /** Moments so near that they share a pixel or a second share their picture. */
  pictureTime(us) {
    const grain = Math.max(SECOND_US, 10 ** Math.ceil(Math.log10(this.context.view.span / this.canvas.clientWidth)));
    return Math.floor(us / grain) * grain;
  }

  /** Show no picture, also none that is on its way. */
  hideThumbnail() {
    this.wanted = null;
    this.context.pictures.withdraw("hover");
    find("hover-picture").hidden = true;
  }

  async thumbnail(screen, us) {
    const canvas = find("hover-picture");
    if (screen.timeline.gapAt(us)) {
      this.hideThumbnail();
      return;
    }
    this.wanted = us;
    const at = this.pictureTime(us);
    const id = screen.recorder.id;
    let picture = await this.context.pictures.get("hover", id, at, { width: THUMBNAIL });
    const isBefore = isNone(picture?.error) && at !== us && this.wanted === us;
    if (isBefore) picture = await this.context.pictures.get("hover", id, us, { width: THUMBNAIL });
    if (!picture) return;
    canvas.hidden = Boolean(picture.error);
    if (picture.error) {
      if (!isNone(picture.error)) setTimeout(() => this.hovered && this.wanted === us && this.thumbnail(screen, us), RETRY_MS);
      return;
    }
    drawPicture(canvas, picture.bitmap);
    canvas.dataset.captured = String(picture.captured_us);
    screen.scrub(picture); // while the pointer moves, an older picture is better than none
  }

  leave() {
    this.hoverBox.hidden = true;
    this.hovered = null;
    this.scrubbing = false;
    this.hideThumbnail();
    if (this.scrubUs !== undefined) {
      this.scrubUs = undefined;
      this.context.playhead.endScrub();
      this.draw();
    }
  }

  /** Dragged: small pictures and the time follow; the players seek once, at the end. */
  scrub(us, x, lane) {
    const { playhead, end } = this.context;
    this.scrubbing = true;
    this.scrubUs = Math.min(us, end());
    playhead.beginScrub();
    for (const screen of playhead.screens) if (screen !== this.screenAt(lane)) this.scrubOther(screen, this.scrubUs);
    this.hover(this.scrubUs, x, lane);
    this.draw();
  }

  async scrubOther(screen, us) {
    if (screen.timeline.gapAt(us)) return;
    const picture = await this.context.pictures.get(screen, screen.recorder.id, this.pictureTime(us), { width: THUMBNAIL });
    screen.scrub(picture);
  }

  settle(us, lane, { clicked }) {
    const { playhead, end } = this.context;
    this.scrubbing = false;
    this.scrubUs = undefined;
    if (clicked && playhead.screens[lane]) playhead.focus = playhead.screens[lane];
    if (us >= end()) {
      playhead.endScrub();
      this.context.live();
    } else {
      if (clicked) playhead.playing = true;
      playhead.go(us);
    }
    this.draw();
  }

  mark(name, us, { done = false } = {}) {
    this.context.clip.move(name, us);
    if (done) this.context.playhead.go(name === "in" ? us : us - 1);
    this.draw();
  }

  bindStrip() {
    const { view } = this.context;
    let held = null;
    const at = (event) => {
      const box = this.strip.getBoundingClientRect();
      const { from, to } = this.stretch;
      return from + ((event.clientX - box.left) / box.width) * (to - from);
    };
    this.strip.addEventListener("pointerdown", (event) => {
      this.strip.setPointerCapture(event.pointerId);
      const us = at(event);
      const inside = us >= view.from && us <= view.to;
      held = { stretch: { ...this.stretch }, x: event.clientX, offset: inside ? us - view.from : view.span / 2 };
      if (!inside) {
        view.set(us - view.span / 2, us + view.span / 2);
        this.moved();
      }
    });
    this.strip.addEventListener("pointermove", (event) => {
      if (!held) return;
      const us = held.stretch.from + ((event.clientX - this.strip.getBoundingClientRect().left) / this.strip.clientWidth) *
        (held.stretch.to - held.stretch.from);
      view.set(us - held.offset, us - held.offset + view.span);
      this.moved();
    });
    for (const name of ["pointerup", "pointercancel"]) this.strip.addEventListener(name, () => (held = null));
  }
}

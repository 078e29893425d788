// What is recorded, as the lanes need it: asked for as they are moved, kept for a while.

import { SECOND_US } from "./units.mjs";

const ASIDE = 0.5; // so much more than what is shown is asked for on each side
const FRESH_MS = 3000; // what changes is asked for again after this
const RETRY_MS = 3000;
const MOST_KEPT = 12;

/** The timeline of one recorder. */
export class Timeline {
  constructor(api, id, { now, onChange }) {
    Object.assign(this, { api, id, now, onChange });
    this.kept = []; // the newest first
    this.error = null;
    this.asked = null;
  }

  /** What is known of a stretch on so many pixels. What is not known, or old, is asked for. */
  get(fromUs, toUs, width) {
    const fit = this.kept.find((one) => one.from_us <= fromUs && toUs <= one.to_us);
    const fine = fit && (fit.exact || (toUs - fromUs) / width >= fit.grain_us * 0.45);
    const old = fit && (fit.isOld || (fit.to_us > fit.asked_us && performance.now() - fit.at > FRESH_MS));
    if (!fit || !fine || old) this.ask(fromUs, toUs, width);
    return fit ?? this.kept.find((one) => one.from_us < toUs && fromUs < one.to_us) ?? null;
  }

  /** Something of it has changed: what is known is asked for once more when it is drawn. */
  forget() {
    for (const one of this.kept) one.isOld = true;
    this.onChange();
  }

  async ask(fromUs, toUs, width) {
    const span = toUs - fromUs;
    const query = { from_us: Math.floor(fromUs - span * ASIDE), to_us: Math.ceil(toUs + span * ASIDE) };
    if (this.asked || performance.now() < (this.retryAt ?? 0)) {
      this.again = [fromUs, toUs, width];
      return;
    }
    this.asked = query;
    try {
      const most = Math.min(2000, Math.max(200, Math.round(width * (1 + 2 * ASIDE))));
      const answer = await this.api.get(this.api.recorderUrl(this.id, "timeline", { ...query, most }));
      Object.assign(answer, { ...query, at: performance.now(), asked_us: this.now() });
      answer.grain_us = answer.exact ? 0 : (query.to_us - query.from_us) / most;
      this.kept = [answer, ...this.kept.filter((one) => one.from_us !== query.from_us || one.to_us !== query.to_us)];
      this.kept.length = Math.min(this.kept.length, MOST_KEPT);
      this.error = null;
    } catch (error) {
      this.error = error;
      this.retryAt = performance.now() + RETRY_MS;
    } finally {
      this.asked = null;
    }
    this.onChange();
    if (this.again && !this.error) {
      const again = this.again;
      this.again = null;
      this.get(...again);
    }
  }

  /** The newest knowledge of this recorder's ends: `{first_us, newest_us, recording}`. */
  get ends() {
    return this.kept[0] ?? null;
  }

  /** Whether something is recorded at a moment, as far as is known: true, false or null. */
  isRecorded(us) {
    const known = this.kept.find((one) => one.from_us <= us && us < one.to_us);
    if (!known) return null;
    return known.ranges.some(([from, to]) => from <= us && us < to);
  }

  /** The gap at a moment, with its reason where one is known; null where something is recorded. */
  gapAt(us) {
    const known = this.kept.find((one) => one.from_us <= us && us < one.to_us);
    if (!known || known.ranges.some(([from, to]) => from <= us && us < to)) return null;
    const before = known.ranges.filter(([, to]) => to <= us).pop();
    const after = known.ranges.find(([from]) => from > us);
    const reason = known.gaps.find((gap) => gap.from_us - SECOND_US <= us && us < gap.to_us + SECOND_US)?.reason;
    return { from_us: before?.[1] ?? null, to_us: after?.[0] ?? null, reason: reason ?? null };
  }

  eventsNear(us, withinUs) {
    return (this.kept[0]?.events ?? []).filter((one) => Math.abs(one.at_us - us) <= withinUs);
  }

  damageAt(us) {
    return (this.kept[0]?.damaged ?? []).find((one) => one.from_us <= us && us < one.to_us) ?? null;
  }
}

// The wall clock of a time zone: the recorder's, or UTC.

import { DAY_US, HOUR_US, MINUTE_US, SECOND_US } from "./units.mjs";

const STEP_US = 6 * HOUR_US;
const BUCKET_US = 15 * MINUTE_US; // no zone changes its offset between two quarters of an hour
const MOST_BUCKETS = 5000;
const ENGLISH = ["en-GB", "en-US", "en-CA", "en-AU", "en-NZ", "en-IN", "en-ZA"]; // each has names of zones of its own
const HALVES_MS = [Date.UTC(2025, 0, 1), Date.UTC(2025, 6, 1)]; // of a year, with and without summer time
const pad = (number, width = 2) => String(number).padStart(width, "0");

const zonePart = (format, ms) => format.formatToParts(ms).find(({ type }) => type === "timeZoneName").value;
const isNamed = (format, ms) => !/^GMT[+-]/.test(zonePart(format, ms));

export class Zone {
  /** `name` is an IANA name; without one the offset is fixed. */
  constructor(name, offsetMinutes = 0) {
    this.name = name;
    this.fixedUs = offsetMinutes * MINUTE_US;
    this.offsets = new Map();
    if (!name) return;
    const fields = { year: "numeric", month: "numeric", day: "numeric", hour: "numeric", minute: "numeric" };
    this.parts = new Intl.DateTimeFormat("en-US", { ...fields, second: "numeric", hourCycle: "h23", timeZone: name });
    const short = (english) => new Intl.DateTimeFormat(english, { timeZoneName: "short", timeZone: name });
    const naming = ENGLISH.find((english) => HALVES_MS.every((ms) => isNamed(short(english), ms)));
    this.short = short(naming ?? ENGLISH[0]);
  }

  /** The recorder's zone as the server tells it. A name that this browser does not know becomes its offset. */
  static of(name, offsetMinutes) {
    try {
      return new Zone(name, offsetMinutes);
    } catch {
      return new Zone(null, offsetMinutes);
    }
  }

  /** How far the wall clock is ahead of UTC at a moment. */
  offsetUs(us) {
    if (!this.name) return this.fixedUs;
    const bucket = Math.floor(us / BUCKET_US);
    let offset = this.offsets.get(bucket);
    if (offset === undefined) {
      if (this.offsets.size > MOST_BUCKETS) this.offsets.clear();
      const start = (bucket * BUCKET_US) / 1000;
      const parts = Object.fromEntries(this.parts.formatToParts(start).map((part) => [part.type, Number(part.value)]));
      const wall = Date.UTC(parts.year, parts.month - 1, parts.day, parts.hour, parts.minute, parts.second);
      offset = (wall - start) * 1000;
      this.offsets.set(bucket, offset);
    }
    return offset;
  }

  /** What the wall clock shows. */
  fields(us) {
    const wall = us + this.offsetUs(us);
    const date = new Date(Math.floor(wall / 1000));
    return {
      year: date.getUTCFullYear(),
      month: date.getUTCMonth() + 1,
      day: date.getUTCDate(),
      weekday: date.getUTCDay(),
      hour: date.getUTCHours(),
      minute: date.getUTCMinutes(),
      second: date.getUTCSeconds(),
      us: ((wall % SECOND_US) + SECOND_US) % SECOND_US,
    };
  }

  /** The zone's own name at a moment, "CET", or where English has none, "UTC+5:45". */
  label(us) {
    if (this.name) {
      return zonePart(this.short, us / 1000).replace("GMT", "UTC");
    }
    const minutes = Math.abs(this.fixedUs) / MINUTE_US;
    if (minutes === 0) return "UTC";
    return `UTC${this.fixedUs < 0 ? "−" : "+"}${pad(Math.floor(minutes / 60))}:${pad(minutes % 60)}`;
  }

  /** The date: "2026-11-25". */
  date(us) {
    const { year, month, day } = this.fields(us);
    return `${year}-${pad(month)}-${pad(day)}`;
  }

  /** The time of day, with so many digits of the second's fraction: "14:05:30.250". */
  time(us, digits = 0) {
    const { hour, minute, second, us: fraction } = this.fields(us);
    const tail = digits > 0 ? `.${pad(fraction, 6).slice(0, digits)}` : "";
    return `${pad(hour)}:${pad(minute)}:${pad(second)}${tail}`;
  }

  /** The time of day, with the date where that is another one than at a moment nearby. */
  timeFrom(us, nearUs) {
    const date = this.date(us);
    return date === this.date(nearUs) ? this.time(us) : `${date} ${this.time(us)}`;
  }

  /** Date, time and zone: "2026-11-25 14:05:30.250 CET". */
  full(us, digits = 0) {
    return `${this.date(us)} ${this.time(us, digits)} ${this.label(us)}`;
  }

  /** The moments at which the wall clock shows this: none in an hour that is left out, two in one that comes twice. */
  moments({ year, month, day, hour = 0, minute = 0, second = 0, us = 0 }) {
    const wall = Date.UTC(year, month - 1, day, hour, minute, second) * 1000 + us;
    const offsets = new Set([this.offsetUs(wall - DAY_US), this.offsetUs(wall + DAY_US)]);
    return [...offsets]
      .map((offset) => wall - offset)
      .filter((moment) => moment + this.offsetUs(moment) === wall)
      .sort((one, other) => one - other);
  }

  /** The beginning and the end of the day of a moment, or of one so many days later. */
  day(us, later = 0) {
    const { year, month, day } = this.fields(us);
    return { from_us: this.midnight(year, month, day + later), to_us: this.midnight(year, month, day + later + 1) };
  }

  /** When a day begins. Where its midnight is left out, it begins with the first hour that there is. */
  midnight(year, month, day) {
    const date = new Date(Date.UTC(year, month - 1, day));
    const fields = { year: date.getUTCFullYear(), month: date.getUTCMonth() + 1, day: date.getUTCDate() };
    for (let minute = 0; minute < 180; minute += 30) {
      const [moment] = this.moments({ ...fields, hour: Math.floor(minute / 60), minute: minute % 60 });
      if (moment !== undefined) return moment;
    }
    return date.getTime() * 1000 - this.fixedUs;
  }

  /** A stretch of time in pieces of one offset each. */
  pieces(fromUs, toUs) {
    const pieces = [];
    let start = fromUs;
    let offset = this.offsetUs(fromUs);
    for (let before = fromUs; before < toUs; before += STEP_US) {
      const after = Math.min(before + STEP_US, toUs);
      if (this.offsetUs(after) === offset) continue;
      let [low, high] = [before, after];
      while (high - low > SECOND_US) {
        const middle = Math.floor((low + high) / 2);
        if (this.offsetUs(middle) === offset) low = middle;
        else high = middle;
      }
      const change = Math.round(high / MINUTE_US) * MINUTE_US;
      pieces.push({ from_us: start, to_us: change, offset_us: offset });
      start = change;
      offset = this.offsetUs(after);
    }
    pieces.push({ from_us: start, to_us: toUs, offset_us: offset });
    return pieces;
  }
}

export const UTC = new Zone(null, 0);

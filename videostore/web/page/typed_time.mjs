// A time as a person types it: "14:05:30", "yesterday 14:05", "25 Nov 14:05", "2026-11-25 14:05:30.250 UTC", "-5m".

import { DAY_US, HOUR_US, MINUTE_US, SECOND_US } from "./units.mjs";
import { UTC } from "./zone.mjs";

const MONTHS = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
const WEEKDAYS = ["sunday", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday"];
const UNITS = { s: SECOND_US, m: MINUTE_US, h: HOUR_US, d: DAY_US };
const EXAMPLES = "Examples: 14:05:30, yesterday 14:05, 2026-11-25 14:05:30.250, 25 Nov 14:05 UTC, 5 min ago, now.";

export class TypedTimeError extends Error {}

/** The moments that a text means, the first of them meant most. `shownUs` gives the day where none is named.
 *
 * A time that is still to come on that day, or on this weekday, is that of the day, or of the week, before.
 * Throws TypedTimeError, with a sentence. */
export function parseTime(text, zone, nowUs, shownUs) {
  let rest = text.trim().toLowerCase().replace(/\s+/g, " ");
  if (rest === "") throw new TypedTimeError(`Type a time. ${EXAMPLES}`);
  if (rest === "now") return [nowUs];
  const ago = /^(?:-|−)?(\d+(?:\.\d+)?) ?(s|m|h|d)[a-z]*(?: ago)?$/.exec(rest);
  if (ago) return [nowUs - Math.round(Number(ago[1]) * UNITS[ago[2]])];
  const read = readZone(rest, zone);
  rest = read.rest;
  const clock = readClock(rest);
  const { again, ...date } = readDate(clock.rest, read.zone, nowUs, shownUs);
  let all = read.zone.moments({ ...date, ...clock.fields });
  if (again && all[0] > nowUs + SECOND_US) all = read.zone.moments({ ...date, day: date.day - again, ...clock.fields });
  const named = all.filter((us) => read.zone.label(us).toLowerCase() === read.label);
  const moments = named.length > 0 ? named : all;
  if (moments.length === 0) {
    throw new TypedTimeError(`The clock does not show ${text.trim()} on that day: it is set forward over it.`);
  }
  return moments;
}

function readZone(text, zone) {
  const utc = /^(.*\d) ?(?:z|utc|gmt)$/.exec(text);
  if (utc) return { rest: utc[1], zone: UTC };
  const offset = /^(.*:\d\d(?:[.,]\d+)?) ?([+-−])(\d\d):?(\d\d)$/.exec(text);
  if (offset) {
    const minutes = Number(offset[3]) * 60 + Number(offset[4]);
    return { rest: offset[1], zone: new zone.constructor(null, offset[2] === "+" ? minutes : -minutes) };
  }
  // The zone's own abbreviation tells the two hours of a clock that is set back from each other.
  const label = /\d ([a-z]{3,5})$/.exec(text)?.[1];
  return { rest: label ? text.slice(0, -label.length - 1) : text, zone, label };
}

function readClock(text) {
  const found = /(?:^|[ t,])(\d{1,2}):(\d\d)(?::(\d\d)(?:[.,](\d{1,6}))?)?$/.exec(text);
  if (!found) return { rest: text, fields: {} };
  const [hour, minute, second] = [Number(found[1]), Number(found[2]), Number(found[3] ?? 0)];
  if (hour > 23 || minute > 59 || second > 59) throw new TypedTimeError(`${found[0].trim()} is no time of day.`);
  const us = Number((found[4] ?? "").padEnd(6, "0"));
  return { rest: text.slice(0, found.index).trim(), fields: { hour, minute, second, us } };
}

function readDate(text, zone, nowUs, shownUs) {
  const dayOf = (us) => {
    const { year, month, day } = zone.fields(us);
    return { year, month, day };
  };
  if (text === "") return { ...dayOf(shownUs ?? nowUs), again: 1 };
  if (text === "today") return dayOf(nowUs);
  if (text === "yesterday") return dayOf(zone.day(nowUs, -1).from_us);
  const weekday = WEEKDAYS.findIndex((name) => text.length >= 3 && name.startsWith(text));
  if (weekday >= 0) {
    return { ...dayOf(zone.day(nowUs, -((zone.fields(nowUs).weekday - weekday + 7) % 7)).from_us), again: 7 };
  }
  const thisYear = zone.fields(nowUs).year;
  let found = /^(\d{4})-(\d{1,2})-(\d{1,2})$/.exec(text);
  if (found) return checked(Number(found[1]), Number(found[2]), Number(found[3]), text);
  found = /^(\d{1,2})\.(\d{1,2})\.(\d{4})?$/.exec(text);
  if (found) return checked(Number(found[3] ?? thisYear), Number(found[2]), Number(found[1]), text);
  found = /^(\d{1,2}) ([a-z]{3,9})(?: (\d{4}))?$/.exec(text) ?? swapped(/^([a-z]{3,9}) (\d{1,2})(?:,? (\d{4}))?$/.exec(text));
  const month = found ? MONTHS.indexOf(found[2].slice(0, 3)) + 1 : 0;
  if (month > 0) return checked(Number(found[3] ?? thisYear), month, Number(found[1]), text);
  throw new TypedTimeError(`“${text}” is no time that is understood here. ${EXAMPLES}`);
}

function swapped(found) {
  return found && [found[0], found[2], found[1], found[3]];
}

function checked(year, month, day, text) {
  const date = new Date(Date.UTC(year, month - 1, day));
  if (date.getUTCMonth() !== month - 1 || date.getUTCDate() !== day) {
    throw new TypedTimeError(`There is no day ${text}.`);
  }
  return { year, month, day };
}

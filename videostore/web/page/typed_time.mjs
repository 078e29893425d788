// A time as a person types it: "14:05:30", "yesterday 14:05", "25 Nov 14:05", "2026-11-25 14:05:30.250 UTC", "-5m".

import { DAY_US, HOUR_US, MINUTE_US, SECOND_US } from "./units.mjs";
import { UTC } from "./zone.mjs";

const MONTHS = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
const WEEKDAYS = ["sunday", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday"];
const UNITS = { s: SECOND_US, m: MINUTE_US, h: HOUR_US, d: DAY_US };
const AGO = /^[-−]?(\d+(?:\.\d+)?) ?(s|secs?|seconds?|m|mins?|minutes?|h|hrs?|hours?|d|days?)(?: ago)?$/;
const CLOCK_THEN_DAY = /^(\d{1,2}:[\d:.,]+(?: ?[ap]m)?) ([a-z]+)$/;
const MOST_AHEAD_MIN = 14 * 60; // of UTC, anywhere on earth
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
  const ago = AGO.exec(rest);
  if (ago) return checkedAll([nowUs - Math.round(Number(ago[1]) * UNITS[ago[2][0]])], text);
  const read = readZone(rest, zone);
  rest = read.rest;
  const clock = readClock(rest);
  const { again, ...date } = readDate(clock.rest, read.zone, nowUs, shownUs);
  let all = read.zone.moments({ ...date, ...clock.fields });
  if (again && all[0] > nowUs + SECOND_US) all = read.zone.moments({ ...date, day: date.day - again, ...clock.fields });
  if (all.length === 0) {
    throw new TypedTimeError(`The clock does not show ${text.trim()} on that day: it is set forward over it.`);
  }
  if (read.label === undefined) return checkedAll(all, text);
  const named = all.filter((us) => read.zone.label(us).toLowerCase() === read.label);
  if (named.length === 0) {
    const labels = [...new Set(all.map((us) => read.zone.label(us)))].join(" and ");
    throw new TypedTimeError(
      `The clock shows ${labels} then, not ${read.label.toUpperCase()}. Type no zone, UTC, or how far it is from UTC, as in UTC+01:00.`,
    );
  }
  return checkedAll(named, text);
}

/** Moments that a recording can have. */
function checkedAll(moments, text) {
  if (moments.some((us) => us < 0)) throw new TypedTimeError(`${text.trim()} is before 1970.`);
  return moments;
}

function readZone(text, zone) {
  const utc = /^(.*(?:\d|\d ?[ap]m)) ?(?:z|utc|gmt)$/.exec(text);
  if (utc) return { rest: utc[1], zone: UTC };
  const offset =
    /^(.*(?:\d|\d ?[ap]m)) ?(?:utc|gmt) ?([+\-−])(\d{1,2})(?::?(\d\d))?$/.exec(text) ??
    /^(.*:\d\d(?:[.,]\d+)?) ?([+\-−])(\d\d):?(\d\d)$/.exec(text);
  if (offset) {
    const [, rest, sign, hours, minutes = "00"] = offset;
    const ahead = Number(hours) * 60 + Number(minutes);
    if (Number(minutes) > 59 || ahead > MOST_AHEAD_MIN) {
      throw new TypedTimeError(`No clock is ${hours}:${minutes} from UTC. The most are 14:00, as in UTC+14:00.`);
    }
    return { rest, zone: new zone.constructor(null, sign === "+" ? ahead : -ahead) };
  }
  const day = CLOCK_THEN_DAY.exec(text);
  if (day && (isNearDay(day[2]) || weekdayOf(day[2]) >= 0)) return { rest: `${day[2]} ${day[1]}`, zone };
  // The zone's own abbreviation tells the two hours of a clock that is set back from each other.
  const label = /:\d\d(?:[.,]\d+)?(?: ?[ap]m)? ?([a-z]{3,5})$/.exec(text)?.[1];
  return { rest: label ? text.slice(0, -label.length).trim() : text, zone, label };
}

const isNearDay = (text) => text === "today" || text === "yesterday";
const weekdayOf = (text) => WEEKDAYS.findIndex((name) => text.length >= 3 && name.startsWith(text));

function readClock(text) {
  const found = /(?:^|[ t,])(\d{1,2}):(\d\d)(?::(\d\d)(?:[.,](\d{1,6}))?)?(?: ?([ap])m)?$/.exec(text);
  if (!found) return { rest: text, fields: {} };
  const half = found[5];
  const [typed, minute, second] = [Number(found[1]), Number(found[2]), Number(found[3] ?? 0)];
  const hour = half ? (typed % 12) + (half === "p" ? 12 : 0) : typed;
  const isHour = half ? typed >= 1 && typed <= 12 : typed <= 23;
  if (!isHour || minute > 59 || second > 59) throw new TypedTimeError(`${found[0].trim()} is no time of day.`);
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
  const weekday = weekdayOf(text);
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
  if (year < 1970) throw new TypedTimeError(`${text} is before 1970.`);
  const date = new Date(Date.UTC(year, month - 1, day));
  if (date.getUTCMonth() !== month - 1 || date.getUTCDate() !== day) {
    throw new TypedTimeError(`There is no day ${text}.`);
  }
  return { year, month, day };
}

// The lanes in words, for those who do not see them.

import { lengthText } from "./units.mjs";

const MOST = 30;

/** Whether this reason of a gap says that it was recorded, and then deleted. */
export const isDeleted = (reason) => Boolean(reason?.startsWith("deleted "));

/** A sentence for each thing that the lanes show of a recorder. */
export function laneWords({ name, data }, view, zone) {
  if (!data) return [`${name}: not known yet.`];
  const inside = ({ from_us, to_us }) => from_us < view.to && view.from < to_us;
  const between = (from, to) => `${zone.full(Math.max(from, view.from))} to ${zone.time(Math.min(to, view.to))}`;
  const ranges = data.ranges.map(([from_us, to_us]) => ({ from_us, to_us })).filter(inside);
  const words = ranges.map(({ from_us, to_us }) => {
    const length = Math.min(to_us, view.to) - Math.max(from_us, view.from);
    return `${name}: recorded ${between(from_us, to_us)}, ${lengthText(length)}.`;
  });
  if (ranges.length === 0) words.push(`${name}: nothing is recorded here.`);
  for (const gap of data.gaps.filter(inside)) {
    words.push(`${name}: gap ${between(gap.from_us, gap.to_us)}${gap.reason ? `, ${gap.reason}` : ""}.`);
  }
  for (const damage of data.damaged.filter(inside)) {
    words.push(`${name}: damaged ${between(damage.from_us, damage.to_us)}, ${damage.reason}.`);
  }
  for (const event of data.events.filter(inside)) words.push(`${name}: event ${zone.full(event.at_us)}, ${event.label}.`);
  const left = words.length - MOST;
  return left > 0 ? [...words.slice(0, MOST), `${name}: and ${left} more; zoom in.`] : words;
}

/** What lies under the pointer. */
export function hoverWords(us, timeline, zone, nearUs) {
  const parts = [zone.full(us, nearUs < 200_000 ? 3 : 0)];
  if (!timeline) return parts[0];
  const gap = timeline.gapAt(us);
  const what = isDeleted(gap?.reason) ? "not stored" : "not recorded";
  if (gap && gap.from_us !== null && gap.to_us !== null) {
    parts.push(`${what} for ${lengthText(gap.to_us - gap.from_us)}${gap.reason ? `: ${gap.reason}` : ""}`);
  } else if (gap) parts.push(gap.reason ? `${what}: ${gap.reason}` : what);
  const damage = timeline.damageAt(us);
  if (damage) parts.push(`damaged: ${damage.reason}`);
  for (const event of timeline.eventsNear(us, nearUs).slice(0, 3)) parts.push(event.label);
  return parts.join(" · ");
}

// The strip below the lanes: a longer stretch, with what the lanes show in brackets. Dragging it pans.

import { prepare } from "./lanes.mjs";
import { ticks } from "./ticks.mjs";
import { DAY_US, HOUR_US } from "./units.mjs";

const HEIGHT = 34;

/** The stretch of the strip: the day of what is shown, or as much more as is needed. */
export function overviewOf(view, zone) {
  const middle = (view.from + view.to) / 2;
  if (view.span <= 20 * HOUR_US) {
    const { from_us, to_us } = zone.day(middle);
    if (from_us <= view.from && view.to <= to_us) return { from: from_us, to: to_us };
    return { from: middle - DAY_US / 2, to: middle + DAY_US / 2 };
  }
  const span = Math.max(view.span * 4, 7 * DAY_US);
  return { from: middle - span / 2, to: middle + span / 2 };
}

export function drawOverview(canvas, { view, zone, stretch, data, nowUs }) {
  const { context, width } = prepare(canvas, HEIGHT);
  const style = getComputedStyle(canvas);
  const colour = (name) => style.getPropertyValue(`--${name}`).trim();
  const x = (us) => ((us - stretch.from) / (stretch.to - stretch.from)) * width;
  context.fillStyle = colour("gap");
  context.fillRect(0, 0, Math.min(Math.max(x(nowUs), 0), width), HEIGHT - 14);
  context.fillStyle = colour("recorded");
  for (const [from, to] of data?.ranges ?? []) {
    const left = Math.max(x(from), 0);
    context.fillRect(left, 0, Math.max(Math.min(x(to), width) - left, 1), HEIGHT - 14);
  }
  context.fillStyle = colour("event");
  for (const event of data?.events ?? []) context.fillRect(x(event.at_us) - 1, 0, 2, HEIGHT - 14);
  context.font = "11px system-ui, sans-serif";
  context.fillStyle = colour("text");
  let free = -Infinity;
  for (const tick of ticks(stretch.from, stretch.to, width, zone)) {
    const left = x(tick.us);
    if (left < free) continue;
    context.fillText(tick.label, left + 2, HEIGHT - 3);
    free = left + context.measureText(tick.label).width + 8;
  }
  const [from, to] = [x(view.from), x(view.to)];
  context.strokeStyle = colour("playhead");
  context.lineWidth = 2;
  context.strokeRect(from, 1, Math.max(to - from, 3), HEIGHT - 16);
}

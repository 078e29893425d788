// Draws the lanes: a ruler, what each recorder has recorded, gaps, damage, events, marks and the playhead.

import { ticks } from "./ticks.mjs";

const RULER = 26;
const WIDE = { lane: 34, space: 6 };
const NARROW = { lane: 18, space: 3 }; // of many, so that the pictures have room
const MOST_WIDE = 4;
const HANDLE = 9;
const NOW_WIDTH = 28;

/** Colours are those of the style sheet, which knows dark and light. */
function colours(canvas) {
  const style = getComputedStyle(canvas);
  const names = ["recorded", "gap", "hatch", "damaged", "event", "kept", "mark", "playhead", "text", "faint", "now"];
  return Object.fromEntries(names.map((name) => [name, style.getPropertyValue(`--${name}`).trim()]));
}

/** Make a canvas as sharp as the screen. Returns its context and its size in CSS pixels. */
export function prepare(canvas, height) {
  const width = canvas.clientWidth;
  const ratio = globalThis.devicePixelRatio || 1;
  canvas.style.height = `${height}px`;
  const [wide, high] = [Math.round(width * ratio), Math.round(height * ratio)];
  if (canvas.width !== wide || canvas.height !== high) Object.assign(canvas, { width: wide, height: high });
  const context = canvas.getContext("2d");
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  context.clearRect(0, 0, width, height);
  return { context, width, height };
}

const sizesOf = (count) => (count > MOST_WIDE ? NARROW : WIDE);

export function lanesHeight(count) {
  const { lane, space } = sizesOf(count);
  return RULER + count * (lane + space);
}

/** The number of the lane at a height, among `count`. */
export function laneAt(y, count) {
  const { lane, space } = sizesOf(count);
  return Math.floor((y - RULER) / (lane + space));
}

/** Which mark's handle is at a position: "in", "out" or null. */
export function handleAt(x, view, marks, width, reach) {
  for (const name of ["in", "out"]) {
    if (marks[name] !== null && Math.abs(view.x(marks[name], width) - x) <= Math.max(reach, HANDLE)) return name;
  }
  return null;
}

/** Draw everything. `lanes` are `[{name, data, focused, live}]`. */
export function drawLanes(canvas, { view, zone, lanes, playheadUs, marks, nowUs }) {
  const { context, width, height } = prepare(canvas, lanesHeight(lanes.length));
  const colour = colours(canvas);
  context.font = "12px system-ui, sans-serif";
  const nowX = nowUs < view.to ? view.x(nowUs, width) : null;
  const nowLeft = nowX === null ? null : Math.min(nowX + 4, width - NOW_WIDTH);
  drawRuler(context, { view, zone, width, height, colour, nowLeft });
  lanes.forEach((lane, number) => {
    const size = sizesOf(lanes.length);
    const top = RULER + number * (size.lane + size.space);
    drawLane(context, { lane, view, width, top, high: size.lane, colour, nowUs });
  });
  drawMarks(context, { view, width, height, marks, colour });
  if (nowX !== null) {
    context.fillStyle = colour.now;
    context.fillRect(nowX - 1, RULER - 6, 2, height - RULER + 6);
    context.fillText("now", nowLeft, RULER - 11);
  }
  if (playheadUs !== null) {
    const x = view.x(playheadUs, width);
    context.fillStyle = colour.playhead;
    context.fillRect(x - 1, 12, 2, height - 12);
    context.beginPath();
    context.moveTo(x - 7, 12);
    context.lineTo(x + 7, 12);
    context.lineTo(x, 22);
    context.fill();
  }
}

function drawRuler(context, { view, zone, width, height, colour, nowLeft }) {
  let free = -Infinity;
  for (const tick of ticks(view.from, view.to, width, zone)) {
    const x = view.x(tick.us, width);
    context.fillStyle = colour.faint;
    context.fillRect(Math.round(x), RULER - (tick.strong ? 12 : 6), 1, height);
    if (x < free) continue;
    context.fillStyle = colour.text;
    const right = x + context.measureText(tick.label).width + 10;
    if (nowLeft !== null && right > nowLeft && x < nowLeft + NOW_WIDTH) continue; // "now" stands there
    context.fillText(tick.label, x + 3, RULER - 11);
    free = right;
  }
}

function drawLane(context, { lane, view, width, top, high, colour, nowUs }) {
  const { data } = lane;
  const clip = (us) => Math.min(Math.max(view.x(us, width), -2), width + 2);
  const end = clip(Math.min(nowUs, view.to));
  context.fillStyle = colour.gap;
  context.fillRect(0, top, Math.max(end, 0), high);
  if (data) {
    context.fillStyle = colour.recorded;
    for (const [from, to] of data.ranges) {
      const [left, right] = [clip(from), clip(to)];
      if (right > -2 && left < width + 2) context.fillRect(left, top, Math.max(right - left, 1), high);
    }
    drawGaps(context, { data, view, width, top, high, colour, clip });
    context.fillStyle = colour.damaged;
    for (const { from_us, to_us } of data.damaged) {
      const left = clip(from_us);
      context.fillRect(left, top + high - 7, Math.max(clip(to_us) - left, 2), 7);
    }
    for (const event of data.events) {
      context.fillStyle = event.keep ? colour.kept : colour.event;
      const left = clip(event.from_us);
      context.fillRect(left, top, Math.max(clip(event.to_us) - left, 2), 4);
      const x = view.x(event.at_us, width);
      context.beginPath();
      context.moveTo(x, top + 11);
      context.lineTo(x - 5, top);
      context.lineTo(x + 5, top);
      context.fill();
    }
  }
  context.font = lane.focused ? "bold 12px system-ui, sans-serif" : "12px system-ui, sans-serif";
  const label = lane.note ? `${lane.name}: ${lane.note}` : lane.name;
  context.lineWidth = 3;
  context.strokeStyle = colour.hatch;
  context.strokeText(label, 6, top + high / 2 + 5);
  context.fillStyle = colour.text;
  context.fillText(label, 6, top + high / 2 + 5);
  context.font = "12px system-ui, sans-serif";
}

/** Gaps of which nothing is noted, between what is recorded. */
function holesOf({ ranges, gaps }) {
  const holes = ranges.slice(1).map(([to_us], number) => ({ from_us: ranges[number][1], to_us }));
  return holes.filter((hole) => !gaps.some((gap) => gap.from_us < hole.to_us && hole.from_us < gap.to_us));
}

function drawGaps(context, { data, view, width, top, high, colour, clip }) {
  // Hatched, so that a gap is one without its colour too.
  context.strokeStyle = colour.hatch;
  context.lineWidth = 1;
  for (const gap of [...data.gaps, ...holesOf(data)]) {
    const [left, right] = [clip(gap.from_us), clip(gap.to_us)];
    if (right - left < 3 || right < 0 || left > width) continue;
    context.save();
    context.beginPath();
    context.rect(left, top, right - left, high);
    context.clip();
    context.beginPath();
    for (let x = left - high - (left % 8); x < right; x += 8) {
      context.moveTo(x, top + high);
      context.lineTo(x + high, top);
    }
    context.stroke();
    context.restore();
    if (!gap.reason) continue;
    const text = context.measureText(gap.reason);
    if (text.width + 12 > right - left) continue;
    context.fillStyle = colour.gap;
    const middle = (Math.max(left, 0) + Math.min(right, width) - text.width) / 2;
    context.fillRect(middle - 4, top + high / 2 - 8, text.width + 8, 17);
    context.fillStyle = colour.text;
    context.fillText(gap.reason, middle, top + high / 2 + 5);
  }
}

function drawMarks(context, { view, width, height, marks, colour }) {
  const [from, to] = [marks.in, marks.out].map((us) => (us === null ? null : view.x(us, width)));
  context.fillStyle = colour.mark;
  if (from !== null && to !== null) {
    context.globalAlpha = 0.22;
    context.fillRect(from, RULER, to - from, height - RULER);
    context.globalAlpha = 1;
  }
  for (const [x, side] of [
    [from, 1],
    [to, -1],
  ]) {
    if (x === null) continue;
    context.fillRect(x - 1, RULER - 4, 2, height);
    context.fillRect(x - (side < 0 ? HANDLE : 0), RULER - 4, HANDLE, 12);
  }
}

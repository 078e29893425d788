// Mouse, pen and fingers on the lanes: hover, click, drag to scrub, wheel and pinch to zoom, handles of marks to drag.

import { handleAt, laneAt } from "./lanes.mjs";

const CLICK_PX = 4;
const WHEEL = 0.0018;
const FINGER_REACH = 22;

/** `on` has laneCount, hover(us, x, lane), leave(), scrub(us, x, lane), settle(us), mark(name, us), moved(). */
export class LanePointer {
  constructor(canvas, { view, marks, on }) {
    Object.assign(this, { canvas, view, marks, on });
    this.fingers = new Map();
    this.drag = null;
    canvas.addEventListener("pointerdown", (event) => this.down(event));
    canvas.addEventListener("pointermove", (event) => this.move(event));
    canvas.addEventListener("pointerup", (event) => this.up(event));
    canvas.addEventListener("pointercancel", (event) => this.cancel(event));
    // What is dragged is still looked for when the pointer is beside the lanes.
    canvas.addEventListener("pointerleave", () => this.drag || this.on.leave());
    canvas.addEventListener("wheel", (event) => this.wheel(event), { passive: false });
  }

  at(event) {
    const box = this.canvas.getBoundingClientRect();
    const x = Math.min(Math.max(event.clientX - box.left, 0), box.width);
    return { x, us: this.view.us(x, box.width), lane: laneAt(event.clientY - box.top, this.on.laneCount), width: box.width };
  }

  down(event) {
    if (event.button !== 0) return;
    const at = this.at(event);
    this.fingers.set(event.pointerId, at.x);
    try {
      this.canvas.setPointerCapture(event.pointerId);
    } catch {
      // the pointer is gone already
    }
    if (this.fingers.size === 2) {
      this.drag = { kind: "pinch" };
      this.on.leave();
      return;
    }
    const reach = event.pointerType === "touch" ? FINGER_REACH : 0;
    const handle = handleAt(at.x, this.view, this.marks, at.width, reach);
    this.drag = handle ? { kind: "mark", handle } : { kind: event.shiftKey ? "pan" : "scrub", x: at.x, moved: false };
  }

  move(event) {
    if (this.drag && event.buttons === 0) this.cancel(event); // it was released where that is not told
    const at = this.at(event);
    if (!this.drag) {
      this.canvas.classList.toggle("handle", handleAt(at.x, this.view, this.marks, at.width, 0) !== null);
      this.on.hover(at.us, at.x, at.lane);
      return;
    }
    if (this.drag.kind === "pinch") this.pinch(event, at);
    else if (this.drag.kind === "mark") this.on.mark(this.drag.handle, at.us);
    else if (this.drag.kind === "pan") {
      this.view.pan(((this.drag.x - at.x) / at.width) * this.view.span);
      this.drag.x = at.x;
      this.on.moved();
    } else {
      this.drag.moved ||= Math.abs(at.x - this.drag.x) > CLICK_PX;
      if (this.drag.moved) this.on.scrub(at.us, at.x, at.lane);
    }
  }

  pinch(event, at) {
    if (!this.fingers.has(event.pointerId)) return;
    const before = [...this.fingers.values()];
    this.fingers.set(event.pointerId, at.x);
    const after = [...this.fingers.values()];
    const [wide, wider] = [before, after].map(([one, other]) => Math.max(Math.abs(one - other), 20));
    const [middle, moved] = [before, after].map(([one, other]) => (one + other) / 2);
    this.view.zoom(wide / wider, this.view.us(middle, at.width));
    this.view.pan(((middle - moved) / at.width) * this.view.span);
    this.on.moved();
  }

  up(event) {
    const drag = this.drag;
    this.fingers.delete(event.pointerId);
    if (!drag) return;
    if (drag.kind === "pinch") {
      if (this.fingers.size === 0) this.drag = null;
      return;
    }
    this.drag = null;
    const at = this.at(event);
    if (drag.kind === "scrub") this.on.settle(at.us, at.lane, { clicked: !drag.moved });
    if (drag.kind === "mark") this.on.mark(drag.handle, at.us, { done: true });
    if (event.pointerType === "touch" || !this.isOver(event)) this.on.leave();
  }

  isOver({ clientX, clientY }) {
    const { left, right, top, bottom } = this.canvas.getBoundingClientRect();
    return clientX >= left && clientX < right && clientY >= top && clientY < bottom;
  }

  cancel(event) {
    this.fingers.delete(event.pointerId);
    this.drag = null;
    this.on.leave();
  }

  wheel(event) {
    event.preventDefault();
    const at = this.at(event);
    const scale = event.deltaMode === 1 ? 30 : 1;
    if (event.shiftKey || Math.abs(event.deltaX) > Math.abs(event.deltaY)) {
      this.view.pan((((event.deltaX || event.deltaY) * scale) / at.width) * this.view.span);
    } else {
      this.view.zoom(Math.exp(event.deltaY * scale * WHEEL), at.us);
    }
    this.on.moved();
    this.on.hover(at.us, at.x, at.lane);
  }
}

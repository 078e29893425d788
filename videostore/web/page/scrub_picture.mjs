// The small picture over what a screen shows, while the pointer looks for a moment.

import { element } from "./element.mjs";
import { drawPicture } from "./pictures.mjs";

export class ScrubPicture {
  constructor() {
    this.canvas = element("canvas", { class: "scrubbed", hidden: true });
    this.us = null; // its capture time; null while there is none
  }

  show({ bitmap, captured_us }) {
    drawPicture(this.canvas, bitmap);
    this.canvas.hidden = false;
    this.us = captured_us;
  }

  hide() {
    this.canvas.hidden = true;
    this.us = null;
  }
}

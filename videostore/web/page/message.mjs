// What is said on a screen, instead of its picture or low on it.

import { element } from "./element.mjs";

export class Message {
  /** `figure` learns in `data-empty` whether its picture is hidden. */
  constructor(figure) {
    this.figure = figure;
    this.element = element("div", { class: "message", role: "status", hidden: true });
  }

  /** Say a text, with buttons below it: `[label, onclick, title]`. */
  put(text, ways = [], place = "middle") {
    const buttons = ways.map(([label, onclick, title]) => element("button", { type: "button", onclick, title: title ?? "" }, label));
    this.element.replaceChildren(element("span", {}, text), element("br"), ...buttons);
    this.element.dataset.place = place;
    this.element.hidden = false;
    this.figure.dataset.empty = String(place === "middle");
  }

  clear() {
    this.element.hidden = true;
    this.figure.dataset.empty = "false";
  }
}

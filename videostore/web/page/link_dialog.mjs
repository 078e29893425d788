// The address of the shown moment, for another person.

import { find, openDialog, say } from "./element.mjs";

export class LinkDialog {
  constructor(address) {
    this.address = address;
  }

  async open() {
    this.address.write();
    openDialog(find("link-dialog"));
    const field = find("link-text");
    field.value = location.href;
    field.select();
    try {
      await navigator.clipboard.writeText(field.value);
      say(find("link-state"), "It is copied.");
    } catch {
      say(find("link-state"), "Copy it with Ctrl+C.");
    }
  }
}

// Asks for the password where the server wants one.

import { find, openDialog, say } from "./element.mjs";

export class Session {
  constructor(api) {
    this.api = api;
    this.opening = null;
    const dialog = find("login");
    dialog.addEventListener("cancel", (event) => event.preventDefault());
    find("log-out").onclick = () => this.end();
    find("login-form").onsubmit = async (event) => {
      event.preventDefault();
      const field = find("password");
      try {
        await this.api.send("api/session", { password: field.value });
        field.value = "";
        say(find("login-error"), "");
        dialog.close();
        this.opened?.();
      } catch (error) {
        say(find("login-error"), error.message);
        field.select();
      }
    };
  }

  async end() {
    try {
      await this.api.send("api/session", {}, "DELETE");
      location.reload();
    } catch (error) {
      say(find("word"), `The session goes on. ${error.message}`);
    }
  }

  /** Return when the session is open. */
  async open() {
    const { needed, open } = await this.api.get("api/session").catch((error) => {
      if (error.status === 404) return { needed: false };
      throw error;
    });
    find("log-out").hidden = !needed;
    if (needed && !open) await this.ask();
  }

  /** Ask for the password, once at a time. */
  ask() {
    this.opening ??= new Promise((resolve) => {
      this.opened = resolve;
      openDialog(find("login"));
      find("password").focus();
    }).finally(() => {
      this.opening = null;
    });
    return this.opening;
  }
}

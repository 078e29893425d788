// Asks for the password where the server wants one.

import { find, openDialog, say } from "./element.mjs";

export class Session {
  /** `onOpened` is called when the password was given after the session had ended. */
  constructor(api, onOpened) {
    Object.assign(this, { api, onOpened });
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
    const { needed, open } = await this.state();
    find("log-out").hidden = !needed;
    if (needed && !open) await this.ask();
  }

  /** Whether a password is needed, and whether it was given. */
  state() {
    return this.api.get("api/session").catch((error) => {
      if (error.status === 404) return { needed: false };
      throw error;
    });
  }

  /** Ask for the password, once at a time, unless the session is open. Return when it is. */
  ask() {
    this.opening ??= this.reopen().finally(() => {
      this.opening = null;
    });
    return this.opening;
  }

  async reopen() {
    // What was on its way may be refused after the password was given, here or in another window.
    const { needed, open } = await this.state().catch(() => ({ needed: true }));
    if (!needed || open) return;
    await new Promise((resolve) => {
      this.opened = resolve;
      openDialog(find("login"));
      find("password").focus();
    });
    this.onOpened();
  }
}

// The marked clip: its length and size in words, download, and saving for upload.

import { ApiError } from "./api.mjs";
import { download } from "./download.mjs";
import { find, openDialog, say } from "./element.mjs";
import { lengthText, sizeText } from "./units.mjs";

const PAUSE_MS = 250;
const POLL_MS = 1000;
const NONE = { in: null, out: null };

export class Clip {
  /** `context` has api, zone(), recorder() (that of the clip), say(text), onChange(). */
  constructor(context) {
    this.context = context;
    this.marks = { ...NONE };
    this.estimate = null;
    find("download").onclick = () => this.download();
    find("clear").onclick = () => this.clear();
    find("save").onclick = () => this.openSave();
    find("save-form").onsubmit = (event) => {
      event.preventDefault();
      this.save();
    };
    find("export-cancel").onclick = () => this.abort?.abort();
  }

  get isWhole() {
    return this.marks.in !== null && this.marks.out !== null && this.marks.in < this.marks.out;
  }

  /** Set a mark. One that would lie on the wrong side removes the other. */
  set(name, us) {
    const other = name === "in" ? "out" : "in";
    this.marks[name] = us;
    if (this.marks[other] !== null && this.marks.in >= this.marks.out) this.marks[other] = null;
    this.changed();
  }

  /** Drag a mark, up to the other one. */
  move(name, us) {
    const { in: from, out: to } = this.marks;
    if (name === "in") this.marks.in = to === null ? us : Math.min(us, to - 1);
    else this.marks.out = from === null ? us : Math.max(us, from + 1);
    this.changed();
  }

  clear() {
    Object.assign(this.marks, NONE);
    this.changed();
  }

  changed() {
    this.estimate = null;
    clearTimeout(this.timer);
    this.render();
    if (this.isWhole) this.timer = setTimeout(() => this.ask(), PAUSE_MS);
    this.context.onChange();
  }

  get query() {
    return { from_us: this.marks.in, to_us: this.marks.out };
  }

  async ask() {
    const { api, recorder } = this.context;
    const query = this.query;
    try {
      const estimate = await api.get(api.recorderUrl(recorder().id, "clip", query));
      if (query.from_us !== this.marks.in || query.to_us !== this.marks.out) return;
      this.estimate = estimate;
    } catch (error) {
      this.estimate = { error };
    }
    this.render();
  }

  render() {
    const { in: from, out: to } = this.marks;
    const zone = this.context.zone();
    const parts = [];
    if (from !== null) parts.push(`in ${zone.time(from, 3)}`);
    if (to !== null) parts.push(`out ${zone.time(to, 3)}`);
    if (this.isWhole) {
      const { estimate } = this;
      if (estimate?.error) parts.push(estimate.error.message);
      else if (estimate) {
        parts.push(`${lengthText(to - from)} ≈ ${sizeText(estimate.size_bytes)}`);
        const missing = to - from - estimate.ranges.reduce((sum, [start, end]) => sum + end - start, 0);
        if (missing > 1e6) parts.push(`without ${lengthText(missing)} that was not recorded`);
        if (count(estimate.damaged)) parts.push("with damaged pictures");
      } else parts.push(lengthText(to - from));
    }
    say(find("clip-text"), parts.join(" · "));
    const ready = this.isWhole && !this.estimate?.error && !this.abort;
    find("download").disabled = !ready;
    find("save").disabled = !ready;
    find("save").hidden = !this.context.recorder()?.saves;
    find("clear").hidden = from === null && to === null;
  }

  progress(text, done = 0, whole = 0) {
    const bar = find("export-progress");
    find("export").hidden = false;
    say(find("export-text"), text);
    if (whole > 0) Object.assign(bar, { max: whole, value: done });
    else bar.removeAttribute("value");
  }

  async download() {
    if (!this.isWhole || this.abort) return;
    const { api, recorder, zone } = this.context;
    const { id, name } = recorder();
    const file = `${name}_${zone().date(this.marks.in)}_${zone().time(this.marks.in).replaceAll(":", "-")}.mp4`;
    this.abort = new AbortController();
    find("export-cancel").hidden = false;
    find("export-progress").hidden = false;
    this.render();
    try {
      const told = await download(api, api.recorderUrl(id, "clip.mp4", this.query), {
        name: file.replaceAll(/[^\w.-]+/g, "_"),
        expected: this.estimate?.size_bytes,
        estimateUrl: api.recorderUrl(id, "clip", this.query),
        tell: (...progress) => this.progress(...progress),
        signal: this.abort.signal,
      });
      this.over(told);
    } catch (error) {
      this.over(error.name === "AbortError" ? "The download was cancelled." : `The download failed. ${error.message}`);
    }
  }

  over(text) {
    this.abort = null;
    find("export").hidden = false;
    find("export-cancel").hidden = true;
    find("export-progress").hidden = true;
    say(find("export-text"), text);
    this.render();
  }

  openSave() {
    if (!this.isWhole || !this.context.recorder()?.saves) return;
    const zone = this.context.zone();
    const { in: from, out: to } = this.marks;
    say(find("save-what"), `${this.context.recorder().name}, ${zone.full(from, 3)}, ${lengthText(to - from)}. ` +
      "The recorder writes it into its upload path.");
    say(find("save-error"), "");
    openDialog(find("save-dialog"));
  }

  async save() {
    const { api, recorder } = this.context;
    const { id } = recorder();
    const tags = find("tags").value.split(",").map((tag) => tag.trim()).filter(Boolean);
    try {
      const body = { ...this.query, metadata: find("metadata").value.trim(), tags };
      const answer = await api.send(api.recorderUrl(id, "saves"), body);
      find("save-dialog").close();
      await this.follow(id, answer);
    } catch (error) {
      if (find("save-dialog").open && error instanceof ApiError) say(find("save-error"), error.message);
      else this.over(`It was not saved. ${error.message}`);
    }
  }

  /** Say what becomes of a save until it is written or has failed. */
  async follow(id, answer) {
    find("export-cancel").hidden = true;
    find("export-progress").hidden = false;
    const path = `saves/${encodeURIComponent(answer.file_name)}`;
    for (let state = answer; ; state = await this.stateOf(id, path, state)) {
      if (state.state === "failed") {
        this.over(`${state.file_name} was not saved. ${state.message}`);
        return;
      }
      if (state.state === "done") {
        this.over(`${state.file_name} is in the upload path.`);
        return;
      }
      this.progress(`${state.file_name} is being written …${state.trouble ? ` ${state.trouble}` : ""}`);
      await new Promise((resolve) => setTimeout(resolve, POLL_MS));
    }
  }

  /** The state of a save. That the server does not answer says nothing of it: it is asked for again. */
  async stateOf(id, path, known) {
    const { api } = this.context;
    try {
      return await api.get(api.recorderUrl(id, path));
    } catch (error) {
      if (error instanceof ApiError) return { ...known, state: "failed", message: error.message };
      return { ...known, trouble: error.message };
    }
  }
}

const count = (damaged) => (Array.isArray(damaged) ? damaged.length : Number(damaged) || 0);


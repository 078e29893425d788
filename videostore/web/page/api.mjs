// Requests to the server. All paths are relative to the page, which a proxy may serve below a path of its own.

const LIMIT_MS = 15_000; // a busy machine may take some seconds for a picture
const TRIES = 2;
const OPEN_TRIES = 3; // with a session; what is refused then is refused by another than this server
const SEND_LIMIT_MS = 60_000;

export class ApiError extends Error {
  constructor(status, answer) {
    super(answer.message ?? `The server answered ${status}.`);
    this.status = status;
    this.code = answer.error ?? "";
    this.fields = answer;
  }
}

/** The server does not answer at all. */
export class UnreachableError extends Error {
  constructor() {
    super("The server does not answer. Is it still running, and is there a network?");
  }
}

/** The server took too long. */
export class LateError extends Error {
  constructor(limit_ms) {
    super(`The server did not answer within ${limit_ms / 1000} s. Is it busy, or the network slow?`);
  }
}

/** Whether the same request may be answered later: the server was busy, away or late. */
export function passes({ status }) {
  return status === undefined || status === 429 || status >= 500;
}

export class Api {
  /** `onLocked` is called when the session has ended, and resolves when it is open again; `onLate` is called with what
   * to say when a request is made again. */
  constructor(onLocked, onLate, limit_ms = LIMIT_MS) {
    Object.assign(this, { onLocked, onLate, limit_ms });
  }

  url(path, query = {}) {
    const words = Object.entries(query).filter(([, value]) => value !== undefined && value !== null);
    const text = new URLSearchParams(words.map(([name, value]) => [name, String(value)])).toString();
    return text ? `${path}?${text}` : path;
  }

  recorderUrl(id, what, query) {
    return this.url(`api/recorders/${encodeURIComponent(id)}/${what}`, query);
  }

  playlistUrl(id, query) {
    return this.url(`hls/${encodeURIComponent(id)}/index.m3u8`, query);
  }

  /** The response of a request. Throws ApiError or UnreachableError; an AbortError passes. */
  async response(url, options = {}) {
    let response;
    try {
      response = await fetch(url, { credentials: "same-origin", ...options });
    } catch (error) {
      if (error.name === "AbortError") throw error;
      throw new UnreachableError();
    }
    if (response.ok) return response;
    let answer = {};
    try {
      answer = await response.json();
    } catch {
      // A proxy's own answer is no JSON; the status says it all.
    }
    throw new ApiError(response.status, answer);
  }

  /** What `ask` answers. What is refused because the session has ended is asked for again as soon as it is open. */
  async unlocked(url, ask) {
    for (let tries = 1; ; tries += 1) {
      try {
        return await ask();
      } catch (error) {
        if (error.status !== 401 || url.startsWith("api/session") || tries === OPEN_TRIES) throw error;
        await this.onLocked();
      }
    }
  }

  /** What `read` makes of the response of a request that changes nothing. It has `limit_ms` for it all; one that is late
   * is made once more, and that is said. Throws LateError too. */
  async read(url, read) {
    for (let tries = 1; ; tries += 1) {
      const { result, isLate } = await this.unlocked(url, () => this.readOnce(url, read));
      if (!isLate) return result;
      if (tries === TRIES) throw new LateError(this.limit_ms);
      this.onLate(`The server has not answered for ${this.limit_ms / 1000} s. Asking again …`);
    }
  }

  /** `{result}`, or `{isLate: true}` if the limit was reached. */
  async readOnce(url, read, options = {}, limit_ms = this.limit_ms) {
    const abort = new AbortController();
    let isLate = false;
    const timer = setTimeout(() => {
      isLate = true;
      abort.abort();
    }, limit_ms);
    try {
      return { result: await read(await this.response(url, { ...options, signal: abort.signal })) };
    } catch (error) {
      if (isLate) return { isLate };
      throw error instanceof TypeError ? new UnreachableError() : error; // the connection broke within the answer
    } finally {
      clearTimeout(timer);
    }
  }

  get(url) {
    return this.read(url, (response) => response.json());
  }

  /** Send something. It is sent once, however long that takes, up to SEND_LIMIT_MS. */
  async send(url, body, method = "POST") {
    const options = { method, headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) };
    const ask = () => this.readOnce(url, (response) => response.text(), options, SEND_LIMIT_MS);
    const { result, isLate } = await this.unlocked(url, ask);
    if (isLate) throw new LateError(SEND_LIMIT_MS);
    return result ? JSON.parse(result) : {};
  }
}

// Requests to the server. All paths are relative to the page, which a proxy may serve below a path of its own.

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

export class Api {
  /** `onLocked` is called when the session has ended. */
  constructor(onLocked) {
    this.onLocked = onLocked;
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
    if (response.status === 401 && !url.startsWith("api/session")) this.onLocked();
    throw new ApiError(response.status, answer);
  }

  async get(url, options) {
    return (await this.response(url, options)).json();
  }

  async send(url, body, method = "POST") {
    const options = { method, headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) };
    const response = await this.response(url, options);
    const text = await response.text();
    return text ? JSON.parse(text) : {};
  }
}

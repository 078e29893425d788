// Why nothing is played, in words.

import { CUT_OFF } from "./whole_pieces.mjs";

/** What an error of hls.js means for people. */
export function failureText({ type, details, response, error }) {
  if (type !== "networkError") return error?.message || details;
  if (response?.text === CUT_OFF) return CUT_OFF;
  const status = response?.code;
  if (status === 401) return "a password is needed";
  if (status >= 400) return `the server answered ${status}${response.text ? `, ${response.text}` : ""}`;
  return /TimeOut/.test(details) ? "the server did not answer in time" : "the server does not answer";
}

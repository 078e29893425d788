// Why nothing is played, in words.

/** What an error of hls.js means for people. */
export function failureText({ type, details, response, error }) {
  if (type !== "networkError") return error?.message || details;
  const status = response?.code;
  if (status >= 400) return `the server answered ${status}${response.text ? `, ${response.text}` : ""}`;
  return /TimeOut/.test(details) ? "the server did not answer in time" : "the server does not answer";
}

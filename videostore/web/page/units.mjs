// Lengths of time in microseconds, and words for lengths and sizes.

export const SECOND_US = 1_000_000;
export const MINUTE_US = 60 * SECOND_US;
export const HOUR_US = 60 * MINUTE_US;
export const DAY_US = 24 * HOUR_US;

/** A length of time in words: "250 ms", "1.5 s", "3 min 20 s", "5 h 10 min", "2 days 3 h". */
export function lengthText(us) {
  const seconds = Math.abs(us) / SECOND_US;
  if (seconds < 1) return `${Math.round(seconds * 1000)} ms`;
  if (seconds < 10) return `${Number(seconds.toFixed(1))} s`;
  const whole = Math.round(seconds);
  const parts = [
    [Math.floor(whole / 86400), "day"],
    [Math.floor(whole / 3600) % 24, "h"],
    [Math.floor(whole / 60) % 60, "min"],
    [whole % 60, "s"],
  ];
  const first = parts.findIndex(([count]) => count > 0);
  return parts
    .slice(first, first + 2)
    .filter(([count]) => count > 0)
    .map(([count, unit]) => `${count} ${unit}${unit === "day" && count > 1 ? "s" : ""}`)
    .join(" ");
}

/** A number of bytes in words: "4.2 MiB". The units are those of `size_gb` and of the command line. */
export function sizeText(bytes) {
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let number = bytes;
  let unit = 0;
  while (number >= 1023.5 && unit < units.length - 1) {
    number /= 1024;
    unit += 1;
  }
  return `${unit === 0 || number >= 99.5 ? Math.round(number) : Number(number.toFixed(1))} ${units[unit]}`;
}

/** Some of a whole in percent. */
export function shareText(part, whole) {
  return whole > 0 ? `${Math.round((100 * part) / whole)} %` : "";
}

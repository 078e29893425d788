// The picture of a moment as a file.

import { handBlob } from "./download.mjs";

/** Put the frame that is shown at a moment into the downloads, at its own size. Returns what to say. */
export async function handPicture({ api, zone }, recorder, at_us) {
  const url = api.recorderUrl(recorder.id, "frame.jpg", { at_us, exact: 1 });
  const [captured, blob] = await api.read(url, async (response) => [
    Number(response.headers.get("X-Capture-Time-Us")),
    await response.blob(),
  ]);
  const name = `${recorder.name}_${zone().date(captured)}_${zone().time(captured, 3)}`;
  handBlob(blob, `${name.replaceAll(/[^\w.-]+/g, "-")}.jpg`);
  return `The picture of ${zone().full(captured, 3)} is in your downloads.`;
}

// What a video element holds of its media.

function loadedRanges({ buffered }) {
  return Array.from({ length: buffered.length }, (_, number) => [buffered.start(number), buffered.end(number)]);
}

export function isLoaded(video, position) {
  return loadedRanges(video).some(([from, to]) => from <= position && position < to);
}

/** Whether a position follows what is shown without a hole. What is not loaded may begin without a keyframe. */
export function isReached(video, position) {
  const { currentTime } = video;
  return loadedRanges(video).some(([from, to]) => from <= currentTime && position < to);
}

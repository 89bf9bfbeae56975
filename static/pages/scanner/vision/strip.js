// A straightened band of pixels along one side of a quadrilateral.

/** @typedef {import('./geometry.js').Point} Point */
/** @typedef {{data: Uint8ClampedArray | Uint8Array, width: number, height: number}} Image RGBA, or grey (one byte a pixel) */
/**
 * @typedef {object} Strip
 * @property {Float32Array} rgb along × across × 3, means of the pixels under each cell
 * @property {Uint8Array} inside along × across, 1 where the cell lies in the picture
 * @property {number} along cells from a to b
 * @property {number} across cells from inside (0) to outside (across - 1)
 * @property {number} step pixels per cell, across
 * @property {number} from where along the side the first cell's centre lies, 0..1
 * @property {number} to the last cell's
 */

/** @typedef {{along: number, step: number, reach: number, from: number, to: number}} Grid places along, pixels per cell, half band in pixels, part of the side */

/**
 * Samples the band of ± reach pixels around a → b (a clockwise side: outside is on the left hand).
 * Each cell is the mean of a few pixels spread over it: noise and single letters average out.
 * @param {Image} image @param {Point} a @param {Point} b
 * @param {Grid} grid @returns {Strip}
 */
export function sampleStrip(image, a, b, { along, step, reach, from, to }) {
  const { data, width, height } = image;
  const channels = data.length / (width * height);
  const across = 2 * Math.round(reach / step) + 1;
  const length = Math.hypot(b[0] - a[0], b[1] - a[1]);
  const [dx, dy] = [(b[0] - a[0]) / length, (b[1] - a[1]) / length];
  const pitch = (length * (to - from)) / along;
  const tapsAlong = Math.min(4, Math.max(1, Math.round(pitch * 0.7)));
  const tapsAcross = Math.min(3, Math.max(1, Math.round(step)));
  const taps = tapsAlong * tapsAcross;
  const green = channels === 4 ? 1 : 0;
  const blue = channels === 4 ? 2 : 0;
  const rgb = new Float32Array(along * across * 3);
  const inside = new Uint8Array(along * across);
  for (let i = 0; i < along; i++) {
    for (let j = 0; j < across; j++) {
      const outward = (j - (across - 1) / 2) * step;
      let r = 0;
      let g = 0;
      let bl = 0;
      let seen = 0;
      for (let k = 0; k < taps; k++) {
        const s = length * from + (i + ((k % tapsAlong) + 0.5) / tapsAlong) * pitch;
        const n = outward + (((k / tapsAlong | 0) + 0.5) / tapsAcross - 0.5) * step;
        const x = Math.floor(a[0] + dx * s + dy * n);
        const y = Math.floor(a[1] + dy * s - dx * n);
        if (x < 0 || y < 0 || x >= width || y >= height) continue;
        const at = (y * width + x) * channels;
        r += data[at];
        g += data[at + green];
        bl += data[at + blue];
        seen++;
      }
      if (seen < taps) continue;
      const cell = i * across + j;
      inside[cell] = 1;
      rgb[3 * cell] = r / taps;
      rgb[3 * cell + 1] = g / taps;
      rgb[3 * cell + 2] = bl / taps;
    }
  }
  const half = 0.5 / along;
  return { rgb, inside, along, across, step, from: from + (to - from) * half, to: to - (to - from) * half };
}

// How bright and what colour the bare paper would be at every place of a straightened page.

/** @typedef {{data: Uint8ClampedArray, width: number, height: number}} Image RGBA, row-major */
/**
 * @typedef {object} Paper a coarse picture of the bare paper under the page's light and shadows
 * @property {Float32Array} rgb rows × cols × 3, 0..255
 * @property {number} cols
 * @property {number} rows
 * @property {number} cell pixels per cell
 * @property {[number, number, number]} colour the sheet's commonest colour in the photo, 0..255
 */

/** Cells along the longer side: letters are smaller than two or three of them, shadows are larger. */
const LONG_CELLS = 224;
/** Each cell is split into this many parts a side and takes the brightest part: the paper between letters. */
const PARTS = 3;
/** Dark print up to this many cells wide is bridged: headlines, rules, bold letters. */
const BRIDGE = 3;
/** Darker than this share of the brightest paper around is print, not shadow. */
const DEEPEST_SHADOW = 0.4;
/** How that brightness fades per cell of distance: light falls off across a page, but slowly. */
const FADE = 0.99;
/** Print is told from shadow by its colour, too: largest difference of the channels' shares of the sum. */
const SAME_CHROMA = 0.045;

/** @param {Image} image @returns {Paper} */
export function estimatePaper(image) {
  const cell = Math.max(PARTS, Math.ceil(Math.max(image.width, image.height) / LONG_CELLS));
  const cols = Math.ceil(image.width / cell);
  const rows = Math.ceil(image.height / cell);
  const rgb = brightestParts(image, cell, cols, rows);
  const bridged = Float32Array.from(rgb);
  for (let c = 0; c < 3; c++) {
    const plane = rgb.filter((_, i) => i % 3 === c);
    const closed = slideBoth(slideBoth(plane, cols, rows, BRIDGE, Math.max), cols, rows, BRIDGE, Math.min);
    for (let i = 0; i < closed.length; i++) bridged[3 * i + c] = closed[i];
  }
  const light = luminances(bridged);
  const around = brightestAround(light, cols, rows);
  const sheet = commonColour(bridged, light, around);
  const known = Float32Array.from(light, (l, i) => (l >= DEEPEST_SHADOW * around[i] && likeness(bridged, i, sheet) ? 1 : 0));
  const filled = fillUnknown(bridged, known, cols, rows);
  for (let i = 0; i < 2; i++) smooth(filled, cols, rows);
  return { rgb: filled, cols, rows, cell, colour: sheet };
}

/** Per cell, the mean colour of its brightest part. @param {Image} image @param {number} cell @param {number} cols @param {number} rows */
function brightestParts({ data, width, height }, cell, cols, rows) {
  const out = new Float32Array(cols * rows * 3);
  const part = cell / PARTS;
  const wide = cols * PARTS;
  const sums = new Float64Array(wide * 4);
  const partOf = Uint32Array.from({ length: width }, (_, x) => 4 * Math.min(wide - 1, Math.floor(x / part)));
  let row = 0;
  for (let y = 0; y < height; y++) {
    for (let x = 0, at = 4 * y * width; x < width; x++, at += 4) {
      const p = partOf[x];
      sums[p] += data[at];
      sums[p + 1] += data[at + 1];
      sums[p + 2] += data[at + 2];
      sums[p + 3]++;
    }
    const next = Math.floor((y + 1) / part);
    if (next === row && y < height - 1) continue;
    keepBrighter(sums, out.subarray(3 * cols * Math.floor(row / PARTS)), wide);
    sums.fill(0);
    row = next;
  }
  return out;
}

/** @param {Float64Array} sums r, g, b, count per part @param {Float32Array} out the row's cells @param {number} wide parts in a row */
function keepBrighter(sums, out, wide) {
  for (let p = 0; p < wide; p++) {
    const n = sums[4 * p + 3];
    if (n === 0) continue;
    const [r, g, b] = [sums[4 * p] / n, sums[4 * p + 1] / n, sums[4 * p + 2] / n];
    const at = 3 * Math.floor(p / PARTS);
    if (luminance(r, g, b) >= luminance(out[at], out[at + 1], out[at + 2])) [out[at], out[at + 1], out[at + 2]] = [r, g, b];
  }
}

/** @param {number} r @param {number} g @param {number} b */
export const luminance = (r, g, b) => 0.299 * r + 0.587 * g + 0.114 * b;

/** @param {Float32Array} rgb */
const luminances = (rgb) => Float32Array.from({ length: rgb.length / 3 }, (_, i) => luminance(rgb[3 * i], rgb[3 * i + 1], rgb[3 * i + 2]));

/**
 * Running maximum or minimum over ± radius, along rows and then columns.
 * @param {Float32Array} plane @param {number} cols @param {number} rows @param {number} radius @param {(...v: number[]) => number} pick
 */
function slideBoth(plane, cols, rows, radius, pick) {
  const across = new Float32Array(plane.length);
  const out = new Float32Array(plane.length);
  for (let y = 0; y < rows; y++) {
    for (let x = 0; x < cols; x++) {
      let v = plane[y * cols + x];
      for (let k = Math.max(0, x - radius); k <= Math.min(cols - 1, x + radius); k++) v = pick(v, plane[y * cols + k]);
      across[y * cols + x] = v;
    }
  }
  for (let y = 0; y < rows; y++) {
    for (let x = 0; x < cols; x++) {
      let v = across[y * cols + x];
      for (let k = Math.max(0, y - radius); k <= Math.min(rows - 1, y + radius); k++) v = pick(v, across[k * cols + x]);
      out[y * cols + x] = v;
    }
  }
  return out;
}

/**
 * At each cell the brightest other cell, faded with its distance (two sweeps of a chamfer distance).
 * @param {Float32Array} light @param {number} cols @param {number} rows
 */
function brightestAround(light, cols, rows) {
  const out = Float32Array.from(light);
  const diagonal = FADE ** Math.SQRT2;
  for (const sign of [-1, 1]) {
    for (let n = 0; n < out.length; n++) {
      const i = sign < 0 ? n : out.length - 1 - n;
      const x = i % cols;
      const y = (i - x) / cols;
      let v = out[i];
      if (x + sign >= 0 && x + sign < cols) v = Math.max(v, FADE * out[i + sign]);
      if (y + sign >= 0 && y + sign < rows) {
        const near = i + sign * cols;
        v = Math.max(v, FADE * out[near]);
        if (x > 0) v = Math.max(v, diagonal * out[near - 1]);
        if (x < cols - 1) v = Math.max(v, diagonal * out[near + 1]);
      }
      out[i] = v;
    }
  }
  return out;
}

/**
 * The sheet's colour: the commonest chroma among lit cells, in a histogram of the red and blue shares whose
 * bins are read in 3×3 blocks (a sheet's chroma varies with the light), as the mean r, g, b of that block.
 * @param {Float32Array} rgb @param {Float32Array} light @param {Float32Array} around @returns {[number, number, number]}
 */
function commonColour(rgb, light, around) {
  const bins = 72;
  const sums = new Float64Array(bins * bins * 4);
  for (let i = 0; i < light.length; i++) {
    if (light[i] < DEEPEST_SHADOW * around[i]) continue;
    const [r, g, b] = rgb.subarray(3 * i, 3 * i + 3);
    const sum = r + g + b + 1e-3;
    const at = 4 * (Math.floor((r / sum) * (bins - 3) + 1) * bins + Math.floor((b / sum) * (bins - 3) + 1));
    sums[at] += r;
    sums[at + 1] += g;
    sums[at + 2] += b;
    sums[at + 3]++;
  }
  let best = [255, 255, 255, 1];
  let most = 0;
  for (let at = bins + 1; at < bins * (bins - 1) - 1; at++) {
    const block = [0, 0, 0, 0];
    for (let k = 0; k < 36; k++) block[k & 3] += sums[4 * (at + (Math.floor(k / 12) - 1) * bins + ((k >> 2) % 3) - 1) + (k & 3)];
    // Weighed by brightness a little: of two equally common colours the brighter is the paper.
    const weight = Math.sqrt((block[0] + block[1] + block[2]) * block[3]);
    if (weight > most) [best, most] = [block, weight];
  }
  return [best[0] / best[3], best[1] / best[3], best[2] / best[3]];
}

/** Has cell i the sheet's chroma? @param {Float32Array} rgb @param {number} i @param {number[]} sheet */
function likeness(rgb, i, sheet) {
  const sum = rgb[3 * i] + rgb[3 * i + 1] + rgb[3 * i + 2] + 1e-3;
  const whole = sheet[0] + sheet[1] + sheet[2];
  return [0, 1, 2].every((c) => Math.abs(rgb[3 * i + c] / sum - sheet[c] / whole) < SAME_CHROMA);
}

/**
 * Unknown cells from the known ones around: averaged into ever coarser grids, then taken from the
 * finest grid that knows (push-pull).
 * @param {Float32Array} rgb @param {Float32Array} known weights 0 or 1 @param {number} cols @param {number} rows @returns {Float32Array}
 */
function fillUnknown(rgb, known, cols, rows) {
  const out = Float32Array.from(rgb, (v, i) => v * known[Math.floor(i / 3)]);
  if (cols === 1 && rows === 1) return known[0] ? out : Float32Array.from(rgb);
  const w = (cols + 1) >> 1;
  const h = (rows + 1) >> 1;
  const coarse = new Float32Array(w * h * 3);
  const weight = new Float32Array(w * h);
  for (let i = 0; i < known.length; i++) {
    const at = (Math.floor(i / cols) >> 1) * w + ((i % cols) >> 1);
    weight[at] += known[i];
    for (let c = 0; c < 3; c++) coarse[3 * at + c] += out[3 * i + c];
  }
  for (let i = 0; i < coarse.length; i++) if (weight[Math.floor(i / 3)]) coarse[i] /= weight[Math.floor(i / 3)];
  if (!known.includes(0)) return out;
  const below = fillUnknown(coarse, Float32Array.from(weight, (v) => Math.min(1, v)), w, h);
  for (let i = 0; i < known.length; i++) {
    if (!known[i]) sample(below, w, h, (i % cols) / 2 - 0.25, Math.floor(i / cols) / 2 - 0.25, out.subarray(3 * i, 3 * i + 3));
  }
  return out;
}

/** Bilinear, cell centres at whole numbers, clamped. @param {Float32Array} rgb @param {number} w @param {number} h @param {number} x @param {number} y @param {Float32Array} out */
function sample(rgb, w, h, x, y, out) {
  const x0 = Math.min(w - 1, Math.max(0, Math.floor(x)));
  const y0 = Math.min(h - 1, Math.max(0, Math.floor(y)));
  const x1 = Math.min(w - 1, x0 + 1);
  const y1 = Math.min(h - 1, y0 + 1);
  const fx = Math.min(1, Math.max(0, x - x0));
  const fy = Math.min(1, Math.max(0, y - y0));
  for (let c = 0; c < 3; c++) {
    const top = rgb[3 * (y0 * w + x0) + c] * (1 - fx) + rgb[3 * (y0 * w + x1) + c] * fx;
    const bottom = rgb[3 * (y1 * w + x0) + c] * (1 - fx) + rgb[3 * (y1 * w + x1) + c] * fx;
    out[c] = top * (1 - fy) + bottom * fy;
  }
}

/** Binomial blur 1-2-1 in both directions, in place. @param {Float32Array} rgb @param {number} cols @param {number} rows */
function smooth(rgb, cols, rows) {
  for (const [count, length, jump, stride] of [[rows, cols, 3 * cols, 3], [cols, rows, 3, 3 * cols]]) {
    for (let k = 0; k < count; k++) {
      for (let c = 0; c < 3; c++) {
        let before = rgb[k * jump + c];
        for (let i = 0; i < length; i++) {
          const at = k * jump + i * stride + c;
          const here = rgb[at];
          const after = i < length - 1 ? rgb[at + stride] : here;
          rgb[at] = (before + 2 * here + after) / 4;
          before = here;
        }
      }
    }
  }
}

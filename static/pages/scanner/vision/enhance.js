// A straightened photo of a page → a clean scan: light and shadows removed, paper white, ink dark.

import { binarise } from './binarise.js';
import { clearSlivers } from './slivers.js';
import { estimatePaper, luminance } from './paper.js';

/** @typedef {{data: Uint8ClampedArray, width: number, height: number}} Image RGBA, row-major */
/** @typedef {import('./paper.js').Paper} Paper */
/** @typedef {'colour' | 'grey' | 'black-white'} Mode */

/** Bare paper is stretched to white from this share of its estimate on, ink to black from that one down. */
const WHITE_AT = 0.92;
const BLACK_AT = 0.1;
/** A dim photo is brightened by no more than this; a coloured sheet is evened by no more than that, either way. */
const MAX_GAIN = 5;
const OWN_GAIN = 1.35;
/** Saturation of the sheet up to which its tint is the lamp's (removed), and from which it is its own (kept). */
const LAMP_TINT = 0.3;
const OWN_TINT = 0.45;

/**
 * @param {Image} image straightened, the page filling it
 * @param {Mode} mode @returns {Image} a new picture, opaque; black-white has only 0 and 255
 * @throws {RangeError} for another mode
 */
export function enhance(image, mode) {
  if (mode !== 'colour' && mode !== 'grey' && mode !== 'black-white') throw new RangeError(`enhance: no mode "${mode}"; there are colour, grey and black-white`);
  const paper = estimatePaper(image);
  const result = MODES[mode](image, paper);
  if (ownColour(paper) === 0) clearSlivers(result);
  return result;
}

/** @type {Record<Mode, (image: Image, paper: Paper) => Image>} */
const MODES = {
  colour: evenColour,
  grey: (image, paper) => greyImage(evenGrey(image, paper, toneCurve()), image),
  'black-white': (image, paper) => greyImage(binarise(evenGrey(image, paper, linearCurve()), image.width, image.height, sheetLevel(paper)), image),
};

/** Input 0..4095 (16 × the evened value, 1.0 of the paper = 255 × 16 / 1) → 0..255. @param {(share: number) => number} tone */
function curve(tone) {
  return Uint8ClampedArray.from({ length: 4096 }, (_, i) => 255 * tone(i / (16 * 255)));
}
const toneCurve = () => curve((share) => (share - BLACK_AT) / (WHITE_AT - BLACK_AT));
const linearCurve = () => curve((share) => share);

/** 0 = the sheet is white under some lamp, 1 = it has a colour of its own, which stays. @param {Paper} paper */
function ownColour({ colour }) {
  const saturation = 1 - Math.min(...colour) / Math.max(...colour, 1);
  return Math.min(1, Math.max(0, (saturation - LAMP_TINT) / (OWN_TINT - LAMP_TINT)));
}

/** Grey level of the evened bare sheet: 255, or a coloured sheet's own. @param {Paper} paper */
function sheetLevel(paper) {
  const own = ownColour(paper);
  return (1 - own) * 255 + own * luminance(...paper.colour);
}

/**
 * The gains that even a sheet. White: every channel of the bare paper becomes 255, light and tint alike.
 * Coloured: one gain for all channels brings its brightness to the sheet's common one.
 * @param {Paper} paper @returns {Float32Array} rows × cols × 3
 */
function gainGrid(paper) {
  const own = ownColour(paper);
  const level = luminance(...paper.colour);
  const gains = new Float32Array(paper.rgb.length);
  for (let i = 0; i < gains.length; i += 3) {
    const [r, g, b] = paper.rgb.subarray(i, i + 3);
    const common = Math.min(OWN_GAIN, Math.max(1 / OWN_GAIN, level / Math.max(1, luminance(r, g, b))));
    for (let c = 0; c < 3; c++) {
      const white = Math.min(MAX_GAIN, 255 / Math.max(1, paper.rgb[i + c]));
      gains[i + c] = (1 - own) * white + own * common;
    }
  }
  return gains;
}

/**
 * Calls `visit(y, gains)` for each row, with the three gains of each pixel.
 * @param {Image} image @param {Paper} paper @param {(y: number, gains: Float32Array) => void} visit
 */
function eachRow({ width, height }, paper, visit) {
  const { cols, rows, cell } = paper;
  const grid = gainGrid(paper);
  const column = new Float32Array(3 * (cols + 1));
  const gains = new Float32Array(3 * width);
  for (let y = 0; y < height; y++) {
    const gy = Math.min(rows - 1, Math.max(0, (y + 0.5) / cell - 0.5));
    const top = Math.floor(gy);
    const fy = gy - top;
    const down = top < rows - 1 ? 3 * cols : 0;
    for (let i = 0, at = 3 * top * cols; i < 3 * cols; i++, at++) {
      column[i] = grid[at] * (1 - fy) + grid[at + down] * fy;
    }
    for (let c = 0; c < 3; c++) column[3 * cols + c] = column[3 * (cols - 1) + c];
    for (let x = 0, o = 0; x < width; x++, o += 3) {
      const gx = Math.min(cols - 1, Math.max(0, (x + 0.5) / cell - 0.5));
      const left = 3 * (gx | 0);
      const fx = gx - (gx | 0);
      gains[o] = column[left] + (column[left + 3] - column[left]) * fx;
      gains[o + 1] = column[left + 1] + (column[left + 4] - column[left + 1]) * fx;
      gains[o + 2] = column[left + 2] + (column[left + 5] - column[left + 2]) * fx;
    }
    visit(y, gains);
  }
}

/** @param {Image} image @param {Paper} paper @returns {Image} */
function evenColour(image, paper) {
  const { data, width, height } = image;
  const out = new Uint8ClampedArray(data.length);
  const tone = toneCurve();
  eachRow(image, paper, (y, gains) => {
    for (let x = 0, at = 4 * y * width, o = 0; x < width; x++, at += 4, o += 3) {
      out[at] = tone[Math.min(4095, data[at] * gains[o] * 16) | 0];
      out[at + 1] = tone[Math.min(4095, data[at + 1] * gains[o + 1] * 16) | 0];
      out[at + 2] = tone[Math.min(4095, data[at + 2] * gains[o + 2] * 16) | 0];
      out[at + 3] = 255;
    }
  });
  return { data: out, width, height };
}

/** Evened luminance. @param {Image} image @param {Paper} paper @param {Uint8ClampedArray} tone @returns {Uint8ClampedArray} one byte a pixel */
function evenGrey(image, paper, tone) {
  const { data, width, height } = image;
  const out = new Uint8ClampedArray(width * height);
  eachRow(image, paper, (y, gains) => {
    for (let x = 0, i = y * width, at = 4 * i, o = 0; x < width; x++, i++, at += 4, o += 3) {
      const even = luminance(data[at] * gains[o], data[at + 1] * gains[o + 1], data[at + 2] * gains[o + 2]);
      out[i] = tone[Math.min(4095, even * 16) | 0];
    }
  });
  return out;
}

/** @param {Uint8ClampedArray | Uint8Array} grey @param {Image} size @returns {Image} */
function greyImage(grey, { width, height }) {
  const words = new Uint32Array(width * height);
  for (let i = 0; i < words.length; i++) words[i] = (0xff000000 | (grey[i] * 0x10101)) >>> 0;
  return { data: new Uint8ClampedArray(words.buffer), width, height };
}

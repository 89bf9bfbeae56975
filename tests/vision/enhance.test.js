import assert from 'node:assert/strict';
import { test } from 'node:test';

import { binarise } from '../../static/pages/scanner/vision/binarise.js';
import { enhance } from '../../static/pages/scanner/vision/enhance.js';
import { estimatePaper } from '../../static/pages/scanner/vision/paper.js';
import { gaussian, seeded, textPage } from './draw.js';

/** @typedef {import('./draw.js').Image} Image */
/** @typedef {(u: number, v: number) => number[]} Painter */

const [WIDTH, HEIGHT] = [600, 800];
const INK = [35, 35, 40];

/**
 * A straightened photo of a page under some light.
 * @param {Painter} page @param {(u: number, v: number) => number | number[]} light multiplies, one for all or one a channel
 * @param {number} [noise] grey levels @returns {Image}
 */
function photo(page, light, noise = 2) {
  const random = seeded(8);
  const data = new Uint8ClampedArray(WIDTH * HEIGHT * 4);
  for (let i = 0; i < WIDTH * HEIGHT; i++) {
    const [u, v] = [((i % WIDTH) + 0.5) / WIDTH, (Math.floor(i / WIDTH) + 0.5) / HEIGHT];
    const l = light(u, v);
    page(u, v).forEach((c, k) => { data[4 * i + k] = c * (typeof l === 'number' ? l : l[k]) + noise * gaussian(random); });
    data[4 * i + 3] = 255;
  }
  return { data, width: WIDTH, height: HEIGHT };
}

const text = textPage({ ink: /** @type {[number, number, number]} */ (INK), lines: 34, seed: 3 });
/** Light that falls from full to 35 % across the page, as beside a window. */
const gradient = (/** @type {number} */ u, /** @type {number} */ v) => 1 - 0.65 * (0.7 * u + 0.3 * v);
/** The soft shadow of a hand over a corner. */
const shadow = (/** @type {number} */ u, /** @type {number} */ v) => 0.95 - 0.45 / (1 + Math.exp(-(u + v - 1.2) / 0.04));

/** Share of the pixels, by the page's own colour there, for which `holds`. @param {Image} image @param {Painter} page
 * @param {(colour: number[]) => boolean} where @param {(rgb: number[]) => boolean} holds */
function share({ data }, page, where, holds) {
  let all = 0;
  let good = 0;
  for (let y = 1; y < HEIGHT - 1; y += 3) {
    for (let x = 1; x < WIDTH - 1; x += 2) {
      // Inside of letters and paper only: all four corners of the pixel's surroundings are of one colour.
      const inside = [[-1, -1], [1, -1], [1, 1], [-1, 1]].every(([dx, dy]) => where(page((x + dx + 0.5) / WIDTH, (y + dy + 0.5) / HEIGHT)));
      if (!inside) continue;
      all++;
      if (holds([...data.subarray(4 * (y * WIDTH + x), 4 * (y * WIDTH + x) + 3)])) good++;
    }
  }
  assert.ok(all > 1000, `only ${all} pixels to judge`);
  return good / all;
}
const isPaper = (/** @type {number[]} */ [r]) => r > 200;
const isInk = (/** @type {number[]} */ [r]) => r < 100;

for (const [name, light] of /** @type {const} */ ([['a gradient', gradient], ['a shadow', shadow], ['full light', () => 1], ['dusk', () => 0.3]])) {
  const image = photo(text, light, name === 'dusk' ? 1 : 2);
  for (const mode of /** @type {const} */ (['colour', 'grey', 'black-white'])) {
    test(`under ${name}, ${mode}: paper is white everywhere and text dark`, () => {
      const scan = enhance(image, mode);
      assert.ok(share(scan, text, isPaper, (rgb) => rgb.every((v) => v >= 240)) > 0.999, 'paper below 240');
      const dark = mode === 'black-white' ? 1 : 110;
      assert.ok(share(scan, text, isInk, (rgb) => rgb.every((v) => v < dark)) > 0.97, 'pale ink');
    });
  }
}

test('a coloured lamp is neutralised', () => {
  const scan = enhance(photo(text, (u) => [0.95, 0.86 - 0.1 * u, 0.76 - 0.1 * u]), 'colour');
  assert.ok(share(scan, text, isPaper, (rgb) => rgb.every((v) => v >= 240)) > 0.999);
});

test('print keeps its colour: a picture and a band on white paper', () => {
  /** @type {Painter} */
  const page = (u, v) => (v > 0.7 ? [215, 120, 30] : u > 0.6 && v > 0.2 && v < 0.5 ? [40, 90, 190] : text(u, v));
  const scan = enhance(photo(page, gradient), 'colour');
  const orange = share(scan, page, ([r, g, b]) => r === 215 && b === 30 && g === 120, ([r, g, b]) => r > 180 && g > 70 && g < 170 && b < 90);
  const blue = share(scan, page, ([, , b]) => b === 190, ([r, g, b]) => b > 140 && r < 90 && g < 140);
  assert.ok(orange > 0.95, `orange ${orange}`);
  assert.ok(blue > 0.95, `blue ${blue}`);
});

test('a coloured sheet keeps its colour and is evened', () => {
  /** @type {Painter} */
  const sheet = (u, v) => (isInk(text(u, v)) ? [255, 255, 255] : [30, 120, 190]);
  const scan = enhance(photo(sheet, (u) => 0.95 - 0.2 * u), 'colour');
  const kept = share(scan, sheet, ([r]) => r === 30, ([r, g, b]) => b > 140 && b < 215 && g > 70 && g < 140 && r < 40);
  assert.ok(kept > 0.99, String(kept));
});

test('white letters on a dark sheet stay white in black and white', () => {
  /** @type {Painter} */
  const sheet = (u, v) => (isInk(text(u, v)) ? [250, 250, 250] : [20, 90, 60]);
  const scan = enhance(photo(sheet, (u) => 1 - 0.2 * u), 'black-white');
  assert.ok(share(scan, sheet, ([r]) => r === 250, ([r]) => r === 255) > 0.97);
  assert.ok(share(scan, sheet, ([r]) => r === 20, ([r]) => r === 0) > 0.97);
});

test('a thin rule stays connected across a shadow', () => {
  /** @type {Painter} */
  const ruled = (u, v) => (Math.abs(v * HEIGHT - 400.5) < 1.5 ? [60, 60, 60] : [245, 245, 245]);
  const { data } = enhance(photo(ruled, shadow, 4), 'black-white');
  for (let x = 12; x < WIDTH - 12; x++) assert.equal(data[4 * (400 * WIDTH + x)], 0, `broken at ${x}`);
});

test('a large filled area is black, not hollow', () => {
  /** @type {Painter} */
  const box = (u, v) => (u > 0.2 && u < 0.8 && v > 0.3 && v < 0.6 ? [15, 15, 15] : [245, 245, 245]);
  const scan = enhance(photo(box, (u) => 1 - 0.3 * u), 'black-white');
  assert.ok(share(scan, box, ([r]) => r === 15, ([r]) => r === 0) > 0.999);
});

test('specks go, the dot of an i stays', () => {
  const grey = new Uint8ClampedArray(1100 * 300).fill(250);
  const dot = (/** @type {number} */ x, /** @type {number} */ y, /** @type {number} */ size, /** @type {number} */ v) => {
    for (let i = 0; i < size * size; i++) grey[(y + Math.floor(i / size)) * 1100 + x + (i % size)] = v;
  };
  dot(100, 100, 1, 20);
  dot(300, 100, 2, 160);
  dot(500, 100, 3, 30);
  dot(700, 100, 1, 20);
  dot(701, 101, 8, 20);
  const bits = binarise(grey, 1100, 300);
  assert.equal(bits[100 * 1100 + 100], 255, 'one pixel');
  assert.equal(bits[100 * 1100 + 300], 255, 'a faint speck');
  assert.equal(bits[101 * 1100 + 501], 0, 'a dot');
  assert.equal(bits[100 * 1100 + 700], 0, 'part of something larger, by its corner');
});

test('slivers of the table along the border go, print at the border stays', () => {
  const scan = enhance(photo((u, v) => (u < 0.006 || (v > 0.993 && u < 0.5) ? [60, 40, 20] : v < 0.1 && u > 0.5 ? [20, 20, 20] : text(u, v)), () => 1), 'colour');
  const at = (/** @type {number} */ x, /** @type {number} */ y) => scan.data[4 * (y * WIDTH + x)];
  assert.equal(at(1, 400), 255);
  assert.equal(at(200, 797), 255);
  assert.ok(at(450, 3) < 60, 'a dark header that reaches the border');
});

test('the estimate follows the light and not the letters', () => {
  const paper = estimatePaper(photo(text, gradient, 0));
  for (const [col, row] of [[20, 20], [80, 110], [140, 190], [100, 30]]) {
    const [u, v] = [((col + 0.5) * paper.cell) / WIDTH, ((row + 0.5) * paper.cell) / HEIGHT];
    const expected = 244 * gradient(u, v);
    const found = paper.rgb[3 * (row * paper.cols + col)];
    assert.ok(Math.abs(found / expected - 1) < 0.05, `${found} for ${expected} at ${u}, ${v}`);
  }
});

test('the input stays as it was, and any size is taken', () => {
  for (const [width, height] of [[1, 1], [3, 2], [17, 400], [400, 9]]) {
    const image = { data: new Uint8ClampedArray(width * height * 4).fill(180), width, height };
    for (const mode of /** @type {const} */ (['colour', 'grey', 'black-white'])) {
      const scan = enhance(image, mode);
      assert.deepEqual([scan.width, scan.height, scan.data.length], [width, height, width * height * 4]);
      assert.ok(scan.data.every((v) => v >= 240), `${mode} of ${width}×${height}`);
    }
    assert.ok(image.data.every((v) => v === 180));
  }
});

test('another mode is refused by name', () => {
  assert.throws(() => enhance({ data: new Uint8ClampedArray(4), width: 1, height: 1 }, /** @type {any} */ ('sepia')), /sepia/);
});

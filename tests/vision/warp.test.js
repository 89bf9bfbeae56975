import assert from 'node:assert/strict';
import { test } from 'node:test';

import { applyHomography, homography } from '../../static/pages/scanner/vision/geometry.js';
import { planWarp, warpPerspective, warpRows } from '../../static/pages/scanner/vision/warp.js';
import { drawScene, seeded } from './draw.js';

/** @typedef {import('../../static/pages/scanner/vision/geometry.js').Quad} Quad */
/** @typedef {import('./draw.js').Image} Image */

/** @param {number} width @param {number} height @param {(x: number, y: number) => number[]} colour @returns {Image} */
function picture(width, height, colour) {
  const data = new Uint8ClampedArray(width * height * 4);
  for (let i = 0; i < width * height; i++) data.set([...colour(i % width, Math.floor(i / width)), 255], 4 * i);
  return { data, width, height };
}
/** @param {Image} image @param {number} x @param {number} y */
const at = ({ data, width }, x, y) => [...data.subarray(4 * (y * width + x), 4 * (y * width + x) + 4)];
/** @param {number} w @param {number} h @returns {Quad} */
const whole = (w, h) => [[0, 0], [w, 0], [w, h], [0, h]];

test('the whole picture at its own size is the picture', () => {
  const random = seeded(1);
  const image = picture(53, 37, () => [256 * random(), 256 * random(), 256 * random()]);
  const same = warpPerspective(image, whole(53, 37), { width: 53, height: 37 });
  assert.deepEqual(same, image);
});

test('whole-pixel rectangles are cut out exactly', () => {
  const image = picture(40, 30, (x, y) => [x * 6, y * 8, 99]);
  const cut = warpPerspective(image, [[10, 5], [30, 5], [30, 20], [10, 20]], { width: 20, height: 15 });
  assert.deepEqual(at(cut, 0, 0), [60, 40, 99, 255]);
  assert.deepEqual(at(cut, 19, 14), [29 * 6, 19 * 8, 99, 255]);
});

test('halfway between two pixels lies their mean', () => {
  const image = picture(8, 8, (x) => [x * 30, 200 - x * 20, 0]);
  const shifted = warpPerspective(image, [[2.5, 2], [5.5, 2], [5.5, 5], [2.5, 5]], { width: 3, height: 3 });
  assert.deepEqual(at(shifted, 0, 1), [75, 150, 0, 255]);
});

test('a page seen in perspective becomes straight: every mark is where it was on the page', () => {
  /** @type {Quad} */
  const quad = [[90, 60], [420, 100], [380, 330], [60, 280]];
  const page = (/** @type {number} */ u, /** @type {number} */ v) => /** @type {[number, number, number]} */ (
    Math.floor(u * 8) % 2 === Math.floor(v * 6) % 2 ? [230, 230, 230] : [30, 60, 90]);
  const image = drawScene({ width: 480, height: 400, quad, page, table: () => [120, 80, 40], random: seeded(1) });
  const flat = warpPerspective(image, quad, { width: 320, height: 240 });
  for (let row = 0; row < 6; row++) {
    for (let col = 0; col < 8; col++) {
      const expected = page((col + 0.5) / 8, (row + 0.5) / 6);
      at(flat, col * 40 + 20, row * 40 + 20).slice(0, 3).forEach((v, c) => assert.ok(Math.abs(v - expected[c]) < 3));
      // Two pixels on either side of the squares' borders the colours have changed: the marks are in place.
      at(flat, col * 40 + 2, row * 40 + 20).slice(0, 3).forEach((v, c) => assert.ok(Math.abs(v - expected[c]) < 60));
    }
  }
});

test('the size is the page\'s own when none is given', () => {
  const image = picture(400, 300, () => [1, 2, 3]);
  const flat = warpPerspective(image, [[50, 40], [350, 40], [350, 260], [50, 260]]);
  assert.deepEqual([flat.width, flat.height, flat.data.length], [300, 220, 300 * 220 * 4]);
});

test('what lies beyond the picture is paper white, and the border is not darkened', () => {
  const image = picture(20, 20, () => [50, 60, 70]);
  const wide = warpPerspective(image, [[-10, 0], [20, 0], [20, 20], [-10, 20]], { width: 30, height: 20 });
  assert.deepEqual(at(wide, 3, 5), [255, 255, 255, 255]);
  assert.deepEqual(at(wide, 10, 5), [50, 60, 70, 255]);
  assert.deepEqual(at(wide, 29, 19), [50, 60, 70, 255]);
});

test('a page made much smaller keeps its mean: fine patterns become even grey', () => {
  const image = picture(1200, 900, (x, y) => ((x + y) % 2 ? [255, 255, 255] : [0, 0, 0]));
  for (const width of [400, 150, 60]) {
    const small = warpPerspective(image, whole(1200, 900), { width, height: (width * 3) / 4 });
    const values = small.data.filter((_, i) => i % 4 === 0);
    assert.ok(Math.min(...values) > 100 && Math.max(...values) < 155, `${width}: ${Math.min(...values)}..${Math.max(...values)}`);
  }
});

test('a smaller picture is in the same place as a larger one', () => {
  /** @type {Quad} */
  const quad = [[130, 90], [1000, 180], [930, 800], [90, 700]];
  const image = picture(1100, 900, (x, y) => [x / 5, y / 4, 0]);
  const size = { width: 45, height: 33 };
  const small = warpPerspective(image, quad, size);
  const matrix = homography(whole(size.width, size.height), quad);
  for (const [x, y] of [[0, 0], [22, 16], [44, 32], [40, 3]]) {
    const [sx, sy] = applyHomography(matrix, [x + 0.5, y + 0.5]);
    const [r, g] = at(small, x, y);
    assert.ok(Math.abs(r - (sx - 0.5) / 5) < 2 && Math.abs(g - (sy - 0.5) / 4) < 2, `${x}, ${y}: ${r}, ${g}`);
  }
});

test('strips of rows make the same picture as one go', () => {
  const image = picture(90, 70, (x, y) => [x * 2, y * 3, (x * y) % 256]);
  for (const size of [{ width: 80, height: 60 }, { width: 20, height: 16 }]) {
    /** @type {Quad} */
    const quad = [[5, 8], [80, 3], [85, 66], [9, 60]];
    const once = warpPerspective(image, quad, size);
    const plan = planWarp(image, quad, size);
    const rows = new Uint32Array(size.width * size.height);
    for (let y = 0; y < size.height; y += 7) {
      const end = Math.min(size.height, y + 7);
      warpRows(plan, rows.subarray(y * size.width, end * size.width), y, end);
    }
    assert.deepEqual(new Uint8ClampedArray(rows.buffer), once.data);
  }
});

test('corners on one line are refused', () => {
  assert.throws(() => warpPerspective(picture(9, 9, () => [0, 0, 0]), [[0, 0], [1, 1], [2, 2], [0, 5]], { width: 4, height: 4 }), RangeError);
});

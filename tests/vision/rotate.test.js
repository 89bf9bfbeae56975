import assert from 'node:assert/strict';
import { test } from 'node:test';

import { reduceTo } from '../../static/pages/scanner/vision/reduce.js';
import { asUint32, rotate } from '../../static/pages/scanner/vision/rotate.js';
import { seeded } from './draw.js';

/** @param {number} width @param {number[]} reds one per pixel */
function picture(width, reds) {
  const data = new Uint8ClampedArray(reds.flatMap((r) => [r, 255 - r, 7, 255]));
  return { data, width, height: reds.length / width };
}
/** @param {{data: Uint8ClampedArray | Uint8Array}} image */
const reds = ({ data }) => [...data.filter((_, i) => i % 4 === 0)];

test('a quarter turn is clockwise', () => {
  const turned = rotate(picture(3, [1, 2, 3, 4, 5, 6]), 1);
  assert.deepEqual([turned.width, turned.height, reds(turned)], [2, 3, [4, 1, 5, 2, 6, 3]]);
});

test('half, three quarter, full and negative turns', () => {
  const image = picture(3, [1, 2, 3, 4, 5, 6]);
  assert.deepEqual(reds(rotate(image, 2)), [6, 5, 4, 3, 2, 1]);
  assert.deepEqual(reds(rotate(image, 3)), [3, 6, 2, 5, 1, 4]);
  assert.deepEqual(reds(rotate(image, -1)), reds(rotate(image, 3)));
  assert.deepEqual(rotate(image, 4), image);
  assert.notEqual(rotate(image, 0).data.buffer, image.data.buffer, 'a copy');
});

test('four quarter turns of an odd size give the picture back', () => {
  const random = seeded(1);
  const image = picture(67, Array.from({ length: 67 * 41 }, () => Math.floor(256 * random())));
  let turned = rotate(image, 0);
  for (let i = 0; i < 4; i++) turned = rotate(turned, 1);
  assert.deepEqual(turned, image);
});

test('bytes that are not aligned are copied, aligned ones are shared', () => {
  const bytes = Uint8ClampedArray.from({ length: 12 }, (_, i) => i);
  assert.equal(asUint32(bytes.subarray(4)).buffer, bytes.buffer);
  assert.deepEqual([...asUint32(bytes.subarray(2, 10))], [0x05040302, 0x09080706]);
});

test('a large picture is reduced by means of squares', () => {
  const { small, shrink } = reduceTo(picture(5, [0, 2, 10, 20, 99, 4, 6, 30, 40, 99]), 3);
  assert.equal(shrink, 2);
  assert.deepEqual([small.width, small.height, reds(small), small.data[3]], [2, 1, [3, 25], 255]);
});

test('a picture that is small enough, or too thin to reduce, stays itself', () => {
  const image = picture(5, [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
  assert.equal(reduceTo(image, 5).small, image);
  const line = picture(9, [0, 1, 2, 3, 4, 5, 6, 7, 8]);
  assert.deepEqual(reduceTo(line, 3), { small: line, shrink: 1 });
});

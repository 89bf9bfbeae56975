import assert from 'node:assert/strict';
import { test } from 'node:test';

import { decodeCells, iou } from '../../static/pages/attention/vision/cells.js';

const LIMITS = { score: 0.3, overlap: 0.45 };

/** Maps of a 64 × 64 picture on which nothing is found. */
function empty() {
  /** @type {Record<string, {data: Float32Array, shape: number[]}>} */
  const maps = {};
  for (const stride of [8, 16]) {
    const cells = 64 / stride, data = new Float32Array(15 * cells * cells);
    data.fill(-9, 0, cells * cells);
    maps[`stride${stride}`] = { data, shape: [1, 15, cells, cells] };
  }
  return maps;
}

/** @param {ReturnType<typeof empty>} maps @param {number} stride @param {number} row @param {number} column @param {number[]} values */
function say(maps, stride, row, column, values) {
  const { data, shape } = maps[`stride${stride}`], cells = shape[2];
  values.forEach((value, channel) => { data[channel * cells * cells + row * cells + column] = value; });
}

test('a cell is read in its own strides', () => {
  const maps = empty();
  say(maps, 8, 2, 5, [2, 0.25, -0.5, Math.log(2), Math.log(3), 1, 2, 0, 0, -1, 0.5, 0, 0, 0, 0]);
  const [face, ...others] = decodeCells(maps, LIMITS);
  assert.equal(others.length, 0);
  const expected = [5.5 * 8 + 2 - 8, 2.5 * 8 - 4 - 12, 16, 24];
  face.box.forEach((v, i) => assert.ok(Math.abs(v - expected[i]) < 1e-4, `${face.box}`));
  assert.ok(Math.abs(face.score - 1 / (1 + Math.exp(-2))) < 1e-6);
  assert.deepEqual(face.landmarks[0], [5.5 * 8 + 8, 2.5 * 8 + 16]);
  assert.deepEqual(face.landmarks[2], [5.5 * 8 - 8, 2.5 * 8 + 4]);
});

test('a face that two levels see is one, the surer of them', () => {
  const maps = empty();
  say(maps, 8, 3, 3, [1, 0.5, 0.5, Math.log(4), Math.log(4), ...Array(10).fill(0)]);
  say(maps, 16, 1, 1, [3, 0.5, 0.5, Math.log(2), Math.log(2), ...Array(10).fill(0)]);
  say(maps, 8, 0, 0, [0.5, 0, 0, 0, 0, ...Array(10).fill(0)]);
  const found = decodeCells(maps, LIMITS);
  assert.equal(found.length, 2);
  assert.ok(found[0].score > found[1].score);
  assert.ok(Math.abs(found[0].score - 1 / (1 + Math.exp(-3))) < 1e-6);
});

test('what is below the lowest score, or not a number, is no face', () => {
  const maps = empty();
  say(maps, 8, 3, 3, [-1, 0, 0, 0, 0, ...Array(10).fill(0)]);
  say(maps, 8, 4, 4, [NaN, 0, 0, 0, 0, ...Array(10).fill(0)]);
  assert.deepEqual(decodeCells(maps, LIMITS), []);
});

test('overlap of boxes', () => {
  assert.equal(iou([0, 0, 10, 10], [0, 0, 10, 10]), 1);
  assert.equal(iou([0, 0, 10, 10], [10, 0, 10, 10]), 0);
  assert.ok(Math.abs(iou([0, 0, 10, 10], [5, 0, 10, 10]) - 1 / 3) < 1e-9);
});

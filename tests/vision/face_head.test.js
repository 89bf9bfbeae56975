import assert from 'node:assert/strict';
import { test } from 'node:test';

import { decodeHead, poseOf } from '../../static/pages/attention/vision/head.js';
import { decodeJoints, squareOfBody } from '../../static/pages/attention/vision/joints.js';

/** First two columns of Rz(roll) Ry(yaw) Rx(pitch). @param {number} yaw @param {number} pitch @param {number} roll */
function columns(yaw, pitch, roll) {
  const [y, p, r] = [yaw, pitch, roll].map((v) => (v * Math.PI) / 180);
  return [
    Math.cos(r) * Math.cos(y), Math.sin(r) * Math.cos(y), -Math.sin(y),
    Math.cos(r) * Math.sin(y) * Math.sin(p) - Math.sin(r) * Math.cos(p),
    Math.sin(r) * Math.sin(y) * Math.sin(p) + Math.cos(r) * Math.cos(p), Math.cos(y) * Math.sin(p),
  ];
}

for (const [yaw, pitch, roll] of [[0, 0, 0], [40, -20, 10], [-75, 30, -60], [10, 5, 120]]) {
  test(`angles ${yaw}, ${pitch}, ${roll} come back, whatever the columns' length and slant`, () => {
    const six = columns(yaw, pitch, roll);
    const slanted = [...six.slice(0, 3).map((v) => 3 * v), ...six.slice(3).map((v, i) => 0.5 * v + 0.2 * six[i])];
    const pose = poseOf([9, ...slanted], 1);
    assert.ok(Math.abs(pose.yaw - yaw) < 1e-4 && Math.abs(pose.pitch - pitch) < 1e-4 && Math.abs(pose.roll - roll) < 1e-4);
  });
}

test('the second crop of a batch is read in the pixels it was cut from', () => {
  const points = new Float32Array(2 * 146);
  points[146 + 2 * 2] = 0.25; // the nose
  points.set([-0.1, 0], 146 + 10 + 2 * 36);
  points.set([0.1, 0], 146 + 10 + 2 * 39);
  const reading = decodeHead({
    pose: { data: [0, 0, 0, 0, 0, 0, ...columns(5, 6, 7)], shape: [2, 6] }, points: { data: points, shape: [2, 146] },
    eyes: { data: [0, 0, -4, 4], shape: [2, 2] }, trust: { data: [0, 0, 5, Math.log(3)], shape: [2, 2] },
  }, 1, { x: 100, y: 50, side: 80 });
  assert.deepEqual(reading.five[2], [100 + 0.75 * 80, 50 + 40]);
  assert.ok(reading.eyes.right < 0.05 && reading.eyes.left > 0.95);
  assert.ok(Math.abs(reading.eyeWidth.right - 16) < 1e-4);
  assert.ok(Math.abs(reading.spread - 3) < 1e-6 && reading.odds === 5);
  assert.equal(reading.points.length, 68);
  assert.ok(Math.abs(reading.pose.pitch - 6) < 1e-4);
});

test('joints are where their maps peak', () => {
  const data = new Float32Array(5 * 24 * 24).fill(-8);
  const places = [[12, 5], [18.4, 12.2], [3, 13], [23, 0], [0, 23]];
  places.forEach(([x, y], k) => {
    for (let i = 0; i < 576; i++) {
      const far = (i % 24 - x) ** 2 + (Math.floor(i / 24) - y) ** 2;
      if (far < 9) data[k * 576 + i] = 2 - far;
    }
  });
  const found = decodeJoints({ data, shape: [1, 5, 24, 24] }, { x: 10, y: 20, side: 48 });
  assert.ok(Math.abs(found.left.at[0] - (10 + 2 * 18.9)) < 0.6 && Math.abs(found.left.at[1] - (20 + 2 * 12.7)) < 0.6);
  assert.ok(found.nose.sure > 0.85);
  assert.ok(Math.abs(found.rightEar.at[1] - (20 + 2 * 23.5)) < 0.8);
});

test('the square of the upper body lies below the face', () => {
  assert.deepEqual(squareOfBody([100, 100, 20, 20], 5, 1.2), { x: 60, y: 84, side: 100 });
});

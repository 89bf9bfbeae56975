import assert from 'node:assert/strict';
import { test } from 'node:test';

import { cropInto, fitTo, squareAround } from '../../static/pages/attention/vision/sample.js';

/** A picture whose red grows to the right and green downwards. @param {number} width @param {number} height */
function ramp(width, height) {
  const data = new Uint8ClampedArray(4 * width * height);
  for (let y = 0, i = 0; y < height; y++) {
    for (let x = 0; x < width; x++, i += 4) data.set([(255 * (x + 0.5)) / width, (255 * (y + 0.5)) / height, 40, 255], i);
  }
  return { data, width, height };
}

for (const [width, height, side] of [[1280, 720, 640], [500, 333, 320], [200, 150, 320], [64, 512, 320]]) {
  test(`${width}×${height} fits ${side} and is padded with black`, () => {
    const { pixels, scale } = fitTo(ramp(width, height), side);
    assert.equal(scale, side / Math.max(width, height));
    assert.equal(pixels.width % 32 + pixels.height % 32, 0);
    const w = Math.round(width * scale), h = Math.round(height * scale);
    for (const [x, y] of [[2, 2], [w - 3, 2], [w >> 1, h >> 1], [w - 3, h - 3]]) {
      const at = 4 * (y * pixels.width + x);
      assert.ok(Math.abs(pixels.data[at] - (255 * (x + 0.5)) / w) < 3, `red at ${x},${y} is ${pixels.data[at]}`);
      assert.ok(Math.abs(pixels.data[at + 1] - (255 * (y + 0.5)) / h) < 3, `green at ${x},${y} is ${pixels.data[at + 1]}`);
    }
    if (pixels.height > h) assert.deepEqual([...pixels.data.subarray(4 * h * pixels.width, 4 * h * pixels.width + 4)], [0, 0, 0, 255]);
    if (pixels.width > w) assert.deepEqual([...pixels.data.subarray(4 * w, 4 * w + 4)], [0, 0, 0, 255]);
  });
}

test('a picture of the right size is left as it is', () => {
  const image = ramp(320, 192);
  assert.deepEqual(fitTo(image, 320).pixels.data, image.data);
});

test('shrinking keeps the mean of a fine pattern', () => {
  const image = { data: new Uint8ClampedArray(4 * 480 * 480).fill(255), width: 480, height: 480 };
  for (let i = 0; i < 480 * 480; i++) if ((i % 480 + Math.floor(i / 480)) % 2) image.data.fill(0, 4 * i, 4 * i + 3);
  const { pixels } = fitTo(image, 320);
  const at = 4 * (100 * pixels.width + 100);
  assert.ok(Math.abs(pixels.data[at] - 127) < 40, `${pixels.data[at]}`);
});

for (const k of [2, 4, 8]) {
  test(`${k} × ${k} pixels become their mean, rounded as a clamped array rounds`, () => {
    const [width, height] = [320, 192], data = new Uint8ClampedArray(4 * k * k * width * height);
    for (let i = 0; i < data.length; i++) data[i] = i % 4 === 3 ? 255 : (Math.imul(i + 1, 2654435761) >>> 20) & 255;
    const { pixels } = fitTo({ data, width: k * width, height: k * height }, 320);
    const wanted = new Uint8ClampedArray(pixels.data.length).fill(255);
    for (let i = 0; i < wanted.length; i++) {
      if (i % 4 === 3) continue;
      const x = (i >> 2) % width, y = Math.floor((i >> 2) / width);
      let sum = 0;
      for (let n = 0; n < k * k; n++) sum += data[4 * ((y * k + Math.floor(n / k)) * k * width + x * k + (n % k)) + (i % 4)];
      wanted[i] = sum / (k * k);
    }
    assert.deepEqual(pixels.data, wanted);
  });
}

for (const side of [30, 56, 100, 400]) {
  test(`a square of ${side} pixels becomes a crop of 56`, () => {
    const image = ramp(600, 500), square = { x: 50, y: 40, side }, out = new Float32Array(3 * 56 * 56 + 5).fill(9);
    cropInto(image, square, 56, out, 5);
    assert.equal(out[4], 9);
    for (const [i, j] of [[0, 0], [55, 0], [20, 40]]) {
      const red = (square.x + (i + 0.5) * (side / 56)) / 600, green = (square.y + (j + 0.5) * (side / 56)) / 500;
      assert.ok(Math.abs(out[5 + j * 56 + i] - (2 * red - 1)) < 0.02);
      assert.ok(Math.abs(out[5 + 56 * 56 + j * 56 + i] - (2 * green - 1)) < 0.02);
    }
  });
}

test('outside the picture is black, also far outside', () => {
  const out = new Float32Array(3 * 16 * 16);
  cropInto(ramp(40, 40), { x: -20, y: -20, side: 40 }, 16, out);
  assert.equal(out[0], -1);
  assert.ok(out[15 * 16 + 15] > -1);
  cropInto(ramp(40, 40), { x: 900, y: -700, side: 600 }, 16, out);
  assert.ok(out.every((v) => v === -1));
});

test('the square around a box', () => {
  assert.deepEqual(squareAround([10, 20, 40, 60], 1.5), { x: -15, y: 5, side: 90 });
});

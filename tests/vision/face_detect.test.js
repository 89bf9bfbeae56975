import assert from 'node:assert/strict';
import { test } from 'node:test';

import { createDetector } from '../../static/pages/attention/detect.js';
import { InPageError } from '../../static/runtime/index.js';

/** @param {number} width @param {number} height */
const grey = (width, height) => ({ data: new Uint8ClampedArray(4 * width * height).fill(128), width, height });

/**
 * What the three networks are said to be, and to answer.
 * @param {{faces?: number[][], trust?: number | ((crop: number) => number), fail?: () => void}} [options] trust: of the
 *   first crop, the second, …
 */
function fake({ faces = [[100, 80, 64, 64]], trust = 4, fail } = {}) {
  let crops = 0;
  const log = { loads: /** @type {string[]} */ ([]), disposals: 0, shapes: /** @type {any[]} */ ([]) };
  /** @type {Record<string, any>} */
  const kinds = {
    face_detector: { postprocess: { sides: [320, 640], score: 0.4, alone: 0.4, overlap: 0.45 }, run: cells },
    face_head: { postprocess: { crop: 1.5, face: 0.5, judge: { detector: 1, head: 1, bias: -1, sure: 6, look: 0.1 } }, preprocess: { size: [112, 112] }, run: head },
    upper_body: { postprocess: { crop: 5, below: 1.2 }, preprocess: { size: [96, 96] }, run: upper },
  };

  /** Boxes are in pixels of the network's input. @param {any} feeds */
  function cells({ image }) {
    fail?.();
    const h = image.height / 8, w = image.width / 8, data = new Float32Array(15 * h * w).fill(-9, 0, h * w);
    for (const [k, [x, y, bw, bh]] of faces.entries()) {
      const column = Math.floor((x + bw / 2) / 8), row = Math.floor((y + bh / 2) / 8);
      const cell = [3 - k / 10, (x + bw / 2) / 8 - column - 0.5, (y + bh / 2) / 8 - row - 0.5, Math.log(bw / 8), Math.log(bh / 8)];
      cell.forEach((v, c) => { data[c * h * w + row * w + column] = v; });
    }
    log.shapes.push([image.width, image.height]);
    return { stride8: { data, shape: [1, 15, h, w] } };
  }

  /** @param {any} feeds */
  function head({ image }) {
    const n = image.shape[0];
    log.shapes.push(image.shape);
    const pose = Array.from({ length: n }, () => [1, 0, 0, 0, 1, 0]).flat();
    return {
      pose: { data: pose, shape: [n, 6] }, points: { data: new Float32Array(146 * n), shape: [n, 146] },
      eyes: { data: new Float32Array(2 * n), shape: [n, 2] },
      trust: { data: Array.from({ length: n }, () => [typeof trust === 'number' ? trust : trust(crops++), 1]).flat(), shape: [n, 2] },
    };
  }

  function upper() {
    return { joints: { data: new Float32Array(5 * 576), shape: [1, 5, 24, 24] } };
  }

  /** @param {URL} url @param {{onProgress: (p: any) => void}} options */
  const load = async (url, { onProgress }) => {
    const name = String(url.pathname.split('/').at(-2));
    log.loads.push(name);
    onProgress({ loaded: 10, total: 10, stage: 'ready' });
    const { run, ...kind } = kinds[name];
    return /** @type {any} */ ({ name, ...kind, run: async (/** @type {any} */ f) => run(f), dispose: async () => { log.disposals++; } });
  };
  return { log, load };
}

test('a face comes back in the source\'s pixels, with a head', async () => {
  const { log, load } = fake();
  /** @type {any} */
  let times;
  const [face, ...others] = await createDetector(load).detectFaces(grey(1280, 720), { onTimes: (t) => { times = t; } });
  assert.equal(others.length, 0);
  [200, 160, 128, 128].forEach((v, i) => assert.ok(Math.abs(face.box[i] - v) < 0.01, `${face.box}`));
  assert.deepEqual(log.shapes, [[640, 384], [1, 3, 112, 112]]);
  assert.ok(Math.abs(face.pose.yaw) < 1e-6 && face.eyes.left === 0.5);
  assert.ok(Math.abs(face.landmarks[2][0] - 264) < 0.01); // the middle of the crop
  assert.deepEqual(Object.keys(times), ['read', 'detect', 'crop', 'head']);
});

test('both sizes come from one bundle', async () => {
  const { log, load } = fake();
  const [face] = await createDetector(load).findFaces(grey(640, 640), { side: 320 });
  assert.deepEqual(log.shapes, [[320, 320]]);
  assert.ok(Math.abs(face.box[0] - 200) < 0.01);
  assert.deepEqual(log.loads, ['face_detector']);
});

test('heads are read in batches of few sizes, the largest faces first', async () => {
  const faces = Array.from({ length: 13 }, (_, k) => [20 + 45 * k, 40, 24 + k, 24 + k]);
  const { log, load } = fake({ faces });
  assert.equal((await createDetector(load).detectFaces(grey(640, 320))).length, 13);
  assert.deepEqual(log.shapes.slice(1).map(([n]) => n), [8, 4, 1]);
  const few = await createDetector(load).detectFaces(grey(640, 320), { most: 2 });
  assert.deepEqual(few.map(({ box }) => Math.round(box[2])).sort(), [35, 36]);
});

test('where the head sees no face there is none', async () => {
  const { load } = fake({ trust: -4 });
  const detector = createDetector(load);
  assert.deepEqual(await detector.detectFaces(grey(640, 480)), []);
  assert.deepEqual(await detector.readFaces(grey(640, 480), [[10, 10, 50, 50]]), [null]);
});

test('a large thing that the head refuses does not take a face\'s place', async () => {
  const { log, load } = fake({ faces: [[40, 40, 200, 200], [400, 80, 64, 64]], trust: (crop) => (crop ? 4 : -6) });
  const faces = await createDetector(load).detectFaces(grey(640, 480), { most: 1 });
  assert.deepEqual(faces.map(({ box }) => Math.round(box[2])), [64]);
  assert.deepEqual(log.shapes.slice(1).map(([n]) => n), [1, 1]);
});

test('a score is what detector and head say together, and the limit is the caller\'s', async () => {
  const { load } = fake({ trust: 0 });
  const [face] = await createDetector(load).detectFaces(grey(640, 480));
  assert.ok(Math.abs(face.score - 1 / (1 + Math.exp(-2))) < 1e-6, `${face.score}`);
  assert.equal((await createDetector(load).detectFaces(grey(640, 480), { score: 0.9 })).length, 0);
});

test('known boxes are read without looking for faces again', async () => {
  const { log, load } = fake();
  const faces = await createDetector(load).readFaces(grey(640, 480), [[10, 10, 50, 50], [100, 10, 40, 50]]);
  assert.deepEqual(faces.map((f) => f?.box), [[10, 10, 50, 50], [100, 10, 40, 50]]);
  assert.deepEqual(log.loads, ['face_head']);
});

test('the upper body is loaded when it is asked for', async () => {
  const { log, load } = fake();
  const detector = createDetector(load);
  /** @type {any[]} */
  const heard = [];
  await detector.prepare({ onProgress: (p) => heard.push(p) });
  assert.deepEqual(log.loads, ['face_detector', 'face_head']);
  assert.equal(heard.at(-1).total, 20);
  const joints = await detector.readUpperBody(grey(640, 480), [300, 100, 60, 60]);
  assert.equal(log.loads.length, 3);
  assert.ok(joints.nose.sure >= 0 && joints.left.at.length === 2);
  await detector.release();
  assert.equal(log.disposals, 3);
  await detector.findFaces(grey(64, 64));
  assert.equal(log.loads.length, 4);
});

test('a lost worker is replaced at the next call, a stopped call says so', async () => {
  let broken = true;
  const { log, load } = fake({ fail: () => { if (broken) throw new InPageError('worker_lost', 'The worker is gone'); } });
  const detector = createDetector(load);
  await assert.rejects(detector.findFaces(grey(64, 64)), { code: 'worker_lost' });
  broken = false;
  assert.equal((await detector.findFaces(grey(640, 480))).length, 1);
  assert.equal(log.loads.length, 2);
  const stop = new AbortController();
  stop.abort();
  await assert.rejects(detector.detectFaces(grey(64, 64), { signal: stop.signal }), { code: 'aborted' });
});

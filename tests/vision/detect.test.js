import assert from 'node:assert/strict';
import { afterEach, test } from 'node:test';

import { createDetector } from '../../static/pages/scanner/detect.js';
import { convexIoU, distance } from '../../static/pages/scanner/vision/geometry.js';
import { InPageError } from '../../static/runtime/index.js';
import { seeded } from './draw.js';
import { perturbed, randomScene } from './scenes.js';

/** @typedef {import('./draw.js').Quad} Quad */
/** @typedef {import('./draw.js').Image} Image */

const SIDE = 64;
const MARGIN = 0.0714;

/** What the network would say of corners at these places, in shares of the picture. @param {Quad} corners @param {number} [presence] */
function outputs(corners, presence = 0.97) {
  const data = new Float32Array(4 * SIDE * SIDE);
  corners.forEach((at, k) => {
    const [x, y] = at.map((v) => ((v + MARGIN) / (1 + 2 * MARGIN)) * SIDE - 0.5);
    for (let i = 0; i < SIDE * SIDE; i++) {
      data[k * SIDE * SIDE + i] = 0.9 * Math.exp(-((Math.floor(i / SIDE) - y) ** 2 + ((i % SIDE) - x) ** 2) / 4);
    }
  });
  return { heatmaps: { data, shape: [1, 4, SIDE, SIDE] }, presence: { data: Float32Array.of(presence), shape: [1, 1] } };
}

/** @param {Quad} quad @param {{width: number, height: number}} size @returns {Quad} */
const shares = (quad, { width, height }) => /** @type {Quad} */ (quad.map(([x, y]) => [x / width, y / height]));

/** A loader of a model that answers `run`; it keeps what it was asked. @param {(feeds: any) => any} run */
function fake(run) {
  const log = { loads: 0, disposals: 0, feeds: /** @type {any[]} */ ([]), url: '' };
  /** @param {URL} url @param {{onProgress: (p: any) => void}} options */
  const load = async (url, { onProgress }) => {
    log.loads++;
    log.url = url.href;
    onProgress({ loaded: 5, total: 10, stage: 'weights' });
    return /** @type {any} */ ({
      postprocess: { margin: MARGIN },
      run: async (/** @type {any} */ feeds) => { log.feeds.push(feeds); return run(feeds); },
      dispose: async () => { log.disposals++; },
    });
  };
  return { log, load };
}

const { image, quad } = randomScene('plain', 12, 640, 480);
/** The network's answer, off by half a percent of the diagonal. */
const guess = perturbed(quad, 0.005, seeded(3), 800);

test('a page is found at the picture\'s resolution', async () => {
  const { log, load } = fake(() => outputs(shares(guess, image)));
  const found = await createDetector(load).detectDocument(image);
  assert.ok(found);
  found.corners.forEach((p, i) => assert.ok(distance(p, quad[i]) < 0.7, `corner ${i} is ${distance(p, quad[i])} off`));
  assert.ok(found.score > 0.8 && found.score <= 1);
  assert.deepEqual(Object.keys(log.feeds[0]), ['image']);
  assert.match(log.url, /static\/models\/document_corners\/$/);
});

test('no page, no answer', async () => {
  const { load } = fake(() => outputs(shares(guess, image), 0.1));
  assert.equal(await createDetector(load).detectDocument(image), null);
});

test('corners come in order of their place in the picture', async () => {
  const [tl, tr, br, bl] = shares(guess, image);
  const { load } = fake(() => outputs([tr, br, bl, tl]));
  const found = await createDetector(load).detectDocument(image);
  assert.ok(found);
  assert.ok(convexIoU(found.corners, quad) > 0.99);
  assert.ok(distance(found.corners[0], quad[0]) < 1);
});

test('the model is loaded once, whoever asks first, and every asker hears of the progress', async () => {
  const { log, load } = fake(() => outputs(shares(guess, image)));
  const detector = createDetector(load);
  /** @type {number[]} */
  const heard = [];
  await Promise.all([
    detector.prepare({ onProgress: ({ loaded }) => heard.push(loaded) }),
    detector.prepare(),
    detector.detectDocument(image),
    detector.detectDocument(image),
  ]);
  assert.equal(log.loads, 1);
  assert.deepEqual(heard, [5]);
});

test('after release the model is gone, and is loaded again when it is needed', async () => {
  const { log, load } = fake(() => outputs(shares(guess, image)));
  const detector = createDetector(load);
  await detector.release();
  assert.equal(log.loads, 0);
  await detector.prepare();
  await detector.release();
  assert.equal(log.disposals, 1);
  assert.ok(await detector.detectDocument(image));
  assert.equal(log.loads, 2);
});

test('a failed load is told to who asked, and tried again at the next call', async () => {
  const { load } = fake(() => outputs(shares(guess, image)));
  let attempts = 0;
  const detector = createDetector(async (url, options) => {
    if (++attempts === 1) throw new InPageError('network', 'The bundle could not be fetched');
    return load(url, options);
  });
  await assert.rejects(detector.prepare(), { code: 'network' });
  await detector.prepare();
  assert.equal(attempts, 2);
});

test('a lost worker is told, and the next call starts another', async () => {
  let lost = true;
  const { log, load } = fake(() => {
    if (lost) throw new InPageError('worker_lost', 'The worker died');
    return outputs(shares(guess, image));
  });
  const detector = createDetector(load);
  await assert.rejects(detector.detectDocument(image), { code: 'worker_lost' });
  lost = false;
  assert.ok(await detector.detectDocument(image));
  assert.equal(log.loads, 2);
});

test('a refused picture does not cost the model', async () => {
  const { log, load } = fake(() => { throw new InPageError('invalid_input', 'The picture is empty'); });
  const detector = createDetector(load);
  await assert.rejects(detector.detectDocument(image), { code: 'invalid_input' });
  await assert.rejects(detector.detectDocument(image), { code: 'invalid_input' });
  assert.equal(log.loads, 1);
});

test('a signal stops the search', async () => {
  const stop = new AbortController();
  const { load } = fake(() => {
    stop.abort();
    return outputs(shares(guess, image));
  });
  const detector = createDetector(load);
  await assert.rejects(detector.detectDocument(image, { signal: stop.signal }), { code: 'aborted' });
  await assert.rejects(detector.detectDocument(image, { signal: stop.signal }), { code: 'aborted' });
});

test('of a large photo the network gets a reduced copy, and the corners are the photo\'s', async () => {
  const factor = 5;
  const large = { data: new Uint8ClampedArray(640 * 480 * 4 * factor * factor), width: 640 * factor + 2, height: 480 * factor };
  large.data = new Uint8ClampedArray(large.width * large.height * 4);
  const source = new Uint32Array(image.data.buffer);
  const words = new Uint32Array(large.data.buffer);
  for (let y = 0; y < large.height; y++) {
    for (let x = 0; x < large.width; x++) words[y * large.width + x] = source[Math.floor(y / factor) * 640 + Math.min(639, Math.floor(x / factor))];
  }
  const { log, load } = fake(() => outputs(shares(guess, { width: 640 + 1 / factor, height: 480 })));
  const found = await createDetector(load).detectDocument(large);
  assert.ok(found);
  assert.equal(log.feeds[0].image.width, Math.floor(large.width / 3));
  found.corners.forEach((p, i) => assert.ok(distance(p, [quad[i][0] * factor, quad[i][1] * factor]) < factor, `corner ${i}: ${p}`));
});

/** A canvas that "draws" the scene at the size it is asked for, and counts what is read. @param {Image} scene */
function fakeCanvas(scene) {
  const log = { draws: /** @type {number[][]} */ ([]), reads: 0 };
  class OffscreenCanvas {
    /** @param {number} width @param {number} height */
    constructor(width, height) {
      Object.assign(this, { width, height });
    }

    getContext() {
      return {
        canvas: this,
        clearRect() {},
        drawImage: (/** @type {unknown} */ _, /** @type {number[]} */ ...box) => log.draws.push(box),
        getImageData: (/** @type {number} */ x, /** @type {number} */ y, /** @type {number} */ width, /** @type {number} */ height) => {
          log.reads++;
          assert.deepEqual([x, y, width, height], [0, 0, scene.width, scene.height]);
          return scene;
        },
      };
    }
  }
  Object.assign(globalThis, { OffscreenCanvas });
  return log;
}
afterEach(() => {
  for (const name of ['OffscreenCanvas', 'HTMLVideoElement']) delete (/** @type {any} */ (globalThis)[name]);
});

test('a video is looked at live: one small read for network and edges, corners in the video\'s pixels', async () => {
  const { image: frame, quad: truth } = randomScene('plain', 14, 1280, 720);
  const log = fakeCanvas(frame);
  const video = Object.assign(Object.create(class HTMLVideoElement {
    static { Object.assign(globalThis, { HTMLVideoElement: this }); }
  }.prototype), { videoWidth: 1920, videoHeight: 1080, readyState: 4 });
  const { log: model, load } = fake(() => outputs(shares(truth, frame)));
  const found = await createDetector(load).detectDocument(video);
  assert.ok(found);
  assert.deepEqual([log.draws.length, log.reads, log.draws[0].slice(2)], [1, 1, [1280, 720]]);
  assert.equal(model.feeds[0].image.data, frame.data);
  found.corners.forEach((p, i) => assert.ok(distance(p, [truth[i][0] * 1.5, truth[i][1] * 1.5]) < 1.5, `corner ${i}: ${p}`));
});

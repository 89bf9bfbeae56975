// Looks at frames off the page's thread; ends with the session, and everything it saw with it.
//
// In: {id, op, …}. Out: {id, value}, {id, error} or, on the way, {id, progress}. The server sends this file with a policy
// of its own, so that what runs here can fetch this site's files and send nothing, as the page itself.
import { asInPageError } from '../../runtime/errors.js';
import { load } from '../../runtime/index.js';
import { createDetector } from './detect.js';
import { Looker, ON_DEVICE } from './looker.js';
import { FrameReader } from './frame_reader.js';
import { SentCounter } from './sent.js';

/** @typedef {import('./eyes.js').Request} Request */

/** Heads are read in batches of 8, 4, 2 and 1: so many at once make every plan. */
const ALL_BATCHES = 15;
/** Searches after which the browser has compiled what they need. */
const UNTIL_QUICK = 4;
/** Helper threads are started while models compute; their scripts have arrived when none came for so long. */
const SETTLED_MS = 120;

// Weights come from the browser's cache of files; a second copy in storage would outlive the session for nothing.
const detector = createDetector((url, options) => load(url, { ...options, worker: false, cache: false }));
const reader = new FrameReader();
/** @type {Looker | null} */
let looker = null;

/** What is computed once is computed before the first frame, and so is what is fetched: afterwards the page asks for nothing. */
async function prepare(/** @type {Extract<Request, {op: 'prepare'}>} */ { id, mode }) {
  await detector.prepare({ upperBody: mode === 'solo', onProgress: (progress) => postMessage({ id, progress }) });
  looker = new Looker(detector, ON_DEVICE[mode]);
}

async function warm(/** @type {Extract<Request, {op: 'warm'}>} */ { mode, width, height }) {
  const dark = new ImageData(width, height), box = [0, 0, width / 4, width / 4];
  for (let k = 0; k < UNTIL_QUICK; k += 1) await detector.detectFaces(dark, { side: ON_DEVICE[mode].side });
  await detector.readFaces(dark, Array.from({ length: mode === 'solo' ? 1 : ALL_BATCHES }, () => box));
  if (mode === 'solo') await detector.readUpperBody(dark, box);
  for (let before = -1, now = 0; now !== before; before = now, now = performance.getEntriesByType('resource').length) {
    await new Promise((resolve) => { setTimeout(resolve, SETTLED_MS); });
  }
}

/** What this thread asks of the network once it is warm; the page counts its own. */
const asked = new SentCounter();

/** @param {VideoFrame | ImageBitmap} frame @param {number} now */
async function look(frame, now) {
  const began = performance.now(), image = await reader.read(frame), read = performance.now() - began;
  const { times, ...looked } = await /** @type {Looker} */ (looker).look(image, now);
  return { ...looked, times: { ...times, read: times.read + read }, requests: asked.requests };
}

/** @param {Request} request */
async function answer(request) {
  switch (request.op) {
    case 'prepare': return prepare(request);
    case 'warm':
      await warm(request);
      return asked.start();
    case 'look':
      try {
        return await look(request.frame, request.now);
      } finally {
        request.frame.close();
      }
    case 'wake': return new Promise((resolve) => { setTimeout(resolve, request.ms); });
  }
}

addEventListener('message', async ({ data }) => {
  try {
    postMessage({ id: data.id, value: await answer(data) });
  } catch (thrown) {
    postMessage({ id: data.id, error: asInPageError(thrown, 'invalid_model').toJSON() });
  }
});

// What looks at the camera's frames where the device cannot: the site's own server, once the person agreed.
//
// Sent are small JPEG pictures: the whole view for the detector, a piece around each face for the head.
import { InPageError, load } from '../../runtime/index.js';
import { ServerHelp } from '../scanner/server_help.js';
import { createDetector } from './detect.js';
import { Looker } from './looker.js';

/** @typedef {import('./eyes.js').Eyes} Eyes */
/** @typedef {import('./looker.js').Cadence} Cadence */
/** @typedef {import('./summary.js').Mode} Mode */
/** @typedef {import('../../runtime/index.js').Model} Model */
/** @typedef {import('../../runtime/index.js').Tensor} Tensor */
/** @typedef {NonNullable<import('../../runtime/index.js').LoadOptions['onServer']>} OnServer */

/** Every head is a request, and a server takes only so many from one client. @type {Readonly<Record<Mode, Readonly<Cadence>>>} */
const ON_SERVER = Object.freeze({
  solo: Object.freeze({ side: 320, score: 0.35, everyMs: 5000, emptyMs: 1000, most: 1, bodyMs: 3000, frameMs: 1000 }),
  room: Object.freeze({ side: 640, everyMs: 2000, emptyMs: 2000, most: 40, bodyMs: Infinity, frameMs: 1000 }),
});
const NAMES = Object.freeze({ solo: ['face_detector', 'face_head', 'upper_body'], room: ['face_detector', 'face_head'] });

/** @param {Mode} mode @returns {Promise<boolean>} whether this site's server can look at all; nothing of a picture is sent */
export async function serverCanLook(mode) {
  try {
    return (await Promise.all(NAMES[mode].map((name) => ServerHelp.available(name)))).every(Boolean);
  } catch (error) {
    console.warn('The server was not reached', error);
    return false;
  }
}

/** @implements {Eyes} */
export class ServerEyes {
  everyMs = Object.freeze({ solo: 700, room: 2000 });
  sent = 0;
  requests = 0;
  /** @type {Mode} */
  mode = 'solo';

  /** @param {OnServer} onServer busy, away, answering again */
  constructor(onServer) {
    this.detector = createDetector(async (url, options) => asPictures(await load(url, {
      ...options, backend: 'server', retries: 3, onServer, onSend: (bytes) => this.count(bytes),
    })));
    this.looker = new Looker(this.detector, ON_SERVER.solo);
    this.ended = new AbortController();
  }

  /** @param {number} bytes */
  count(bytes) {
    this.sent += bytes;
    this.requests += 1;
  }

  /** @type {Eyes['prepare']} */
  async prepare({ mode, onProgress }) {
    this.mode = mode;
    this.looker = new Looker(this.detector, ON_SERVER[mode]);
    await this.detector.prepare({ upperBody: mode === 'solo', onProgress });
  }

  /** Nothing is sent before the session runs. */
  async warm() {}

  /** @type {Eyes['look']} */
  async look(video, now) {
    this.refuseWhenEnded();
    // the picture as it is now: what is asked first is answered before the rest is read
    const frame = await createImageBitmap(video);
    try {
      const looked = await this.looker.look(frame, now);
      this.refuseWhenEnded();
      return { ...looked, requests: this.requests, sent: this.sent };
    } finally {
      frame.close();
    }
  }

  /** @type {Eyes['wake']} */
  wake(ms) {
    return new Promise((resolve, reject) => {
      const timer = setTimeout(resolve, ms);
      this.ended.signal.addEventListener('abort', () => {
        clearTimeout(timer);
        reject(ended());
      }, { once: true });
    });
  }

  close() {
    this.ended.abort();
    void this.detector.release(); // ends the question in flight
  }

  refuseWhenEnded() {
    if (this.ended.signal.aborted) throw ended();
  }
}

const ended = () => new InPageError('disposed', 'The session has ended');

/**
 * A model that is fed crops as numbers, fed pictures instead: a fortieth of the bytes.
 * @param {Model} model @returns {Model}
 */
function asPictures(model) {
  const { preprocess } = model;
  if (!preprocess?.size) return model;
  const run = async (/** @type {import('../../runtime/index.js').Feeds} */ { image }, /** @type {{signal?: AbortSignal}} */ options) => {
    const { data, shape: [count, , height, width] } = /** @type {Tensor} */ (image);
    const answers = [];
    for (let row = 0; row < count; row += 1) {
      const pixels = toPixels(/** @type {Float32Array} */ (data), row, width, height, preprocess);
      answers.push(await model.run({ image: pixels }, options));
    }
    return stacked(answers);
  };
  return Object.assign(Object.create(model), { run });
}

/**
 * @param {Float32Array} data planes @param {number} row @param {number} width @param {number} height
 * @param {import('../../runtime/preprocess.js').PreprocessSpec} rule as the crop was made
 */
function toPixels(data, row, width, height, { mean, std, scale }) {
  const pixels = new Uint8ClampedArray(4 * width * height).fill(255), plane = width * height;
  for (let c = 0, from = 3 * row * plane; c < 3; c += 1) {
    for (let i = 0; i < plane; i += 1, from += 1) pixels[4 * i + c] = (data[from] * std[c] + mean[c]) / scale;
  }
  return { data: pixels, width, height };
}

/** Answers to single pictures as the answer to all of them. @param {Record<string, Tensor>[]} answers */
function stacked(answers) {
  if (answers.length === 1) return answers[0];
  return Object.fromEntries(Object.entries(answers[0]).map(([name, { data, shape }]) => {
    const all = new Float32Array(answers.length * data.length);
    answers.forEach((answer, row) => all.set(/** @type {Float32Array} */ (answer[name].data), row * data.length));
    return [name, { data: all, shape: [answers.length, ...shape.slice(1)] }];
  }));
}

// The pixel work of the scanner off the page's thread: {id, op, job} in, {id, value} or {id, error} out, one at a time.

import { answer } from './pipeline.js';

/** @type {Promise<void>} */
let last = Promise.resolve();

addEventListener('message', ({ data }) => {
  last = last.then(async () => postMessage(await answer(data)));
});

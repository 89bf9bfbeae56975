// Feeds as they are now, ready to be sent to the worker.
import { isImage, isPixels, snapshot } from '../media/image.js';
import { InPageError } from './errors.js';
import { isTensor } from './tensor.js';

/** @typedef {import('./index.js').Feeds} Feeds */

/**
 * Copies of feeds that can be sent away: what is drawn as a bitmap, numbers in buffers of their own.
 * @param {Feeds} feeds
 * @returns {Promise<{copies: Feeds, transfer: Transferable[]}>}
 * @throws {InPageError} invalid_input
 */
export async function capture(feeds) {
  /** @type {Feeds} */
  const copies = {};
  /** @type {Transferable[]} */
  const transfer = [];
  try {
    for (const [name, feed] of Object.entries(feeds)) {
      const where = `input "${name}"`;
      if (isTensor(feed) && ArrayBuffer.isView(feed.data)) {
        const data = feed.data.slice();
        copies[name] = { data, shape: feed.shape };
        transfer.push(/** @type {ArrayBuffer} */ (data.buffer));
      } else if (isPixels(feed) && !('colorSpace' in feed) && ArrayBuffer.isView(feed.data)) {
        const data = feed.data.slice();
        copies[name] = { data, width: feed.width, height: feed.height };
        transfer.push(data.buffer);
      } else if (isImage(feed) && !isPixels(feed) && !(feed instanceof Blob)) {
        const bitmap = await snapshot(feed, { where });
        copies[name] = bitmap;
        transfer.push(bitmap);
      } else if (isImage(feed)) {
        copies[name] = feed; // ImageData and Blob are copied on their way
      } else {
        throw new InPageError('invalid_input', 'The feed is neither a tensor {data, shape} nor a picture', { where });
      }
    }
    return { copies, transfer };
  } catch (thrown) {
    closeAll(copies);
    throw thrown;
  }
}

/** @param {Feeds} feeds our own copies */
export function closeAll(feeds) {
  for (const feed of Object.values(feeds)) if ('close' in feed) feed.close();
}

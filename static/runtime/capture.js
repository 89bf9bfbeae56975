// Feeds as they are now, ready to be sent to the worker.
import { isImage, isPixels, snapshot } from '../media/image.js';
import { InPageError } from './errors.js';
import { isTensor } from './tensor.js';

/** @typedef {import('./index.js').Feeds} Feeds */

/**
 * Copies of feeds that can be sent away: what is drawn as a bitmap, numbers in buffers of their own.
 * @param {Feeds} feeds
 * @param {Spare} [spare] to copy into
 * @returns {Promise<{copies: Feeds, transfer: Transferable[]}>}
 * @throws {InPageError} invalid_input
 */
export async function capture(feeds, spare = new Spare()) {
  /** @type {Feeds} */
  const copies = {};
  /** @type {Transferable[]} */
  const transfer = [];
  try {
    for (const [name, feed] of Object.entries(feeds)) {
      const where = `input "${name}"`;
      if (isTensor(feed) && ArrayBuffer.isView(feed.data)) {
        const data = spare.copyOf(feed.data);
        copies[name] = { data, shape: feed.shape };
        transfer.push(data.buffer);
      } else if (isPixels(feed) && !('colorSpace' in feed) && ArrayBuffer.isView(feed.data)) {
        const data = spare.copyOf(feed.data);
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

/**
 * Buffers that came back from the worker, for the next feeds of their sizes: new ones for every run would be so much garbage that
 * runs wait for its collection.
 */
export class Spare {
  constructor() {
    /** @type {ArrayBuffer[]} no more than were ever away at once */
    this.buffers = [];
  }

  /** @template {ArrayBufferView} T @param {T} data @returns {T & {buffer: ArrayBuffer}} */
  copyOf({ buffer, byteOffset, byteLength, constructor }) {
    const at = this.buffers.findIndex((held) => held.byteLength === byteLength);
    if (at < 0) this.buffers = []; // they are of other sizes than what is fed now
    const copy = at < 0 ? new ArrayBuffer(byteLength) : this.buffers.splice(at, 1)[0];
    new Uint8Array(copy).set(new Uint8Array(buffer, byteOffset, byteLength));
    return new (/** @type {any} */ (constructor))(copy);
  }
}

/** @param {Feeds} feeds our own copies */
export function closeAll(feeds) {
  for (const feed of Object.values(feeds)) if ('close' in feed) feed.close();
}

// node stream_node.js: models for many runs, for the converter. Frames on stdin and stdout: the length of a JSON text
// (uint32, little-endian), the text {"tensors": [{"name", "dtype", "shape"}, …]}, then their raw bytes in order.
// {"bundle": FOLDER} takes the place of the model before and is answered by no tensors, a frame of inputs by one of
// outputs; either, and that is the end, by {"error": {…}} alone.
import { pathToFileURL } from 'node:url';
import { asInPageError } from './errors.js';
import { load } from './index.js';
import { DTYPES, sizeOf } from './tensor.js';
import { decode } from './weights.js';

/** @typedef {{name: string, dtype: string, shape: number[]}} Entry */

/** Bytes of stdin, as many as asked for. */
class Reader {
  constructor() {
    /** @type {AsyncIterator<Buffer>} */
    this.chunks = process.stdin[Symbol.asyncIterator]();
    /** @type {Buffer} */
    this.rest = Buffer.alloc(0);
  }

  /** @param {number} bytes @returns {Promise<Uint8Array<ArrayBuffer>|null>} null where stdin has ended */
  async read(bytes) {
    const out = new Uint8Array(bytes);
    for (let at = 0; at < bytes;) {
      if (!this.rest.length) {
        const { value, done } = await this.chunks.next();
        if (done) return null;
        this.rest = value;
      }
      const part = this.rest.subarray(0, bytes - at);
      out.set(part, at);
      at += part.length;
      this.rest = this.rest.subarray(part.length);
    }
    return out;
  }

  /** @returns {Promise<{bundle?: string, tensors?: Entry[]}|null>} */
  async header() {
    const head = await this.read(4);
    const text = head && await this.read(new DataView(head.buffer).getUint32(0, true));
    return text && JSON.parse(new TextDecoder().decode(text));
  }

  /** @param {Entry[]} entries @returns {Promise<Record<string, import('./tensor.js').Tensor>|null>} */
  async feeds(entries) {
    /** @type {Record<string, import('./tensor.js').Tensor>} */
    const feeds = {};
    for (const { name, dtype, shape } of entries) {
      const length = sizeOf(shape), raw = await this.read(length * DTYPES[dtype].bytes);
      if (!raw) return null;
      feeds[name] = { data: decode(dtype, raw.buffer, 0, length), shape };
    }
    return feeds;
  }
}

/** @param {ArrayBufferView|Uint8Array} view @returns {Promise<void>} */
function write({ buffer, byteOffset, byteLength }) {
  return new Promise((resolve, reject) => {
    process.stdout.write(new Uint8Array(buffer, byteOffset, byteLength), (error) => (error ? reject(error) : resolve()));
  });
}

/** @param {object} header */
async function writeHeader(header) {
  const text = new TextEncoder().encode(JSON.stringify(header)), frame = new Uint8Array(4 + text.length);
  new DataView(frame.buffer).setUint32(0, text.length, true);
  frame.set(text, 4);
  await write(frame);
}

async function main() {
  const reader = new Reader();
  /** @type {import('./index.js').Model|null} */
  let model = null;
  for (let header = await reader.header(); header; header = await reader.header()) {
    if (header.bundle !== undefined) {
      await model?.dispose();
      model = await load(pathToFileURL(header.bundle), { worker: false, cache: false });
      await writeHeader({ tensors: [] });
      continue;
    }
    const feeds = model && await reader.feeds(header.tensors ?? []);
    if (!model || !feeds) break;
    const results = Object.entries(await model.run(feeds));
    const dtypes = new Map(model.outputs.map(({ name, dtype }) => [name, dtype]));
    await writeHeader({ tensors: results.map(([name, { shape }]) => ({ name, dtype: dtypes.get(name), shape })) });
    for (const [, { data }] of results) await write(data);
  }
  await model?.dispose();
}

main().catch(async (thrown) => {
  const { code, message, where, hint } = asInPageError(thrown, 'invalid_input');
  await writeHeader({ error: { code, message, where, hint } });
  process.exitCode = 1;
  process.stdin.destroy(); // whoever asks again learns that this has ended
});

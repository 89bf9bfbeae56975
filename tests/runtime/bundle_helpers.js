// Bundles made by hand, and a server that misbehaves on demand.
import { createHash } from 'node:crypto';
import { createServer } from 'node:http';

/** @typedef {{model: any, files: Record<string, Buffer>}} MadeBundle */

/** @param {Uint8Array} bytes */
export const hashOf = (bytes) => createHash('sha256').update(bytes).digest('hex');

/**
 * y = x + w over [n, 4] float32, plus `ballast` int8 weights to fill chunks.
 * @param {{ballast?: number, weight?: number[]}} [options]
 * @returns {MadeBundle}
 */
export function makeBundle({ ballast = 0, weight = [1, 2, 3, 4] } = {}) {
  const w = Buffer.from(Float32Array.from(weight).buffer);
  const b = Buffer.alloc(ballast, 7);
  /** @type {Record<string, any>} */
  const vars = {
    w: { name: 'w', shape: [4], dtype: 'float32', persistable: true },
    x: { name: 'x', shape: [-1, 4], dtype: 'float32', persistable: false },
    y: { name: 'y', shape: [-1, 4], dtype: 'float32', persistable: false },
  };
  if (ballast) vars.b = { name: 'b', shape: [ballast], dtype: 'int8', persistable: true };
  const payload = Buffer.concat([b, w]); // sorted by name
  const step = 4 * 1024 * 1024;
  /** @type {Record<string, Buffer>} */
  const files = {};
  const chunks = [];
  for (let at = 0, i = 1; at < payload.length; at += step, i++) {
    const bytes = payload.subarray(at, at + step);
    files[`chunk_${i}.dat`] = bytes;
    chunks.push({ file: `chunk_${i}.dat`, bytes: bytes.length, sha256: hashOf(bytes) });
  }
  const model = {
    format: 'paddle-inpage', formatVersion: 1, name: 'adder', chunkNum: chunks.length, dataLayout: 'nchw', feedShape: null,
    vars,
    ops: [
      { type: 'feed', inputs: { X: ['feed'] }, outputs: { Out: ['x'] }, attrs: { col: 0 } },
      { type: 'elementwise_add', inputs: { X: ['x'], Y: ['w'] }, outputs: { Out: ['y'] },
        attrs: { axis: -1, fuse_activation: '', fuse_alpha: 0, fuse_beta: 0 } },
      { type: 'fetch', inputs: { X: ['y'] }, outputs: { Out: ['fetch'] }, attrs: { col: 0 } },
    ],
    inputs: [{ name: 'x', shape: ['x.0', 4], dtype: 'float32' }],
    outputs: [{ name: 'y', shape: ['x.0', 4], dtype: 'float32' }],
    chunks, precision: 'float32', converter: { version: '0.1.0' }, source: { format: 'pir', version: 4, sha256: '0'.repeat(64) },
  };
  return { model, files };
}

/**
 * @typedef {(request: import('node:http').IncomingMessage, response: import('node:http').ServerResponse, nth: number) => boolean
 *   |void} Fault answers itself and returns true, or lets the file be served; nth counts requests of this file from 1
 */

/**
 * Serves a bundle under /bundle/ on a free port of 127.0.0.1.
 * @param {MadeBundle} bundle
 * @param {Record<string, Fault>} [faults] by file name
 */
export async function serveBundle({ model, files }, faults = {}) {
  /** @type {Map<string, number>} */
  const counts = new Map();
  const server = createServer((request, response) => {
    const name = new URL(String(request.url), 'http://x').pathname.replace('/bundle/', '');
    counts.set(name, (counts.get(name) ?? 0) + 1);
    if (faults[name]?.(request, response, Number(counts.get(name)))) return;
    const body = name === 'model.json' ? Buffer.from(JSON.stringify(model)) : files[name];
    if (!body) response.writeHead(404).end('no such file');
    else response.writeHead(200, { 'content-length': body.length }).end(body);
  });
  await new Promise((resolve) => { server.listen(0, '127.0.0.1', () => resolve(null)); });
  const { port } = /** @type {import('node:net').AddressInfo} */ (server.address());
  return {
    url: `http://127.0.0.1:${port}/bundle`,
    /** How often a file was asked for. @param {string} name */
    count: (name) => counts.get(name) ?? 0,
    close: () => new Promise((resolve) => {
      server.close(() => resolve(null));
      server.closeAllConnections();
    }),
  };
}

/** Quick enough for tests. */
export const FAST = { backoff_ms: 1, stall_ms: 300, retries: 2 };

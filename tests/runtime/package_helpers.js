// Packages as the original Paddle.js converter wrote them, made by hand, and the folder they lie in.
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** @typedef {{shape: number[], data?: number[]}} Entry with data: a weight */

/**
 * @param {Record<string, Entry>} entries @param {Record<string, any>[]} ops without feed and fetch
 * @param {{input?: string, output?: string, listed?: boolean, more?: Record<string, any>}} [options] listed: vars as a list
 * @returns {{model: any, weights: Float32Array}}
 */
export function makePackage(entries, ops, { input = 'image', output = 'y', listed = false, more = {} } = {}) {
  const vars = Object.fromEntries(Object.entries(entries).map(([name, { shape, data }]) => (
    [name, { name, shape, persistable: data !== undefined }])));
  const weights = Object.keys(entries).sort().flatMap((name) => entries[name].data ?? []);
  const model = {
    vars: listed ? Object.values(vars) : vars,
    ops: [
      { type: 'feed', inputs: { X: ['feed'] }, outputs: { Out: [input] }, attrs: {} }, ...ops,
      { type: 'fetch', inputs: { X: [output] }, outputs: { Out: ['fetch'] }, attrs: {} },
    ],
    chunkNum: weights.length ? 1 : 0, dataLayout: 'nchw', feedShape: null, ...more,
  };
  return { model, weights: Float32Array.from(weights) };
}

/**
 * @param {{model: any, weights: Float32Array}} made @param {{chunks?: Record<string, Float32Array>}} [options] files other
 *   than the one chunk_1.dat
 * @returns {Promise<{folder: string, remove: () => Promise<void>}>}
 */
export async function writePackage({ model, weights }, { chunks = { 'chunk_1.dat': weights } } = {}) {
  const folder = await mkdtemp(join(tmpdir(), 'package-'));
  await writeFile(join(folder, 'model.json'), JSON.stringify(model));
  for (const [name, data] of Object.entries(chunks)) await writeFile(join(folder, name), new Uint8Array(data.buffer.slice(0)));
  return { folder, remove: () => rm(folder, { recursive: true }) };
}

/** y = x * 2 + bias per channel over [1, 2, 1, 3]. @param {Record<string, any>} [more] */
export function smallPackage(more = {}) {
  return makePackage(
    { image: { shape: [2, 1, 3] }, bias: { shape: [2], data: [10, 20] }, y: { shape: [2, 1, 3] } },
    [
      { type: 'scale', inputs: { X: ['image'] }, outputs: { Out: ['a'] }, attrs: { scale: 2 } },
      { type: 'elementwise_add', inputs: { X: ['a'], Y: ['bias'] }, outputs: { Out: ['y'] }, attrs: { axis: 1, Scale_x: 1 } },
    ], { more });
}

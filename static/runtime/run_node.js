// node run_node.js BUNDLE WORKDIR [--repeat N]: runs a bundle on named arrays in files, for the command line.
// Reads WORKDIR/feeds.json {"x": {"dtype", "shape", "file"}} (raw little-endian), writes WORKDIR/fetches.json
// {"outputs": {the same form}, "times_ms": [one per run]}. Exit 1: the last line of stderr is {"error": {…}}.
import { readFile, writeFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { InPageError, asInPageError } from './errors.js';
import { load } from './index.js';
import { DTYPES, sizeOf } from './tensor.js';
import { decode } from './weights.js';

/** @typedef {{dtype: string, shape: number[], file: string}} Entry */

const USAGE = 'node run_node.js BUNDLE WORKDIR [--repeat N]';

/** @param {string[]} args @returns {{bundle: string, folder: string, repeat: number}} */
function parseArgs(args) {
  const [bundle, folder, flag, count = '1', ...rest] = args;
  const repeat = Number(count);
  const flagged = flag === undefined ? count === '1' : flag === '--repeat' && args.length === 4;
  if (!bundle || !folder || rest.length || !flagged || !Number.isSafeInteger(repeat) || repeat < 1) {
    throw new InPageError('invalid_input', 'The arguments are not understood', { hint: `usage: ${USAGE}` });
  }
  return { bundle, folder, repeat };
}

/**
 * @param {string} folder @param {string} name of the input @param {Entry} entry
 * @returns {Promise<import('./tensor.js').Tensor>}
 */
async function readTensor(folder, name, { dtype, shape, file }) {
  const where = `feeds.json: "${name}"`;
  const type = Object.hasOwn(DTYPES, dtype) ? DTYPES[dtype] : null;
  if (!type || !Array.isArray(shape)) {
    throw new InPageError('invalid_input', `The element type ${dtype} is not known, or the shape is no list`, { where });
  }
  const bytes = await readFile(join(folder, basename(file)));
  const length = sizeOf(shape), needed = length * type.bytes;
  if (bytes.length !== needed) {
    throw new InPageError('invalid_input', `${file} has ${bytes.length} bytes where its shape needs ${needed}`, { where });
  }
  const own = new Uint8Array(bytes); // small files come from a pool, at any offset
  return { data: decode(dtype, own.buffer, 0, length), shape };
}

/** @param {import('./tensor.js').TensorData} data @returns {string} the element type that it is written as */
function dtypeOf(data) {
  const found = Object.entries(DTYPES).find(([dtype, { array }]) => data instanceof array && dtype !== 'bool');
  if (!found) throw new InPageError('unsupported', `An output of ${data.constructor.name} cannot be written`);
  return found[0];
}

/** @param {string[]} args */
async function main(args) {
  const { bundle, folder, repeat } = parseArgs(args);
  /** @type {Record<string, Entry>} */
  const entries = JSON.parse(await readFile(join(folder, 'feeds.json'), 'utf8'));
  /** @type {Record<string, import('./tensor.js').Tensor>} */
  const feeds = {};
  for (const [name, entry] of Object.entries(entries)) feeds[name] = await readTensor(folder, name, entry);

  const model = await load(/^https?:/.test(bundle) ? bundle : pathToFileURL(bundle), { worker: false });
  /** @type {number[]} */
  const times_ms = [];
  /** @type {Record<string, import('./tensor.js').Tensor>} */
  let results = {};
  for (let i = 0; i < repeat; i++) {
    const start = performance.now();
    results = await model.run(feeds);
    times_ms.push(performance.now() - start);
  }
  /** @type {Record<string, Entry>} */
  const outputs = {};
  for (const [i, [name, { data, shape }]] of Object.entries(results).entries()) {
    const declared = model.outputs.find((output) => output.name === name)?.dtype;
    const file = `out_${i}.bin`;
    await writeFile(join(folder, file), new Uint8Array(data.buffer, data.byteOffset, data.byteLength));
    outputs[name] = { dtype: declared === 'bool' ? declared : dtypeOf(data), shape, file };
  }
  await writeFile(join(folder, 'fetches.json'), JSON.stringify({ outputs, times_ms }));
  await model.dispose();
}

main(process.argv.slice(2)).catch((thrown) => {
  const { code, message, where, hint } = asInPageError(thrown, 'invalid_input');
  process.stderr.write(`${JSON.stringify({ error: { code, message, where, hint } })}\n`);
  process.exitCode = 1;
});

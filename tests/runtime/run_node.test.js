// The runner for the command line, on real kernels.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { makeBundle } from './bundle_helpers.js';

const SCRIPT = fileURLToPath(new URL('../../static/runtime/run_node.js', import.meta.url));
let folder = '';

/** @param {string[]} args @returns {Promise<{code: number, stderr: string}>} */
function runScript(...args) {
  return new Promise((resolve) => {
    execFile(process.execPath, [SCRIPT, ...args], (error, _, stderr) => resolve({ code: Number(error?.code ?? 0), stderr }));
  });
}

/** @param {Record<string, any>} entries */
async function writeFeeds(entries) {
  await writeFile(join(folder, 'feeds.json'), JSON.stringify(entries));
}

/** The error on the last line of stderr. @param {string} stderr */
const errorOf = (stderr) => JSON.parse(/** @type {string} */ (stderr.trim().split('\n').at(-1))).error;

before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'run-node-'));
  const { model, files } = makeBundle();
  await writeFile(join(folder, 'model.json'), JSON.stringify(model));
  await writeFile(join(folder, 'chunk_1.dat'), files['chunk_1.dat']);
  await writeFile(join(folder, 'x.bin'), new Uint8Array(Float32Array.of(10, 20, 30, 40, 0, 0, 0, 0.5).buffer));
});
after(() => rm(folder, { recursive: true }));

test('arrays in files go through the model, as often as asked', async () => {
  await writeFeeds({ x: { dtype: 'float32', shape: [2, 4], file: 'x.bin' } });
  const { code, stderr } = await runScript(folder, folder, '--repeat', '3');
  assert.equal(code, 0, stderr);
  const { outputs, times_ms } = JSON.parse(await readFile(join(folder, 'fetches.json'), 'utf8'));
  assert.equal(times_ms.length, 3);
  assert.deepEqual(outputs.y.shape, [2, 4]);
  assert.equal(outputs.y.dtype, 'float32');
  const bytes = new Uint8Array(await readFile(join(folder, outputs.y.file)));
  assert.deepEqual([...new Float32Array(bytes.buffer)], [11, 22, 33, 44, 1, 2, 3, 4.5]);
});

/** @type {[string, () => Promise<string[]>, string, RegExp][]} */
const FAILURES = [
  ['no arguments', async () => [], 'invalid_input', /usage/],
  ['a repeat that is no number', async () => [folder, folder, '--repeat', 'often'], 'invalid_input', /usage/],
  ['no bundle', async () => [join(folder, 'gone'), folder], 'not_found', /model\.json/],
  ['a feed of another size', async () => {
    await writeFeeds({ x: { dtype: 'float32', shape: [3, 4], file: 'x.bin' } });
    return [folder, folder];
  }, 'invalid_input', /32 bytes where its shape needs 48/],
  ['a feed of another name', async () => {
    await writeFeeds({ z: { dtype: 'float32', shape: [2, 4], file: 'x.bin' } });
    return [folder, folder];
  }, 'invalid_input', /no feed for input "x"/],
  ['an unknown element type', async () => {
    await writeFeeds({ x: { dtype: 'complex64', shape: [4], file: 'x.bin' } });
    return [folder, folder];
  }, 'invalid_input', /complex64/],
];
for (const [name, prepare, code, message] of FAILURES) {
  test(`fails with JSON on the last line: ${name}`, async () => {
    const result = await runScript(...await prepare());
    assert.equal(result.code, 1);
    const error = errorOf(result.stderr);
    assert.equal(error.code, code);
    assert.match(error.message, message);
  });
}

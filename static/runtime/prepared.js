// Models as they lay ready in the kernels' memory, in the private files of the page's origin: a later visit reads one back, and has
// no weights to fetch, unpack, check, widen and pack, and nothing to plan. Only workers can read files at once. One that is missing,
// not whole, or of another version of the model, the kernels or this runtime is as good as none: the bundle is loaded.
import { restoreEngine } from './engine.js';
import { DEFAULT_POLICY, fetchBytes } from './fetch.js';
import { parseModel } from './manifest.js';
import { readFile, writeFile } from './prepared_file.js';
import { sha256 } from './sha256.js';

/** @typedef {import('./prepared_file.js').SyncFile} SyncFile */
/** @typedef {{graph: import('./manifest.js').Graph, engine: Awaited<ReturnType<typeof restoreEngine>>}} Restored */
/** @typedef {{getFile(): Promise<File>, createSyncAccessHandle(options: object): Promise<SyncFile>}} Handle */
/** @typedef {{getFileHandle(name: string, options: {create: boolean}): Promise<Handle>, removeEntry(name: string): Promise<void>,
 *   entries(): AsyncIterable<[string, Handle]>}} Folder */

const PREFIX = 'paddle-inpage-', BUDGET_BYTES = 512 * 2 ** 20, MAX_NAME = 200, MAX_MODEL_BYTES = 2 ** 26;
const LATER_MS = 800; // after the model is there: its first answers come first
const MARK = 'inpage.sources'; // the section of the kernels that names what they were built from, as build.py writes it

/** The runtime's version; null where its files may change under their addresses, for then nothing tells that they did. */
const VERSION = /\/([0-9a-f]{16})\/runtime\//.exec(import.meta.url)?.[1] ?? null;

/** @param {string} model address of its model.json @returns {string|null} null where nothing can be kept */
function fileOf(model) {
  const name = `${PREFIX}${VERSION}-${encodeURIComponent(model)}`; // as start.js looks for it
  return VERSION && name.length <= MAX_NAME && 'FileSystemSyncAccessHandle' in globalThis ? name : null;
}

/** @returns {Promise<Folder>} */
const folder = () => /** @type {Promise<any>} */ (navigator.storage.getDirectory());

/** What a file must be made of to be of use. @param {Uint8Array<ArrayBuffer>} text of model.json @param {WebAssembly.Module} wasm */
const sourcesOf = async (text, wasm) => `${await sha256(text)} ${WebAssembly.Module.customSections(wasm, MARK).map((mark) => new Uint8Array(mark))}`;

/**
 * A model as it was kept.
 * @param {string} model address of its model.json
 * @param {() => Promise<WebAssembly.Module>} kernels asked for where there is a file
 * @param {Pick<import('./bundle.js').BundleOptions, 'signal'|'policy'>} [options]
 * @param {Handle} [known] its file, where that was looked for already
 * @returns {Promise<Restored|null>} null where it was not
 */
export async function loadPrepared(model, kernels, { signal, policy } = {}, known = undefined) {
  const name = fileOf(model);
  if (!name) return null;
  /** @type {SyncFile|undefined} */
  let file;
  try {
    const asked = known ? kernels() : null, handle = known ?? await (await folder()).getFileHandle(name, { create: false });
    const text = fetchBytes(model, { policy: { ...DEFAULT_POLICY, ...policy, retries: 0 }, signal, limit: MAX_MODEL_BYTES });
    [file] = await Promise.all([handle.createSyncAccessHandle({ mode: 'read-only' }), text, asked]);
    return await restored(file, await text, await kernels());
  } catch {
    return null; // no such file, or storage is blocked, or not whole: the bundle's own loader tells what else is wrong
  } finally {
    file?.close();
  }
}

/**
 * @param {SyncFile} file @param {Uint8Array<ArrayBuffer>} text of model.json @param {WebAssembly.Module} wasm
 * @returns {Promise<Restored|null>} null where the file is of something else
 */
export async function restored(file, text, wasm) {
  const found = readFile(file);
  if (found?.sources !== await sourcesOf(text, wasm)) return null;
  const graph = parseModel(JSON.parse(new TextDecoder().decode(text)));
  return { graph, engine: await restoreEngine(graph, { wasm }, found.ready, found.fill) };
}

/**
 * Keeps a model for the next visit.
 * @param {string} model address of its model.json @param {string} text of that @param {WebAssembly.Module} wasm
 * @param {() => import('./wasm_engine.js').Ready|null} snapshot
 */
export function keepLater(model, text, wasm, snapshot) {
  const name = fileOf(model), sources = sourcesOf(new TextEncoder().encode(text), wasm);
  if (name) setTimeout(() => keep(name, sources, snapshot).catch(() => {}), LATER_MS); // storage is full or gone: the next visit loads the bundle
}

/** @param {string} name @param {Promise<string>} sources @param {() => import('./wasm_engine.js').Ready|null} snapshot */
async function keep(name, sources, snapshot) {
  const state = snapshot(), home = await folder();
  if (!state) return;
  await makeRoom(home, name, state.packed.length);
  const file = await (await home.getFileHandle(name, { create: true })).createSyncAccessHandle({});
  try {
    await writeFile(file, await sources, state);
  } catch (thrown) {
    file.truncate(0);
    throw thrown;
  } finally {
    file.close();
  }
}

/** Removes what other versions of the runtime left, and the oldest beyond the budget. @param {Folder} home @param {string} name @param {number} bytes */
async function makeRoom(home, name, bytes) {
  const same = `${PREFIX}${VERSION}-`;
  /** @type {File[]} */
  const others = [];
  for await (const [other, handle] of home.entries()) {
    if (!other.startsWith(PREFIX) || other === name) continue;
    if (other.startsWith(same)) others.push(await handle.getFile());
    else await home.removeEntry(other);
  }
  others.sort((a, b) => b.lastModified - a.lastModified);
  let total = bytes;
  for (const { name: other, size } of others) if ((total += size) > BUDGET_BYTES) await home.removeEntry(other);
}

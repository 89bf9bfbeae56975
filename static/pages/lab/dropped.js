// A bundle from the visitor's own disk: files that were dropped or chosen, read where they are.
import { InPageError } from '../../runtime/errors.js';

/** @typedef {import('../../runtime/source.js').Source} Source */

/**
 * Every file of what was dropped, folders included.
 * @param {DataTransfer} transfer read before the event ends
 * @returns {Promise<File[]>}
 */
export async function filesOf(transfer) {
  const entries = [...transfer.items].map((item) => item.webkitGetAsEntry?.() ?? null);
  if (!entries.some((entry) => entry?.isDirectory)) return [...transfer.files];
  const lists = await Promise.all(entries.map((entry) => (entry ? walk(entry) : [])));
  return lists.flat();
}

/** @param {FileSystemEntry} entry @returns {Promise<File[]>} */
async function walk(entry) {
  if (entry.isFile) {
    return [await new Promise((resolve, reject) => { /** @type {FileSystemFileEntry} */ (entry).file(resolve, reject); })];
  }
  const reader = /** @type {FileSystemDirectoryEntry} */ (entry).createReader(), found = [];
  for (;;) { // a reader gives its entries in portions
    /** @type {FileSystemEntry[]} */
    const some = await new Promise((resolve, reject) => { reader.readEntries(resolve, reject); });
    if (!some.length) break;
    found.push(...some);
  }
  return (await Promise.all(found.map(walk))).flat();
}

/**
 * @param {File[]} files model.json and its chunks, others are left alone
 * @returns {{name: string, bytes: number, source: Source}}
 * @throws {InPageError} invalid_input where there is not exactly one model.json
 */
export function bundleOf(files) {
  const models = files.filter(({ name }) => name === 'model.json');
  if (models.length !== 1) {
    const what = models.length ? 'These are several bundles' : 'There is no model.json among these files';
    throw new InPageError('invalid_input', what, { hint: 'drop the folder of one bundle' });
  }
  const byName = new Map(files.map((file) => [file.name, file])), folder = models[0].webkitRelativePath.split('/').slice(-2, -1)[0];
  return {
    name: folder ?? 'dropped bundle',
    bytes: files.reduce((sum, { size }) => sum + size, 0),
    source: {
      model: 'model.json', cached: false,
      locate: (name) => name || 'model.json',
      async read(name) {
        const file = byName.get(name || 'model.json');
        if (file) return new Uint8Array(await file.arrayBuffer());
        throw new InPageError('not_found', `The file "${name}" was not dropped with the others`, { where: 'model.json', hint: 'drop the whole folder' });
      },
    },
  };
}

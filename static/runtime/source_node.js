// A bundle in a folder, for Node: command line, tests, servers. Never fetched by a browser.
import { open } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { InPageError, asInPageError, throwIfAborted } from './errors.js';

/**
 * @param {string|URL} address a path, or a file: URL
 * @returns {import('./source.js').Source}
 */
export function folderSource(address) {
  const path = String(address).startsWith('file:') ? fileURLToPath(address) : String(address);
  const folder = path.endsWith('.json') ? dirname(path) : path;
  /** @param {string} file */
  const locate = (file) => (file ? join(folder, file) : path.endsWith('.json') ? path : join(path, 'model.json'));
  return {
    model: locate(''),
    cached: false,
    locate,
    read: (file, options) => readFile(locate(file), options),
  };
}

/**
 * @param {string} path
 * @param {Pick<import('./fetch.js').FetchOptions, 'bytes'|'limit'|'signal'|'onBytes'>} options
 * @returns {Promise<Uint8Array<ArrayBuffer>>}
 * @throws {InPageError} not_found, damaged, aborted
 */
export async function readFile(path, { bytes, limit, signal, onBytes }) {
  throwIfAborted(signal, path);
  const file = await open(path).catch((/** @type {unknown} */ cause) => { throw unreadable(path, cause); });
  try {
    const { size } = await file.stat();
    if (bytes !== undefined && size !== bytes) {
      throw new InPageError('damaged', `The file has ${size} bytes where the bundle says ${bytes}`, {
        where: path, hint: 'copy or convert the bundle again',
      });
    }
    if (size > limit) throw new InPageError('damaged', `The file is larger than ${limit} bytes`, { where: path });
    const out = new Uint8Array(size);
    let at = 0;
    while (at < size) {
      const { bytesRead } = await file.read(out, at, size - at, at);
      throwIfAborted(signal, path);
      if (bytesRead === 0) throw new InPageError('damaged', 'The file shrank while it was read', { where: path });
      at += bytesRead;
      onBytes?.(at);
    }
    return out;
  } catch (thrown) {
    throw unreadable(path, thrown);
  } finally {
    await file.close();
  }
}

/** @param {string} path @param {unknown} cause @returns {InPageError} */
function unreadable(path, cause) {
  const code = cause instanceof Error && 'code' in cause ? cause.code : '';
  if (code === 'ENOENT' || code === 'ENOTDIR') {
    return new InPageError('not_found', 'There is no such file', {
      where: path, hint: 'give the folder that holds model.json', cause,
    });
  }
  return asInPageError(cause, 'network', { where: path, hint: 'check that the file can be read' });
}

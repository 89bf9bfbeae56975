// Where a bundle lies: over HTTP, or in a folder when running under Node.
import { InPageError } from './errors.js';
import { fetchBytes } from './fetch.js';
import { namedInHead, nearPage } from './near.js';

/** @typedef {import('./fetch.js').FetchOptions} FetchOptions */
/**
 * @typedef {object} Source
 * @property {string} model what to call model.json in messages
 * @property {boolean} cached whether copies may sit in caches, so that reading again can help
 * @property {(file: string) => string} locate a file of the bundle, for messages
 * @property {(file: string, options: FetchOptions) => Promise<Uint8Array<ArrayBuffer>>} read '' is model.json
 * @property {(file: string) => string|undefined} [hashOf] SHA-256 of what was read last, where it came with it
 * @property {(file: string) => boolean} [isNear] whether it is fetched already, so that no copy of ours is sooner
 */

export const IN_NODE = typeof globalThis.process?.versions?.node === 'string' && !('document' in globalThis);

/**
 * @param {string|URL|Source} address the bundle's folder, with or without slash, or its model.json; in Node also a path; a
 *   source is taken as it is
 * @param {import('./near.js').Near} [near]
 * @returns {Promise<Source>}
 * @throws {InPageError} invalid_input when it is not an address
 */
export async function openSource(address, near) {
  if (typeof address === 'object' && 'read' in address) return address;
  if (IN_NODE && isPath(address)) {
    const { folderSource } = await import('./source_node.js');
    return folderSource(address);
  }
  const model = resolveUrl(address);
  return httpSource(model, near ?? nearPage(namedInHead(model.href)));
}

/** @param {string|URL} address */
const isPath = (address) => String(address).startsWith('file:') || !/^[a-z][a-z0-9+.-]+:/i.test(String(address));

/**
 * @param {string|URL} address
 * @returns {URL} of model.json
 */
export function resolveUrl(address) {
  const base = globalThis.document?.baseURI ?? globalThis.location?.href;
  /** @type {URL} */
  let url;
  try {
    url = new URL(address, base);
  } catch (cause) {
    throw new InPageError('invalid_input', `"${address}" is not an address`, {
      where: 'load()', hint: 'give the URL of the bundle\'s folder', cause,
    });
  }
  if (!['http:', 'https:'].includes(url.protocol)) {
    throw new InPageError('invalid_input', `A bundle cannot be loaded over ${url.protocol}`, {
      where: 'load()', hint: 'serve its folder over http or https',
    });
  }
  if (!url.pathname.endsWith('.json')) url.pathname += url.pathname.endsWith('/') ? 'model.json' : '/model.json';
  return url;
}

/** @param {URL} model @param {import('./near.js').Near} near @returns {Source} */
function httpSource(model, near) {
  /** @param {string} file */
  const locate = (file) => {
    const url = new URL(file, model);
    url.search = model.search; // a signature or version in the query holds for the whole folder
    return url.href;
  };
  return {
    model: model.href,
    cached: true,
    locate: (file) => (file ? locate(file) : model.href),
    read: (file, options) => fetchBytes(file ? locate(file) : model.href, { ...options, fetch: near.fetch.bind(near) }),
    isNear: (file) => near.has(locate(file)),
    hashOf: (file) => near.hashOf?.(locate(file)),
  };
}

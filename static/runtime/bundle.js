// A bundle on a server or disk -> Graph and weights: fetched in parallel, hash-checked, cached by hash, decoded.
import { openStore } from './cache.js';
import { InPageError, abortError, asInPageError } from './errors.js';
import { DEFAULT_POLICY } from './fetch.js';
import { isPackage, parseModel } from './manifest.js';
import { sha256 } from './sha256.js';
import { openSource } from './source.js';
import { decodeWeights } from './weights.js';

export { parseModel };

/** @typedef {import('./manifest.js').Graph} Graph */
/** @typedef {import('./manifest.js').Op} Op */
/** @typedef {import('./manifest.js').Chunk} Chunk */
/** @typedef {{loaded: number, total: number, stage: 'model'|'weights'|'prepare'|'ready'}} Progress bytes of weights */
/**
 * @typedef {object} BundleOptions
 * @property {(progress: Progress) => void} [onProgress]
 * @property {AbortSignal} [signal]
 * @property {Partial<import('./fetch.js').FetchPolicy>} [policy]
 * @property {boolean} [cache] keep shards in the Cache API (default true)
 * @property {import('./near.js').Near} [near] files that are fetched already; default: those that the page names
 * @property {boolean} [keepHalves] leave weights in float16, where the platform has arrays of it
 * @property {(graph: Graph) => void|Promise<void>} [check] may refuse the graph: at once before its weights are fetched, later while they are
 */
/**
 * @typedef {object} Bundle
 * @property {Graph} graph
 * @property {Map<string, import('./tensor.js').TensorData>} weights
 * @property {string} [text] model.json as it came
 * @property {Promise<boolean>} stored settles when the shards are kept for the next visit; false when they could not be
 */

const MAX_MODEL_JSON_BYTES = 64 * 1024 * 1024;
const PARALLEL = 6;

/**
 * @param {string|URL|import('./source.js').Source} address see openSource
 * @param {BundleOptions} [options]
 * @returns {Promise<Bundle>}
 * @throws {InPageError}
 */
export async function loadBundle(address, options = {}) {
  const source = await openSource(address, options.near);
  const policy = { ...DEFAULT_POLICY, ...options.policy };
  const scope = new Scope(options);
  try {
    const text = await readModel(source, policy, scope, 'default');
    try {
      return await loadParts(source, text, policy, scope, options);
    } catch (thrown) {
      // Shards that do not fit may belong to a newer bundle than a cached model.json: look at the server's own once.
      if (!(thrown instanceof InPageError && thrown.code === 'damaged' && source.cached)) throw thrown;
      const fresh = await readModel(source, policy, scope.renew(), 'reload');
      if (fresh === text) throw thrown;
      return await loadParts(source, fresh, policy, scope, options);
    }
  } catch (thrown) {
    throw scope.explain(thrown, source.model);
  } finally {
    scope.close();
  }
}

/**
 * A file beside the shards, its hash checked.
 * @param {string|URL|import('./source.js').Source} address see openSource
 * @param {Chunk} entry
 * @param {Pick<BundleOptions, 'signal'|'policy'>} [options]
 * @returns {Promise<Uint8Array<ArrayBuffer>>}
 * @throws {InPageError}
 */
export async function readBeside(address, entry, options = {}) {
  const source = await openSource(address), scope = new Scope(options), policy = { ...DEFAULT_POLICY, ...options.policy };
  try {
    return (await readShard(source, entry, null, { policy, signal: scope.signal, onBytes: () => {} })).data;
  } catch (thrown) {
    throw scope.explain(thrown, source.locate(entry.file));
  } finally {
    scope.close();
  }
}

/** What all requests of one load share: one failure, abort or throwing callback ends the others. */
class Scope {
  /** @param {BundleOptions} options */
  constructor({ signal, onProgress }) {
    this.outer = signal;
    this.onProgress = onProgress;
    this.controller = new AbortController();
    this.onAbort = () => this.controller.abort();
    if (signal?.aborted) this.onAbort();
    signal?.addEventListener('abort', this.onAbort, { once: true });
    this.loaded = 0;
  }

  get signal() { return this.controller.signal; }

  /** After the requests were ended by a failure: a new start. @returns {this} */
  renew() {
    this.controller = new AbortController();
    if (this.outer?.aborted) this.controller.abort();
    return this;
  }

  /**
   * Reports progress; never less than before, though a retried shard starts again.
   * @param {Progress['stage']} stage @param {number} loaded @param {number} total
   */
  report(stage, loaded, total) {
    this.loaded = Math.max(this.loaded, loaded);
    if (!this.onProgress || this.failure) return;
    try {
      this.onProgress({ stage, loaded: Math.min(this.loaded, total), total });
    } catch (thrown) {
      this.failure = { thrown };
      this.controller.abort();
    }
  }

  /** The error to give to the caller. @param {unknown} thrown @param {string} where @returns {unknown} */
  explain(thrown, where) {
    if (this.failure) return this.failure.thrown; // the caller's own callback threw: it gets that back
    if (this.outer?.aborted) return abortError(this.outer, where);
    return asInPageError(thrown, 'invalid_model', { where });
  }

  close() {
    this.outer?.removeEventListener('abort', this.onAbort);
    this.controller.abort();
  }
}

/**
 * @param {import('./source.js').Source} source @param {import('./fetch.js').FetchPolicy} policy
 * @param {Scope} scope @param {RequestCache} cache
 * @returns {Promise<string>}
 */
async function readModel(source, policy, scope, cache) {
  scope.report('model', 0, 0);
  const bytes = await source.read('', { policy, signal: scope.signal, limit: MAX_MODEL_JSON_BYTES, cache });
  return new TextDecoder().decode(bytes);
}

/**
 * @param {import('./source.js').Source} source @param {string} text of model.json
 * @param {import('./fetch.js').FetchPolicy} policy @param {Scope} scope @param {BundleOptions} options
 * @returns {Promise<Bundle>}
 */
async function loadParts(source, text, policy, scope, options) {
  const json = parseJson(text, source.model);
  if (isPackage(json)) return loadOldPackage(json, source, policy, scope, options);
  const graph = parseModel(json);
  const checked = checkedBeside(options.check?.(graph), scope);
  const { chunks } = graph;
  const total = chunks.reduce((sum, chunk) => sum + chunk.bytes, 0);
  const joined = allocate(total, source.model);
  const isNear = (/** @type {Chunk} */ { file }) => source.isNear?.(file) ?? false; // the browser keeps those itself
  const store = options.cache === false || chunks.every(isNear) ? null : await openStore();
  const loaded = new Array(chunks.length).fill(0);
  /** @type {boolean[]} */
  const fetched = new Array(chunks.length).fill(false);
  scope.report('weights', 0, total);
  await inParallel(chunks.length, scope, async (i) => {
    const onBytes = (/** @type {number} */ bytes) => {
      loaded[i] = bytes;
      scope.report('weights', loaded.reduce((sum, part) => sum + part, 0), total);
    };
    const start = i ? i * chunks[0].bytes : 0, into = joined.subarray(start, start + chunks[i].bytes); // all but the last have the same size
    const shard = await readShard(source, chunks[i], isNear(chunks[i]) ? null : store, { policy, signal: scope.signal, into, onBytes });
    if (shard.data.buffer !== joined.buffer) into.set(shard.data);
    fetched[i] = shard.fetched;
    onBytes(chunks[i].bytes);
  }).catch(async (thrown) => {
    await checked; // a refusal ended the requests, and is the reason to give
    throw thrown;
  });
  await checked;
  scope.report('prepare', total, total);
  const kept = chunks.map(({ sha256: hash, bytes }, i) => ({
    hash, bytes, data: fetched[i] ? joined.subarray(i * chunks[0].bytes, i * chunks[0].bytes + bytes) : null,
  })).filter((_, i) => !isNear(chunks[i]));
  return {
    graph, text,
    weights: decodeWeights(graph.vars, joined.buffer, options.keepHalves),
    stored: store ? store.keep(kept) : Promise.resolve(false),
  };
}

/**
 * What the check itself has to fetch comes beside the weights; where it refuses, they are given up.
 * @param {void|Promise<void>} checking @param {Scope} scope
 * @returns {Promise<void>}
 */
function checkedBeside(checking, scope) {
  const checked = Promise.resolve(checking).catch((thrown) => {
    scope.controller.abort();
    throw thrown;
  });
  checked.catch(() => {}); // whoever waits for it has the failure
  return checked;
}

/**
 * A package of the original Paddle.js converter: its reader is fetched by those who have one.
 * @param {unknown} json @param {import('./source.js').Source} source @param {import('./fetch.js').FetchPolicy} policy
 * @param {Scope} scope @param {BundleOptions} options
 * @returns {Promise<Bundle>}
 */
async function loadOldPackage(json, source, policy, scope, options) {
  const { loadPackage } = await import('./paddlejs.js');
  return loadPackage(json, {
    where: source.model,
    check: options.check,
    read: (file, wishes) => source.read(file, { policy, signal: scope.signal, ...wishes }),
    report: (stage, loaded, total) => scope.report(stage, loaded, total),
  });
}

/** @param {string} text @param {string} where @returns {unknown} */
function parseJson(text, where) {
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new InPageError('invalid_model', 'model.json is not JSON', {
      where, hint: 'check that the address is a bundle and not a web page', cause,
    });
  }
}

/** @param {number} bytes @param {string} where @returns {Uint8Array<ArrayBuffer>} */
function allocate(bytes, where) {
  try {
    return new Uint8Array(bytes);
  } catch (cause) {
    throw asInPageError(cause, 'out_of_memory', { where });
  }
}

/**
 * Runs `task(0..count-1)`, a few at a time; the first failure ends the others and is the one thrown.
 * @param {number} count @param {Scope} scope @param {(i: number) => Promise<void>} task
 */
async function inParallel(count, scope, task) {
  let next = 0;
  const lane = async () => { while (next < count) await task(next++); };
  const lanes = Array.from({ length: Math.min(PARALLEL, count) }, lane);
  try {
    await Promise.all(lanes);
  } catch (thrown) {
    scope.controller.abort();
    await Promise.allSettled(lanes);
    throw thrown;
  }
}

/**
 * One chunk from the cache or the source, its hash checked. A copy that does not match is asked for once more past
 * all caches before the bundle is called damaged.
 * @param {import('./source.js').Source} source @param {Chunk} chunk @param {import('./cache.js').ShardStore|null} store
 * @param {{policy: import('./fetch.js').FetchPolicy, signal: AbortSignal, into?: Uint8Array<ArrayBuffer>, onBytes: (bytes: number) => void}} options
 * @returns {Promise<{data: Uint8Array<ArrayBuffer>, fetched: boolean}>} data: `into`, where the source can fill it
 */
async function readShard(source, { file, bytes, sha256: hash }, store, options) {
  const kept = await store?.get(hash);
  if (kept) {
    if (kept.length === bytes && await sha256(kept) === hash) return { data: kept, fetched: false };
    await store?.remove(hash);
  }
  /** @param {RequestCache} cache */
  const read = (cache) => source.read(file, { ...options, bytes, limit: bytes, cache });
  let data = await read('default');
  let found = source.hashOf?.(file) ?? await sha256(data);
  if (found !== hash && source.cached) {
    data = await read('reload');
    found = await sha256(data);
  }
  if (found !== hash) {
    throw new InPageError('damaged', `The chunk's SHA-256 is ${found.slice(0, 12)}…, not ${hash.slice(0, 12)}…`, {
      where: source.locate(file), hint: 'copy the bundle to the server again, or convert the model again',
    });
  }
  return { data, fetched: true };
}

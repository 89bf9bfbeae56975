// Weight shards kept in the Cache API under their SHA-256: a second visit asks the network for none of them.
// A cache may fail at any time (quota, private mode, storage cleared): then a shard is fetched again, nothing more.

const CACHE_NAME = 'paddle-inpage-shards-1';
const BUDGET_BYTES = 512 * 1024 * 1024;

/** @typedef {Record<string, {bytes: number, used: number}>} Index by hash; `used` in ms since 1970 */

/** Paths that no server answers: the Cache API wants http(s) requests as keys. @param {string} leaf */
const keyOf = (leaf) => new URL(`/.paddle-inpage/${leaf}`, globalThis.location.origin).href;

/**
 * The store of this origin, or null where there is none (Node, insecure origins, blocked storage).
 * @param {number} [budget_bytes]
 * @returns {Promise<ShardStore|null>}
 */
export async function openStore(budget_bytes = BUDGET_BYTES) {
  if (!globalThis.caches || !globalThis.location) return null;
  try {
    return new ShardStore(await caches.open(CACHE_NAME), budget_bytes);
  } catch {
    return null; // storage is blocked for this page: the same as having no cache
  }
}

/** Shards by hash, least recently used first out. */
export class ShardStore {
  /** @param {Pick<Cache, 'match'|'put'|'delete'|'keys'>} cache @param {number} budget_bytes */
  constructor(cache, budget_bytes) {
    this.cache = cache;
    this.budget_bytes = budget_bytes;
  }

  /**
   * @param {string} hash
   * @returns {Promise<Uint8Array<ArrayBuffer>|null>} the bytes as stored, unchecked; null when absent or unreadable
   */
  async get(hash) {
    try {
      const response = await this.cache.match(keyOf(hash));
      return response ? new Uint8Array(await response.arrayBuffer()) : null;
    } catch {
      return null; // an unreadable entry is a missing one
    }
  }

  /** @param {string} hash @returns {Promise<void>} */
  async remove(hash) {
    await this.cache.delete(keyOf(hash)).catch(() => false); // it is overwritten by the next put anyway
  }

  /**
   * Stores new shards, marks all of `used` as used now, and evicts the oldest others beyond the budget.
   * @param {{hash: string, bytes: number, data: Uint8Array<ArrayBuffer>|null}[]} used data is null for what came from
   *   here
   * @returns {Promise<boolean>} false when not everything could be kept
   */
  async keep(used) {
    try {
      const index = await this.readIndex();
      const now = Date.now();
      const fresh = new Set(used.map(({ hash }) => hash));
      for (const { hash, bytes } of used) index[hash] = { bytes, used: now };
      await this.evict(index, fresh, this.budget_bytes);
      for (const { hash, data } of used) {
        if (data && index[hash]) await this.put(index, fresh, hash, data);
      }
      await this.writeIndex(index);
      return used.every(({ hash }) => index[hash]);
    } catch {
      return false; // the quota is full or storage went away: this load has its bytes already
    }
  }

  /**
   * @param {Index} index @param {Set<string>} fresh @param {string} hash @param {Uint8Array<ArrayBuffer>} data
   */
  async put(index, fresh, hash, data) {
    /** @returns {Promise<void>} */
    const store = () => this.cache.put(keyOf(hash), new Response(data, {
      headers: { 'content-type': 'application/octet-stream', 'content-length': String(data.length) },
    }));
    try {
      await store();
    } catch {
      delete index[hash]; // make room by giving up every shard of other models, then try once more
      await this.evict(index, fresh, 0);
      await this.writeIndex(index);
      await store();
      index[hash] = { bytes: data.length, used: Date.now() };
    }
  }

  /**
   * Drops the least recently used shards until the rest fits, never those of the model being loaded unless that
   * model alone is over the budget.
   * @param {Index} index changed in place @param {Set<string>} fresh @param {number} budget_bytes
   */
  async evict(index, fresh, budget_bytes) {
    for (const request of await this.cache.keys()) { // entries that no index knows are left-overs of a lost write
      const hash = request.url.slice(keyOf('').length);
      if (hash !== 'index.json' && !index[hash]) await this.cache.delete(request);
    }
    const oldest = Object.entries(index).sort(([, a], [, b]) => a.used - b.used);
    let total = oldest.reduce((sum, [, { bytes }]) => sum + bytes, 0);
    for (const [hash, { bytes }] of oldest) {
      if (total <= budget_bytes) return;
      if (fresh.has(hash)) continue;
      await this.cache.delete(keyOf(hash));
      delete index[hash];
      total -= bytes;
    }
    if (budget_bytes === 0 || total <= budget_bytes) return;
    for (const hash of fresh) { // larger than the whole budget: not worth storing in part
      await this.cache.delete(keyOf(hash));
      delete index[hash];
    }
  }

  /** @returns {Promise<Index>} empty when absent or not readable */
  async readIndex() {
    const response = await this.cache.match(keyOf('index.json'));
    if (!response) return {};
    try {
      return await response.json();
    } catch {
      return {}; // rebuilt from now on; the entries it listed are evicted as unknown
    }
  }

  /** @param {Index} index @returns {Promise<void>} */
  writeIndex(index) {
    return this.cache.put(keyOf('index.json'), new Response(JSON.stringify(index)));
  }
}

// Keeps the site for use without a network: pages, scripts, kernels and the scanner's model.
//
// One cache per site version, filled as a whole at installation, so that what is kept always fits together; what only
// some devices need joins it when it is used. Files that did not change are taken over from the previous version's cache.
// Pages come from the network when it answers in time; files under a content hash come from the cache when they are in it.

// Typed by hand: the DOM library that checks the pages has no service worker scope.
/**
 * @typedef {Event & {waitUntil(promise: Promise<unknown>): void}} LifeEvent
 * @typedef {LifeEvent & {request: Request, respondWith(response: Promise<Response>): void}} RequestEvent
 * @typedef {'always'|'used'|'relaxed'|'strict'} Keep
 * @typedef {{url: string, name: string, keep: Keep, sha256: string, bytes: number}} SiteFile
 * @typedef {{version: string, pages: string[], usedPages: string[], files: SiteFile[]}} SiteList
 */

const scope = /** @type {EventTarget & {clients: {claim(): Promise<void>}}} */ (/** @type {unknown} */ (self));

const VERSION = '__SITE_VERSION__';
const PREFIX = 'inpage-site-';
const CACHE = PREFIX + VERSION;
const LIST = '/assets.json';
const PAGE_TIMEOUT_MS = 4000;
const PARALLEL = 6;
/** Whether this browser runs the build of the kernels with relaxed SIMD: a module with relaxed_madd, as backends/wasm.js asks. */
const RELAXED = WebAssembly.validate(Uint8Array.of(
  0, 97, 115, 109, 1, 0, 0, 0, 1, 6, 1, 96, 1, 123, 1, 123, 3, 2, 1, 0, 10, 13, 1, 11, 0, 32, 0, 32, 0, 32, 0, 253, 133, 2, 11));

/** @param {string} url @returns {Promise<Response>} a whole, successful answer; anything else is an error */
async function fetchWhole(url) {
  const response = await fetch(url, { credentials: 'same-origin' });
  if (!response.ok || response.redirected) throw new Error(`${url} answered ${response.status}`);
  return response;
}

/** Files of an earlier version by content hash. @returns {Promise<Map<string, {cache: Cache, url: string}>>} */
async function keptFiles() {
  const kept = new Map();
  for (const name of await caches.keys()) {
    if (!name.startsWith(PREFIX) || name === CACHE) continue;
    const cache = await caches.open(name);
    const list = await cache.match(LIST);
    if (!list) continue;
    for (const { url, sha256 } of /** @type {SiteList} */ (await list.json()).files) kept.set(sha256, { cache, url });
  }
  return kept;
}

/** Fills this version's cache, all or nothing. */
async function install() {
  const response = await fetchWhole(LIST);
  const list = /** @type {SiteList} */ (await response.clone().json());
  if (list.version !== VERSION) throw new Error(`the site is now ${list.version}; this worker belongs to ${VERSION}`);
  const kept = await keptFiles();
  const cache = await caches.open(CACHE);
  const needed = new Set(['always', RELAXED ? 'relaxed' : 'strict']);
  /** @type {(() => Promise<void>)[]} */
  const jobs = [
    ...list.pages.map((url) => async () => cache.put(url, await fetchWhole(url))),
    ...list.files.map(({ url, sha256, keep }) => async () => {
      const old = kept.get(sha256), before = old && (await old.cache.match(old.url));
      if (before || needed.has(keep)) await cache.put(url, before || (await fetchWhole(url)));
    }),
  ];
  const work = Array.from({ length: PARALLEL }, async () => {
    for (let job = jobs.pop(); job; job = jobs.pop()) await job();
  });
  try {
    await Promise.all(work);
    await cache.put(LIST, response);
  } catch (error) {
    await caches.delete(CACHE);
    throw error;
  }
}

/** Drops the caches of earlier versions; runs when no page of theirs is open any more. */
async function activate() {
  const old = (await caches.keys()).filter((name) => name.startsWith(PREFIX) && name !== CACHE);
  await Promise.all(old.map((name) => caches.delete(name)));
  await scope.clients.claim();
}

/** A page: from the network if it answers in time, else as kept, else the page that says so. */
async function answerPage(/** @type {Request} */ request) {
  const cache = await caches.open(CACHE);
  const path = new URL(request.url).pathname.replace(/(.)\/$/, '$1');
  const network = fetch(request);
  const kept = await cache.match(path, { ignoreVary: true });
  if (kept) {
    const late = new Promise((resolve) => setTimeout(resolve, PAGE_TIMEOUT_MS));
    const first = await Promise.race([network.catch(() => undefined), late.then(() => undefined)]);
    return first ?? kept;
  }
  try {
    const response = await network;
    const list = response.ok && (await cache.match(LIST));
    if (list && /** @type {SiteList} */ (await list.json()).usedPages.includes(path)) await cache.put(path, response.clone());
    return response;
  } catch (error) {
    const offline = await cache.match('/offline', { ignoreVary: true });
    if (!offline) throw error;
    return offline;
  }
}

/** A file: as kept, else from the network; one that belongs to this version is kept from now on. */
async function answerFile(/** @type {Request} */ request) {
  const cache = await caches.open(CACHE);
  const kept = await cache.match(request, { ignoreVary: true });
  if (kept) return kept;
  const response = await fetch(request);
  const list = response.ok && (await cache.match(LIST));
  const mine = list && /** @type {SiteList} */ (await list.json()).files.some(({ url }) => new URL(request.url).pathname === url);
  if (mine) await cache.put(request, response.clone());
  return response;
}

scope.addEventListener('install', (event) => /** @type {LifeEvent} */ (event).waitUntil(install()));
scope.addEventListener('activate', (event) => /** @type {LifeEvent} */ (event).waitUntil(activate()));
scope.addEventListener('fetch', (event) => {
  const { request, respondWith } = /** @type {RequestEvent} */ (event);
  const url = new URL(request.url);
  if (request.method !== 'GET' || url.origin !== self.location.origin) return;
  if (request.mode === 'navigate') respondWith.call(event, answerPage(request));
  else if (url.pathname.startsWith('/static/')) respondWith.call(event, answerFile(request));
});

// Files of a bundle that the page names in its head: the browser fetches them before anybody asks, but for the page alone.
// A model in a worker gets them from the page, part by part; read by the worker itself, they would be unpacked twice.
import { sha256 } from './sha256.js';

const SENT_MS = 100; // what has come since then is sent on: a message takes time of the worker's, which has other things to do

/**
 * @typedef {object} Near files that somebody else fetches already
 * @property {(url: string) => boolean} has
 * @property {(url: string, init: RequestInit) => Promise<Response>} fetch also what it does not have
 * @property {(url: string) => string|undefined} [hashOf] SHA-256 of what it gave, where that is known
 */
/** @typedef {{url: string, part?: Uint8Array<ArrayBuffer>, ends?: boolean, hash?: string, failed?: boolean}} Delivery */

/**
 * The addresses of a bundle's folder that the page names.
 * @param {string} model absolute address of its model.json
 * @returns {string[]} none in a worker
 */
export function namedInHead(model) {
  /** @type {Iterable<HTMLLinkElement>} */
  const links = globalThis.document?.querySelectorAll('link[rel=preload][as=fetch]') ?? [];
  return [...new Set(Array.from(links, ({ href }) => href))].filter((href) => href.startsWith(new URL('.', model).href));
}

/** What the page itself has at hand. @param {string[]} urls @returns {Near} */
export const nearPage = (urls) => ({ has: (url) => urls.includes(url), fetch: (url, init) => fetch(url, init) });

/**
 * Sends a file on as it comes, and its hash at the end where that takes no time of the page's.
 * @param {string} url @param {AbortSignal} signal @param {(delivery: Delivery, transfer: Transferable[]) => void} send
 */
export async function forward(url, signal, send) {
  try {
    const response = await fetch(url, { signal });
    if (!response.ok || !response.body) throw new TypeError(`status ${response.status}`);
    const reader = response.body.getReader();
    /** @type {Uint8Array<ArrayBuffer>[]} */
    const parts = [];
    let sent = 0, sent_ms = performance.now();
    const sendOn = () => {
      if (sent === parts.length) return;
      const part = joined(parts.slice(sent));
      sent = parts.length;
      sent_ms = performance.now();
      send({ url, part }, [part.buffer]);
    };
    for (let { value: part, done } = await reader.read(); !done; { value: part, done } = await reader.read()) {
      if (part) parts.push(part);
      if (performance.now() - sent_ms > SENT_MS) sendOn();
    }
    sendOn();
    send({ url, ends: true, hash: globalThis.crypto?.subtle && await sha256(joined(parts)) }, []);
  } catch {
    if (!signal.aborted) send({ url, failed: true }, []); // the worker asks for it itself, and finds out why
  }
}

/** @param {Uint8Array[]} parts @returns {Uint8Array<ArrayBuffer>} */
function joined(parts) {
  const whole = new Uint8Array(parts.reduce((sum, { length }) => sum + length, 0));
  parts.reduce((at, part) => { whole.set(part, at); return at + part.length; }, 0);
  return whole;
}

/** One file that is being sent: its answer, as soon as a first part is there; null where the page could not get it. */
class Arrival {
  constructor() {
    /** @type {(response: Response|null) => void} */
    this.begin = () => {};
    /** @type {Promise<Response|null>} */
    this.response = new Promise((resolve) => { this.begin = resolve; });
    /** @type {ReadableStreamDefaultController<Uint8Array<ArrayBuffer>>|undefined} */
    this.controller = undefined;
    /** @type {string|undefined} */
    this.hash = undefined;
    this.whole = new Response(new ReadableStream({ start: (controller) => { this.controller = controller; } }));
  }

  /** @param {unknown} reason */
  fail(reason) {
    this.begin(null);
    this.controller?.error(reason);
    this.controller = undefined;
  }

  /** @param {Delivery} delivery */
  take({ part, ends, hash, failed }) {
    if (failed) return this.fail(new TypeError('the page lost the connection'));
    this.begin(this.whole);
    if (part) this.controller?.enqueue(part);
    this.hash = hash;
    if (ends) this.controller?.close();
  }
}

/** In a worker: what the page sends. @implements {Near} */
export class Deliveries {
  /** @param {string[]} urls what will come */
  constructor(urls) {
    this.arrivals = new Map(urls.map((url) => [url, new Arrival()]));
    /** @type {Map<string, number>} how often */
    this.asked = new Map();
  }

  /** @param {string} url */
  has(url) {
    return this.arrivals.has(url);
  }

  /** @param {Delivery} delivery */
  take(delivery) {
    this.arrivals.get(delivery.url)?.take(delivery);
  }

  /** Once each from what is sent; who asks again wants it from the network. @param {string} url @param {RequestInit} init */
  async fetch(url, init) {
    const times = this.asked.get(url) ?? 0, arrival = times ? undefined : this.arrivals.get(url);
    this.asked.set(url, times + 1);
    init.signal?.addEventListener('abort', () => arrival?.fail(init.signal?.reason), { once: true });
    return await arrival?.response ?? fetch(url, init);
  }

  /** Of what was sent, where that is what was given. @param {string} url */
  hashOf(url) {
    return this.asked.get(url) === 1 ? this.arrivals.get(url)?.hash : undefined;
  }
}

// The server finds pages for a device that cannot: only after the person agreed, shown while it does, stopped with one click.

import { button, part, setText } from './dom.js';

/** @typedef {import('./finder.js').Finder} Finder */
/** @typedef {'yes' | 'no' | null} Answer */

const KEY = 'inpage.scanner.server';
const READY_WAIT_MS = 5000;

const REASONS = {
  cannot: 'This device cannot run the page finder itself.',
  slow: 'The page finder is slow on this device.',
};

/** What the person answered, for as long as the tab is open. */
class Consent {
  /** @type {Answer} */
  #answer = null;

  /** @returns {Answer} */
  get answer() {
    try {
      const kept = window.sessionStorage.getItem(KEY);
      return kept === 'yes' || kept === 'no' ? kept : this.#answer;
    } catch {
      return this.#answer;   // storage is blocked for this page: until it is reloaded, then
    }
  }

  /** @param {'yes' | 'no'} answer */
  set answer(answer) {
    this.#answer = answer;
    try {
      window.sessionStorage.setItem(KEY, answer);
    } catch (error) {
      console.info('The answer is forgotten when the page is reloaded', error);
    }
  }
}

export class ServerHelp {
  #consent = new Consent();
  /** @type {Promise<boolean> | null} */
  #asking = null;

  /** @param {ParentNode} root @param {Finder} finder */
  constructor(root, finder) {
    this.root = root;
    this.finder = finder;
    this.dialog = part(root, 'server-dialog', HTMLDialogElement);
    this.bar = part(root, 'server-bar', HTMLElement);
    this.words = part(root, 'server-bar-words', HTMLElement);
    setText(part(root, 'server-host', HTMLElement), window.location.host);
    button(root, 'server-stop').addEventListener('click', () => this.stop());
    finder.addEventListener('change', () => this.#show());
  }

  /** Whether the person has not been asked in this tab. */
  get undecided() {
    return this.#consent.answer === null;
  }

  /** @param {string} [model] @returns {Promise<boolean>} whether this site's server runs it: by default what finds pages */
  static async available(model = 'document_corners') {
    const late = new AbortController();
    const timer = setTimeout(() => late.abort(), READY_WAIT_MS);
    try {
      return (await fetch(`/v2/models/${model}/ready`, { cache: 'no-store', signal: late.signal })).ok;
    } finally {
      clearTimeout(timer);
    }
  }

  /** Shows the way to the question; who agreed before in this tab is not asked again. */
  offer() {
    if (this.#consent.answer === 'yes') this.start();
    else this.#offered(true);
  }

  /** The device can do it after all, or the server does it already. */
  withdraw() {
    this.#offered(false);
  }

  /** @param {boolean} on */
  #offered(on) {
    for (const name of ['server-offer', 'camera-server']) button(this.root, name).hidden = !on;
  }

  /** Asks who has not been asked yet. */
  async askOnce() {
    if (this.undecided) await this.ask();
  }

  /** @returns {Promise<boolean>} whether the person agreed */
  ask() {
    this.#asking ??= this.#ask().finally(() => { this.#asking = null; });
    return this.#asking;
  }

  async #ask() {
    setText(part(this.root, 'server-reason', HTMLElement), this.finder.state === 'failed' ? REASONS.cannot : REASONS.slow);
    this.dialog.returnValue = '';
    this.dialog.showModal();
    await new Promise((resolve) => this.dialog.addEventListener('close', resolve, { once: true }));
    const agreed = this.dialog.returnValue === 'yes';
    this.#consent.answer = agreed ? 'yes' : 'no';
    if (agreed) await this.start();
    return agreed;
  }

  start() {
    this.#offered(false);
    return this.finder.lookOn('server');
  }

  /** Withdraws the agreement: from now on nothing is sent. */
  stop() {
    this.#consent.answer = 'no';
    return this.finder.lookOn('device');
  }

  #show() {
    const { place, away } = this.finder;
    const on = place === 'server';
    this.bar.hidden = !on;
    if (this.root instanceof HTMLElement) this.root.dataset.place = place;
    if (!on) return;
    this.bar.dataset.state = away ? 'away' : 'on';
    const what = { away: 'The server does not answer', busy: 'The server is busy' };
    setText(this.words, away ? `${what[away.state]}; it is tried again` : 'The server finds the pages');
  }
}

// What the person is told about the page finder outside the camera view; the server's help is fetched when it is needed.

import { button, part, setText } from './dom.js';
import { FINDER_PROBLEMS } from './problems.js';

/** @typedef {import('./server_help.js').ServerHelp} ServerHelp */

/** Problems of the device that a server does not have. */
const SERVER_HELPS = new Set(['no_simd', 'lost', 'broken']);

export class FinderLine {
  /** @type {Promise<ServerHelp | null> | null} */
  #help = null;

  /**
   * @param {ParentNode} root
   * @param {import('./finder.js').Finder} finder
   * @param {import('./dom.js').Toasts} toasts
   */
  constructor(root, finder, toasts) {
    this.root = root;
    this.finder = finder;
    this.toasts = toasts;
    this.line = part(root, 'finder-line', HTMLElement);
    for (const name of ['server-offer', 'camera-server']) button(root, name).addEventListener('click', () => this.#ask());
    finder.addEventListener('change', () => this.#show());
  }

  get needsServer() {
    const { state, problem, place } = this.finder;
    return place === 'device' && state === 'failed' && problem !== null && SERVER_HELPS.has(problem);
  }

  /** Asks the person once whether the server may help, when this device cannot and the server can. */
  async beforeUse() {
    if (this.finder.state === 'idle' && !this.finder.able()) await this.finder.prepare();   // costs nothing, and says why
    if (this.needsServer) await (await this.#server())?.askOnce();
  }

  #show() {
    const { state, progress, problem, slow } = this.finder;
    this.line.dataset.state = state;
    if (state === 'failed' && problem) setText(this.line, `${FINDER_PROBLEMS[problem].title}. ${FINDER_PROBLEMS[problem].text}`);
    else setText(this.line, state === 'loading' ? `Getting the page finder ready… ${Math.round(progress * 100)} %` : '');
    if (slow) this.#offerFaster();
    if (this.needsServer) this.#server().then((help) => this.needsServer && help?.offer());
    else if (this.#help) this.#help.then((help) => help?.withdraw());
  }

  async #offerFaster() {
    this.finder.slow = false;   // said once
    const help = await this.#server();
    if (!help?.undecided) return;
    this.toasts.show('Finding pages is slow on this device.', { action: 'Use the server…', onAction: () => help.ask(), ms: 15_000 });
  }

  async #ask() {
    await (await this.#server())?.ask();
  }

  /** @returns {Promise<ServerHelp | null>} null when there is no server that could help */
  #server() {
    this.#help ??= this.#reach();
    return this.#help;
  }

  async #reach() {
    try {
      const { ServerHelp } = await import('./server_help.js');
      if (await ServerHelp.available()) return new ServerHelp(this.root, this.finder);
    } catch (error) {
      console.info('The server cannot be asked for help', error);   // offline, most likely: by hand it is
    }
    this.#help = null;
    return null;
  }
}

// The networks behind detect.js: loaded when first needed, loaded again when lost.
import { InPageError } from '../../runtime/index.js';

/** @typedef {import('../../runtime/index.js').Model} Model */
/** @typedef {NonNullable<import('../../runtime/index.js').LoadOptions['onProgress']>} OnProgress */
/** @typedef {'face_detector' | 'face_head' | 'upper_body'} Name */

/** After these the model is gone for good: the next call loads another. */
const FATAL = ['worker_lost', 'disposed', 'out_of_memory'];

/** The three bundles, each loaded once, whoever asks. */
export class Models {
  /** @param {(url: URL, options: {onProgress: OnProgress}) => Promise<Model>} load */
  constructor(load) {
    this.load = load;
    /** @type {Map<Name, Promise<Model>>} */
    this.loading = new Map();
    /** @type {Set<(name: Name, progress: Parameters<OnProgress>[0]) => void>} */
    this.listeners = new Set();
  }

  /** @param {Name} name @returns {Promise<Model>} */
  get(name) {
    const held = this.loading.get(name);
    if (held) return held;
    const url = new URL(`../../models/${name}/`, import.meta.url);
    const mine = this.load(url, { onProgress: (progress) => this.listeners.forEach((hear) => hear(name, progress)) });
    this.loading.set(name, mine);
    mine.catch(() => this.forget(name, mine));
    return mine;
  }

  /** @param {Name} name @param {Promise<Model>} failed */
  forget(name, failed) {
    if (this.loading.get(name) === failed) this.loading.delete(name);
  }

  /**
   * @param {Name} name @param {import('../../runtime/index.js').Feeds[string]} image @param {AbortSignal} [signal]
   * @returns {Promise<Record<string, import('../../runtime/index.js').Tensor>>}
   */
  async run(name, image, signal) {
    const held = this.get(name);
    const model = await held;
    checkSignal(signal);
    try {
      return await model.run({ image }, { signal });
    } catch (error) {
      if (error instanceof InPageError && FATAL.includes(error.code)) this.forget(name, held);
      throw error;
    }
  }

  /** @param {boolean} upperBody @param {OnProgress} [onProgress] */
  async prepare(upperBody, onProgress) {
    /** @type {Name[]} */
    const names = ['face_detector', 'face_head', ...(upperBody ? /** @type {Name[]} */ (['upper_body']) : [])];
    /** @type {Map<Name, Parameters<OnProgress>[0]>} */
    const heard = new Map();
    /** @type {(name: Name, progress: Parameters<OnProgress>[0]) => void} */
    const hear = (name, progress) => {
      if (!names.includes(name)) return;
      heard.set(name, progress);
      const all = [...heard.values()];
      if (all.length < names.length) return; // the whole is not known yet
      /** @param {'loaded' | 'total'} key */
      const sum = (key) => all.reduce((total, p) => total + p[key], 0);
      onProgress?.({ ...progress, loaded: sum('loaded'), total: sum('total') });
    };
    this.listeners.add(hear);
    try {
      await Promise.all(names.map((name) => this.get(name)));
    } finally {
      this.listeners.delete(hear);
    }
  }

  async release() {
    const held = [...this.loading.values()];
    this.loading.clear();
    const loaded = await Promise.all(held.map((model) => model.catch(() => null))); // a failed load holds nothing
    await Promise.all(loaded.map((model) => model?.dispose()));
  }
}

/** @param {AbortSignal | undefined} signal */
export function checkSignal(signal) {
  if (signal?.aborted) throw new InPageError('aborted', 'The search for faces was stopped', { cause: signal.reason });
}

// A helper thread: sleeps until the pool rings, then helps with the run of the model that the pool names.

const BELL = 0, MAIL = 1, MODEL = 2, PRESENT = 3; // as in wasm_threads.js

/** @typedef {{id: number, module: WebAssembly.Module, memory: WebAssembly.Memory, stacks: number, stackBytes: number,
 *   helpers: number}} Model helpers: how many stacks there are */

/** @param {{on?: Function, addEventListener?: Function}} port */
function serve(port) {
  /** @type {Map<number, Record<string, any>>} */
  const models = new Map();
  /** @type {Int32Array} */
  let words;
  let place = 0, mail = 0;

  /** @param {Model} model */
  function add({ id, module, memory, stacks, stackBytes, helpers }) {
    if (place >= helpers) return;
    const exports = /** @type {Record<string, any>} */ (new WebAssembly.Instance(module, { env: { memory } }).exports);
    exports.__stack_pointer.value = stacks + (place + 1) * stackBytes;
    const table = exports.__indirect_function_table, names = Object.keys(exports).filter((name) => typeof exports[name] === 'function');
    const first = table.grow(names.length);
    names.forEach((name, i) => table.set(first + i, exports[name])); // in the same order as in wasm.js
    models.set(id, exports);
  }

  /** Until there is mail. */
  function work() {
    for (;;) {
      const bell = Atomics.load(words, BELL);
      if (mail < Atomics.load(words, MAIL)) return;
      const model = models.get(Atomics.load(words, MODEL));
      try {
        model?.help(place + 1);
      } catch {
        model?.broken(place + 1); // the run that waits for this part fails with a word of its own
      }
      Atomics.wait(words, BELL, bell);
    }
  }

  /** @param {any} message */
  function receive(message) {
    if (message.words) {
      ({ words, place, mail } = message);
      message.models.forEach(add);
      Atomics.add(words, PRESENT, 1);
    } else {
      mail++;
      if (message.gone) models.delete(message.gone);
      else add(message);
    }
    work();
  }
  if (port.on) port.on('message', receive);
  else port.addEventListener?.('message', (/** @type {MessageEvent} */ { data }) => receive(data));
}

if (typeof process === 'object' && process.versions?.node) {
  import('node:worker_threads').then(({ parentPort }) => serve(/** @type {any} */ (parentPort)));
} else serve(/** @type {any} */ (globalThis));

// For the head of a page, so that a model in a worker is there sooner (not a module: it waits for nobody):
//   <script async src="…/runtime/start.js" data-model="/models/NAME/VERSION/" data-weights="chunk_1.dat chunk_2.dat"></script>
// Starts the worker while the page's own modules are on their way, and gives it the model as an earlier visit kept it. Where
// there is none, the browser is told what to fetch.
(() => {
  const KEY = 'paddle-inpage', MOST_NAMES = 16;
  const { src, dataset } = /** @type {HTMLScriptElement} */ (document.currentScript);
  const folder = new URL(`${dataset.model}/`.replace(/\/+$/, '/'), document.baseURI), model = new URL('model.json', folder).href;
  const name = `paddle-inpage-${/\/([0-9a-f]{16})\/runtime\//.exec(src)?.[1]}-${encodeURIComponent(model)}`; // as prepared.js keeps it
  const script = new URL('worker.js', src);

  const nameInHead = () => {
    for (const file of ['model.json', ...dataset.weights?.match(/\S+/g) ?? []]) {
      const link = { rel: 'preload', as: 'fetch', crossOrigin: 'anonymous', href: new URL(file, folder).href };
      document.head.append(Object.assign(document.createElement('link'), link));
    }
  };
  /** Whether a page has asked for this model before: to look for a file takes a new visitor's browser 50 to 250 ms. */
  const wasHere = () => {
    try {
      const names = (localStorage.getItem(KEY) ?? '').split(' ');
      if (names.includes(name)) return true;
      localStorage.setItem(KEY, [name, ...names].slice(0, MOST_NAMES).join(' '));
    } catch { /* storage is blocked: nothing is kept then */ }
    return false;
  };
  const workers = script.origin === location.origin && typeof Worker === 'function', known = workers && wasHere();
  if (!known) nameInHead();
  if (!workers) return;

  const worker = new Worker(script, { type: 'module' });
  /** @returns {Promise<boolean>} whether the model was kept, as far as its name tells */
  const look = async () => {
    try {
      const file = await (await navigator.storage.getDirectory()).getFileHandle(name);
      worker.postMessage({ type: 'soon', model, file });
      return true;
    } catch { // it was not, or cannot be sent
      nameInHead();
      return false;
    }
  };
  const started = { script: script.href, worker, looked: known ? look() : Promise.resolve(false), failed: false };
  worker.addEventListener('error', () => { started.failed = true; }, { once: true });
  Object.assign(globalThis, { [Symbol.for('paddle-inpage')]: started }); // worker_client.js takes it
})();

// For the head of a page, so that a model in a worker is there sooner (not a module: it waits for nobody):
//   <script async src="…/runtime/start.js" data-model="/models/NAME/VERSION/" data-weights="chunk_1.dat chunk_2.dat"></script>
// Starts the worker while the page's own modules are on their way, and gives it the model as an earlier visit kept it. Where
// there is none, the browser is told what to fetch.
(() => {
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
  if (script.origin !== location.origin || typeof Worker !== 'function') return nameInHead();

  const worker = new Worker(script, { type: 'module' });
  /** @returns {Promise<boolean>} whether there is one, as far as its name tells */
  const look = async () => {
    try {
      const file = await (await navigator.storage.getDirectory()).getFileHandle(name);
      worker.postMessage({ type: 'soon', model, file });
      return true;
    } catch { // none, or no such storage
      nameInHead();
      return false;
    }
  };
  const started = { script: script.href, worker, looked: look(), failed: false };
  worker.addEventListener('error', () => { started.failed = true; }, { once: true });
  Object.assign(globalThis, { [Symbol.for('paddle-inpage')]: started }); // worker_client.js takes it
})();

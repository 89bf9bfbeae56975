// This project. ?precision=half: the bundle with float16 weights; ?strict: without relaxed SIMD; ?threads; ?all: every backend
// is measured before one is taken
export async function setup({ net, bundle = net, threads = '1', backend = 'wasm', precision, strict, all }, { shape }, input) {
  const { validate } = WebAssembly;
  if (strict) WebAssembly.validate = (bytes) => !(bytes.at(-3) === 133 && bytes.at(-2) === 2) && validate(bytes); // no relaxed_madd here
  const where = JSON.parse(document.getElementById('where').textContent); // as the product's own pages are told
  const { load } = await import(where.runtime);
  const model = await load(where[bundle], { backend, ...(precision ? { precision } : {}), ...(all ? { enough_ms: 0 } : {}), worker: threads !== '1', cache: true });
  const feeds = { [model.inputs[0].name]: { data: input, shape } };
  globalThis.chosen = () => (backend === 'auto' ? { backend: model.backend, measured: model.measured } : undefined);
  return async () => Object.values(await model.run(feeds)).map(({ data }) => data);
}

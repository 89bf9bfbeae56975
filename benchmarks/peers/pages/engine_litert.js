// LiteRT.js (XNNPACK in WebAssembly). ?threads ?file
import { bytesOf, channelsLast } from './kit.js';

export async function setup({ threads = '1', file = 'model.tflite', backend = 'wasm' }, { shape }, input) {
  const model = bytesOf(file), { loadLiteRt, loadAndCompile, Tensor } = await import('/bench/npm/@litertjs/core/dist/index.js');
  await loadLiteRt('/bench/npm/@litertjs/core/wasm/', threads === '1' ? {} : { threads: true });
  const compiled = await loadAndCompile(new Uint8Array(await model), { accelerator: backend, cpuOptions: { numThreads: Number(threads) } });
  const wanted = [...compiled.getInputDetails()[0].shape], last = wanted.length === 4 && wanted[3] === shape[1];
  const data = last ? channelsLast(input, shape) : input;
  return async () => {
    const feed = new Tensor(data, wanted), found = await compiled.run([feed]), outputs = [];
    for (const tensor of Array.isArray(found) ? found : Object.values(found)) {
      outputs.push((await tensor.data()).slice());
      tensor.delete();
    }
    feed.delete();
    return outputs;
  };
}

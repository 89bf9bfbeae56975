// TensorFlow.js, a graph model. ?threads ?backend=wasm|webgl|webgpu
import { channelsLast } from './kit.js';

const NPM = '/bench/npm/@tensorflow/';
const script = (address) => new Promise((resolve, reject) => {
  const element = Object.assign(document.createElement('script'), { src: address, async: false, onload: resolve, onerror: () => reject(new Error(address)) });
  document.head.append(element);
});

export async function setup({ net, threads = '1', backend = 'wasm', precision }, { shape }, input) {
  // Its WASM backend takes half of the cores that the browser tells of; fair is that it gets as many as the others.
  if (threads !== '1') Object.defineProperty(navigator, 'hardwareConcurrency', { value: 2 * Number(threads) });
  await Promise.all([script(`${NPM}tfjs-core/dist/tf-core.min.js`), ...(backend === 'wasm' ? [] : [script(`${NPM}tfjs-backend-cpu/dist/tf-backend-cpu.min.js`)]),
    script(`${NPM}tfjs-backend-${backend}/dist/tf-backend-${backend}.min.js`), script(`${NPM}tfjs-converter/dist/tf-converter.min.js`)]);
  const { tf } = globalThis;
  if (backend === 'wasm') {
    tf.wasm.setWasmPaths(`${NPM}tfjs-backend-wasm/dist/`);
    tf.wasm.setThreadsCount(Number(threads));
  }
  if (backend === 'webgl' && precision === 'float16') tf.env().set('WEBGL_FORCE_F16_TEXTURES', true);
  const files = tf.io.http(`/bench/nets/${net}/tfjs/model.json`).load(); // beside the start of the backend
  await tf.setBackend(backend);
  await tf.ready();
  const model = await tf.loadGraphModel({ load: () => files }), wanted = model.inputs[0].shape, last = wanted.length === 4 && wanted[3] === shape[1];
  const data = last ? channelsLast(input, shape) : input, sizes = last ? [shape[0], shape[2], shape[3], shape[1]] : shape;
  const loops = (await files).modelTopology.node.some(({ op }) => /While|Switch|TensorList/.test(op));
  return async () => {
    const feed = tf.tensor(data, sizes), found = await model[loops ? 'executeAsync' : 'execute'](feed), outputs = [];
    for (const tensor of found instanceof tf.Tensor ? [found] : Object.values(found)) {
      outputs.push(await tensor.data());
      tensor.dispose();
    }
    feed.dispose();
    return outputs;
  };
}

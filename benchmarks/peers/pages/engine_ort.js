// ONNX Runtime Web. ?threads ?backend=wasm|webgpu|webgl
import { bytesOf } from './kit.js';

export async function setup({ threads = '1', backend = 'wasm' }, { shape }, input) {
  const dist = '/bench/npm/onnxruntime-web/dist/', model = bytesOf('model.onnx');
  const ort = await import(`${dist}ort.${backend}.min.mjs`);
  Object.assign(ort.env.wasm, { wasmPaths: dist, numThreads: Number(threads) });
  ort.env.logLevel = 'error';
  const session = await ort.InferenceSession.create(new Uint8Array(await model), { executionProviders: [backend], graphOptimizationLevel: 'all' });
  let turn = Promise.resolve(); // a session refuses a second call before the first has ended
  const run = async () => {
    const found = await session.run({ [session.inputNames[0]]: new ort.Tensor('float32', input, shape) });
    const outputs = [];
    for (const name of session.outputNames) outputs.push(await found[name].getData(true));
    return outputs;
  };
  return () => {
    const result = turn.then(run);
    turn = result.catch(() => {});
    return result;
  };
}

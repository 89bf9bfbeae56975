// The original Paddle.js on WebGL, with a package that our converter made for it. ?packed: its packed textures
const script = (address) => new Promise((resolve, reject) => {
  const element = Object.assign(document.createElement('script'), { src: address, async: false, onload: resolve, onerror: () => reject(new Error(address)) });
  document.head.append(element);
});

export async function setup({ net, packed }, { shape }, input) {
  await script('/bench/npm/@paddlejs/paddlejs-core/lib/index.js');
  await script('/bench/npm/@paddlejs/paddlejs-backend-webgl/lib/index.js');
  const { core } = globalThis.paddlejs;
  if (packed) core.env.set('webgl_pack_channel', true);
  const runner = new core.Runner({ modelPath: `${location.origin}/bench/nets/${net}/paddlejs` });
  await runner.init();
  return async () => [Float32Array.from((await runner.predictWithFeed([{ data: input, name: 'image', shape }])).flat(Infinity))];
}

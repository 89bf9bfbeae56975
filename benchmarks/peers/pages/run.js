// One engine with one net in one page: makes the first result, then offers bench(n). ?engine=&net=&…
import { bytesOf, channelsLast, wish } from './kit.js';

/** The worst difference as a share of the range; the better of both orders of channels. */
function errorOf(found, { data: wanted, shape }) {
  let low = Infinity, high = -Infinity;
  for (const v of wanted) [low, high] = [Math.min(low, v), Math.max(high, v)];
  const against = (right) => {
    let worst = 0;
    for (let i = 0; i < right.length; i++) worst = Math.max(worst, Math.abs(right[i] - found[i]) || (Number.isNaN(found[i]) ? Infinity : 0));
    return worst / (high - low || Math.abs(high) || 1); // one number has no range
  };
  return Math.min(against(wanted), shape.length === 4 ? against(channelsLast(wanted, shape)) : Infinity);
}

/** @param {Float32Array[]} outputs of the engine, in any order @param {any} meta */
async function check(outputs, meta) {
  const all = new Float32Array(await bytesOf('reference.bin'));
  let at = 0, worst = 0;
  for (const shape of meta.outputs) {
    const length = shape.reduce((p, q) => p * q, 1), data = all.subarray(at, at += length);
    const errors = outputs.filter((out) => out.length === length).map((out) => errorOf(out, { data, shape }));
    worst = Math.max(worst, Math.min(Infinity, ...errors));
  }
  return worst;
}

/** What came over the network, as compressed, by kind: ours to measure are not the page itself, nor input and answers. */
function bytesByKind() {
  const sums = { runtime: 0, model: 0 };
  for (const { name, encodedBodySize } of performance.getEntriesByType('resource')) {
    const { pathname } = new URL(name);
    if (/^\/bench\/pages\/|(input|reference)\.bin$|net\.json$/.test(pathname)) continue;
    sums[/^\/(models|bench\/nets)\//.test(pathname) ? 'model' : 'runtime'] += encodedBodySize;
  }
  return sums;
}

performance.setResourceTimingBufferSize(2000);
try {
  // For the first result the input is made here: a page's own input does not come over the network either.
  const meta = wish.first ? { shape: wish.first.split(',').map(Number) } : null;
  const [{ setup }, known, given] = await Promise.all([
    import(`./engine_${wish.engine}.js`), meta ?? bytesOf('net.json').then((bytes) => JSON.parse(new TextDecoder().decode(bytes))), meta ? null : bytesOf('input.bin'),
  ]);
  const count = known.shape.reduce((p, q) => p * q, 1), input = given ? new Float32Array(given) : new Float32Array(count);
  if (!given) for (let i = 0; i < count; i++) input[i] = (i % 251) / 251 - 0.5;
  const run = await setup(wish, known, input);
  const before = performance.now(), outputs = await run();
  const first_ms = performance.now(), first_run_ms = first_ms - before; // the clock starts with the navigation
  globalThis.bench = async (n) => {
    const times = [];
    for (let i = 0; i < n; i++) { const start = performance.now(); await run(); times.push(performance.now() - start); }
    return times;
  };
  globalThis.outputs = outputs;
  globalThis.flight = async (lanes, n, most_ms) => { // ms a run with so many at a time; none is begun after most_ms
    const start = performance.now();
    let begun = 0;
    const lane = async () => { while (begun < n && performance.now() - start < most_ms) { begun++; await run(); } };
    await Promise.all(Array.from({ length: lanes }, lane));
    return (performance.now() - start) / begun;
  };
  globalThis.found = { first_ms, first_run_ms, bytes: bytesByKind(), requests: performance.getEntriesByType('resource').length, note: run.note ?? '', isolated: self.crossOriginIsolated,
    error: wish.check ? await check(outputs, known) : null };
} catch (error) {
  globalThis.found = { failed: String(error?.stack ?? error) };
}
if (wish.first) console.log(`found ${JSON.stringify(globalThis.found)}`); // whoever waits for this asks nothing of the page meanwhile

// Every engine in a frame of its own, visited in turns: upload, run and read-back; then, in turns again, eight in flight. Reports go to /r.

const FLIGHT = 8, WARM = 12, TURN = 5;
const ROUNDS = 3, ROUND_MS = 800; // of frames in flight, in turns; slow engines make fewer in a round
const LOAD_MS = 180_000;

/** @param {unknown} report */
const say = (report) => fetch('/r', { method: 'POST', body: JSON.stringify(report) });
const sleep = (ms) => new Promise((resolve) => { setTimeout(resolve, ms); });
const rounded = (ms) => Math.round(ms * 1000) / 1000;
const at = (sorted, share) => rounded(sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))]);

/** The devices are up before any clock starts: an engine is not charged for the browser's own start. */
async function wake() {
  const gl = document.createElement('canvas').getContext('webgl2'), info = gl?.getExtension('WEBGL_debug_renderer_info');
  const adapter = await navigator.gpu?.requestAdapter();
  (await adapter?.requestDevice())?.destroy();
  await say({ agent: navigator.userAgent, isolated: crossOriginIsolated, cores: navigator.hardwareConcurrency,
    webgl: info ? gl.getParameter(info.UNMASKED_RENDERER_WEBGL) : null, webgpu: adapter ? [adapter.info?.vendor, adapter.info?.architecture].join(' ') : null });
  gl?.getExtension('WEBGL_lose_context')?.loseContext();
}

/** An engine's page, once it has its first result. @param {Record<string, string>} query */
async function open(query) {
  const frame = document.createElement('iframe');
  frame.src = `/bench/pages/run.html?${new URLSearchParams({ first: query.shape, ...query })}`;
  document.body.append(frame);
  const end = performance.now() + LOAD_MS;
  while (!frame.contentWindow?.found && performance.now() < end) await sleep(20);
  return { frame, page: /** @type {any} */ (frame.contentWindow), found: frame.contentWindow?.found ?? { failed: `no result within ${LOAD_MS / 1000} s` } };
}

/** The worst difference as a share of the range. @param {Float32Array} got @param {Float32Array} wanted */
function errorOf(got, wanted) {
  if (got.length !== wanted.length) return null;
  let low = Infinity, high = -Infinity, worst = 0;
  for (let i = 0; i < wanted.length; i++) {
    low = Math.min(low, wanted[i]);
    high = Math.max(high, wanted[i]);
    worst = Math.max(worst, Number.isNaN(got[i]) ? Infinity : Math.abs(got[i] - wanted[i]));
  }
  return worst / (high - low);
}

/** @param {{net: string, shape: string}} net @param {Record<string, string>[]} engines the first one's answer is the right one @param {number} runs */
async function compare(net, engines, runs) {
  const ready = [];
  for (const engine of engines) {
    const one = await open({ ...net, ...engine });
    if (one.found.failed) await say({ net: net.net, ...engine, failed: one.found.failed.split('\n')[0] });
    if (one.found.failed) one.frame.remove();
    else ready.push({ ...one, engine, times: [], flights: [] });
  }
  const right = ready[0]?.page.outputs[0];
  for (const { page } of ready) await page.bench(Math.min(WARM, runs));
  for (let turn = 0; turn * TURN < runs; turn++) for (const one of ready) one.times.push(...await one.page.bench(Math.min(TURN, runs)));
  for (let round = 0; round <= ROUNDS; round++) {
    for (const { page, flights } of ready) flights.push(await page.flight(FLIGHT, round ? runs : 2 * FLIGHT, ROUND_MS).catch((error) => String(error)));
  }
  for (const { page, engine, found, times, flights } of ready) {
    const all = flights.slice(1), failed = all.find((ms) => typeof ms === 'string'); // the first round warms up
    times.sort((p, q) => p - q);
    await say({ net: net.net, ...engine, median_ms: at(times, 0.5), p25_ms: at(times, 0.25), p75_ms: at(times, 0.75), runs: times.length,
      in_flight_ms: failed ?? at(all.sort((p, q) => p - q), 0.5), rounds_ms: failed ? undefined : all.map(rounded), first_ms: rounded(found.first_ms),
      note: found.note || undefined, chosen: page.chosen?.(), error: right ? errorOf(page.outputs[0], right) : null });
  }
  for (const { frame } of ready) frame.remove();
}

async function main() {
  const { runs, nets, engines } = await (await fetch('/wish.json')).json();
  await wake();
  for (const net of nets) await compare(net, engines, runs);
}

main().catch((error) => say({ failed: String(error?.stack ?? error) })).finally(() => say({ done: true }));

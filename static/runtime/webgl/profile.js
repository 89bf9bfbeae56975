// Time of every step on the GPU: by the driver's own clock where it has one, else by waiting for many repeats of a step.
/** @typedef {import('./device.js').Device} Device */
/** @typedef {import('./index.js').Ready} Ready */
/** @typedef {import('../gpu/step.js').StepTime} StepTime */

const REPEATS = 8; // of a step under one clock reading: clocks of browsers are coarse
const PAUSE_MS = 1;
const MAX_WAIT_MS = 2000;

/**
 * @param {Device} device
 * @param {import('./index.js').Part} part whose inputs hold a frame
 * @param {(list: Ready[]) => void} draw
 * @returns {Promise<StepTime[]>} bytes: of the texels that a step reads and writes
 */
export async function profilePart(device, { ready, segment }, draw) {
  const times = [];
  for (const [i, step] of segment.steps.entries()) {
    const own = ready.filter((one) => one.step === i);
    if (!own.length) continue; // another step does its work
    const ms = await timeOf(device, () => draw(own)) / REPEATS;
    const bytes = own.reduce((sum, one) => sum + one.bytes, 0);
    times.push({ where: step.where, kind: step.kind, ms, bytes, flops: step.flops });
  }
  return times;
}

/** @param {Device} device @param {() => void} work @returns {Promise<number>} milliseconds of REPEATS times the work */
async function timeOf(device, work) {
  const { gl, timer } = device, query = timer && gl.createQuery();
  if (!timer || !query) {
    await device.reader.fence();
    const start = performance.now();
    for (let i = 0; i < REPEATS; i++) work();
    await device.reader.fence();
    return performance.now() - start;
  }
  gl.beginQuery(timer.TIME_ELAPSED_EXT, query);
  for (let i = 0; i < REPEATS; i++) work();
  gl.endQuery(timer.TIME_ELAPSED_EXT);
  gl.flush();
  const end = performance.now() + MAX_WAIT_MS;
  while (!gl.getQueryParameter(query, gl.QUERY_RESULT_AVAILABLE) && performance.now() < end) {
    await new Promise((resolve) => { setTimeout(resolve, PAUSE_MS); });
    device.refuseWhenLost('profiling');
  }
  const disjoint = gl.getParameter(timer.GPU_DISJOINT_EXT), ns = gl.getQueryParameter(query, gl.QUERY_RESULT);
  gl.deleteQuery(query);
  return disjoint ? NaN : ns / 1e6;
}

// One run with every dispatch in a pass of its own, timed by the GPU's clock; where there is none, by repeating each.
/** @typedef {import('./index.js').Dispatch} Dispatch */
/** @typedef {import('../gpu/step.js').StepTime} StepTime */

const REPEATS = 20;

/** @param {GPUCommandEncoder} encoder @param {Dispatch} dispatch @param {GPUComputePassTimestampWrites} [timestampWrites] @param {number} [repeats] */
function encode(encoder, { pipeline, group, groups }, timestampWrites, repeats = 1) {
  const pass = encoder.beginComputePass(timestampWrites && { timestampWrites });
  pass.setPipeline(pipeline);
  pass.setBindGroup(0, group);
  for (let i = 0; i < repeats; i++) pass.dispatchWorkgroups(groups[0], groups[1], groups[2]);
  pass.end();
}

/**
 * @param {GPUDevice} device @param {Dispatch[]} dispatches whose inputs are uploaded
 * @returns {Promise<StepTime[]>} one per step, in order
 */
export async function profile(device, dispatches) {
  const ms = device.features.has('timestamp-query') ? await byClock(device, dispatches) : await byRepeating(device, dispatches);
  /** @type {Map<Dispatch['step'], StepTime>} */
  const times = new Map();
  dispatches.forEach(({ step, bytes }, i) => {
    const known = times.get(step);
    if (known) known.ms += ms[i];
    else times.set(step, { where: step.where, kind: step.kind, ms: ms[i], bytes, flops: step.flops });
  });
  return [...times.values()];
}

/** @param {GPUDevice} device @param {Dispatch[]} dispatches @returns {Promise<number[]>} milliseconds */
async function byClock(device, dispatches) {
  const count = 2 * dispatches.length, querySet = device.createQuerySet({ type: 'timestamp', count });
  const resolved = device.createBuffer({ size: 8 * count, usage: GPUBufferUsage.QUERY_RESOLVE | GPUBufferUsage.COPY_SRC });
  const read = device.createBuffer({ size: 8 * count, usage: GPUBufferUsage.COPY_DST | GPUBufferUsage.MAP_READ });
  const encoder = device.createCommandEncoder();
  dispatches.forEach((dispatch, i) => encode(encoder, dispatch, { querySet, beginningOfPassWriteIndex: 2 * i, endOfPassWriteIndex: 2 * i + 1 }));
  encoder.resolveQuerySet(querySet, 0, count, resolved, 0);
  encoder.copyBufferToBuffer(resolved, 0, read, 0, 8 * count);
  device.queue.submit([encoder.finish()]);
  try {
    await read.mapAsync(GPUMapMode.READ);
    const at = new BigUint64Array(read.getMappedRange());
    return dispatches.map((_, i) => Number(at[2 * i + 1] - at[2 * i]) / 1e6);
  } finally {
    for (const made of [querySet, resolved, read]) made.destroy();
  }
}

/** @param {GPUDevice} device @param {Dispatch[]} dispatches @returns {Promise<number[]>} milliseconds */
async function byRepeating(device, dispatches) {
  const times = [];
  for (const dispatch of dispatches) {
    const start = performance.now(), encoder = device.createCommandEncoder();
    encode(encoder, dispatch, undefined, REPEATS);
    device.queue.submit([encoder.finish()]);
    await device.queue.onSubmittedWorkDone();
    times.push((performance.now() - start) / REPEATS);
  }
  return times;
}

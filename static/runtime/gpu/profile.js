// One run of a model on a GPU with the time of every step.
import { checkFeeds } from '../tensor.js';
import { feedOf, heldOf } from './pictures.js';

/** @typedef {import('../index.js').StepTime} StepTime */
/** @typedef {import('../wasm_engine.js').Values} Values */
/** @typedef {import('./engine.js').GpuEngine} GpuEngine */

/**
 * @param {GpuEngine} engine @param {Record<string, import('../tensor.js').Tensor>} feeds
 * @returns {Promise<StepTime[]>} in the order of the run; a piece that runs on the host is one entry
 */
export async function profileEngine(engine, feeds) {
  checkFeeds(engine.graph.inputs, feeds);
  await engine.run(feeds); // everything is planned and compiled
  const { host } = engine;
  /** @type {StepTime[]} */
  const times = [];
  /** @type {Values} */
  const values = new Map();
  for (const { name, dtype } of engine.graph.inputs) values.set(name, heldOf(feeds[name], dtype));
  for (const [i, stage] of host.main.entries()) {
    if (stage.writes.length) times.push(...await profileStage(engine, stage, `main ${i}`, values));
    for (const op of stage.hosts) host.runHost(op, values);
  }
  return times;
}

/**
 * @param {GpuEngine} engine @param {import('../wasm_engine.js').Stage} stage @param {string} where @param {Values} values extended
 * @returns {Promise<StepTime[]>}
 */
async function profileStage(engine, stage, where, values) {
  await engine.runPlanned(stage, where, values); // every value between segments is there
  const found = await engine.planFor(stage, where, values), { plan, prepared, backend } = await found.entry;
  /** @type {StepTime[]} */
  const times = [];
  for (const [i, segment] of plan.segments.entries()) {
    if (segment.on === 'wasm') {
      const start = performance.now();
      engine.host.runPlanned(segment.stage, `${where}/${i}`, new Map(values));
      const ms = performance.now() - start, kind = segment.stage.ops.map(({ type }) => type).join(', ');
      times.push({ on: 'wasm', where: segment.stage.writes.join(', '), kind, ms, bytes: 0, flops: 0 });
      continue;
    }
    const feeds = segment.uploads.map(({ name }) => feedOf(name, values, engine.host));
    const profiled = await backend.profile?.(prepared, i, feeds) ?? [];
    times.push(...profiled.map((time) => ({ on: /** @type {const} */ ('gpu'), ...time })));
  }
  found.leave();
  return times;
}

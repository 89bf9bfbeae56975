// Graph + input shapes → plan of GPU and WASM segments. Pure: the device only says which steps it cannot do.
import { elements } from '../ops/dtype.js';
import { planShapes } from '../plan.js';
import { fuse } from './fuse.js';
import { assignLayouts } from './layout.js';
import { lowerNode } from './lower.js';
import { split } from './split.js';
import { owner } from './step.js';
import { Draft } from './values.js';

/** @typedef {import('../plan.js').Graph} Graph */
/** @typedef {import('../ops/node.js').OpNode} OpNode */
/** @typedef {import('../ops/node.js').Value} Value */
/** @typedef {import('./step.js').Backend} Backend */
/** @typedef {import('./step.js').GpuPlan} GpuPlan */
/** @typedef {import('./step.js').GpuSegment} GpuSegment */
/** @typedef {import('./step.js').GpuValue} GpuValue */
/** @typedef {import('./step.js').Step} Step */
/** @typedef {import('./split.js').Piece} Piece */
/** @typedef {{node: OpNode, steps: Step[], reason: string}} Item */

/**
 * @param {Graph} graph one stage
 * @param {import('../plan.js').Shapes} shapes @param {import('../plan.js').Operators} operators
 * @param {import('../plan.js').Weights} weights @param {import('../plan.js').PlanOptions} options
 * @param {Pick<Backend, 'supports'|'maxInputs'>} backend
 * @returns {GpuPlan & {reasons: Map<string, string>}} reasons: why operators stay on the host, by what they make
 * @throws {import('../errors.js').InPageError} as makePlan of plan.js
 */
export function makeGpuPlan(graph, shapes, operators, weights, options, backend) {
  const { values, nodes } = planShapes(graph, shapes, operators, weights, options), draft = new Draft(weights);
  const items = nodes.map(({ node }) => ({ node, ...lowerNode(node, draft, (step) => backend.supports(step)) }));
  const pieces = split(dependencies(items));
  const outputs = graph.outputs.map(({ name }) => /** @type {Value} */ (values.get(name)));
  const readBy = readers(items, pieces, outputs);
  const gpu = pieces.filter(({ on }) => on === 'gpu');
  const drafts = gpu.map((piece) => piece.items.flatMap((i) => items[i].steps));
  const downloads = gpu.map((piece) => piece.items.flatMap((i) => items[i].node.outputs)
    .filter((out) => readBy.get(out.name)).map((out) => draft.of(out)));
  const laid = assignLayouts(drafts, downloads, (like, shape, layout) => ({ ...draft.make(like.name, shape, like.data, like.key), layout }));
  const reads = countReads(laid.segments.flat(), laid.downloads.flat());
  const steps = laid.segments.map((list) => fuse(list, reads, backend.maxInputs));
  let next = 0;
  const segments = pieces.map(({ on, items: members }, i) => (on === 'gpu'
    ? gpuSegment(steps[next], laid.downloads[next++]) : { on, stage: stageOf(members.map((at) => items[at].node), readBy, i) }));
  live(segments);
  return {
    segments, values: valuesOf(segments),
    known: [...values.values()].flatMap(({ name, shape, dtype, host, weight }) => (
      host && !weight ? [{ name, shape, dtype, data: elements(host, dtype) }] : [])),
    reasons: new Map(items.flatMap(({ node, reason }) => (reason ? [[node.where, reason]] : []))),
  };
}

/** @param {Item[]} items @returns {import('./split.js').Item[]} */
function dependencies(items) {
  /** @type {Map<string, number>} */
  const madeBy = new Map();
  return items.map(({ node, steps, reason }, i) => {
    const after = Object.values(node.inputs).flat().flatMap(({ name }) => madeBy.get(name) ?? []);
    for (const { name } of node.outputs) madeBy.set(name, i);
    return { on: reason ? 'wasm' : 'gpu', after, flops: steps.reduce((sum, step) => sum + step.flops, 0) };
  });
}

/**
 * Which results the host needs: outputs of the graph, and what operators on the other side read.
 * @param {Item[]} items @param {Piece[]} pieces @param {Value[]} outputs
 * @returns {Map<string, boolean>} by name
 */
function readers(items, pieces, outputs) {
  /** @type {Map<string, boolean>} */
  const needed = new Map(outputs.map(({ name }) => [name, true]));
  pieces.forEach(({ on, items: members }) => {
    const made = new Set(members.flatMap((i) => items[i].node.names));
    for (const { name } of members.flatMap((i) => Object.values(items[i].node.inputs).flat())) {
      if (on === 'wasm' && !made.has(name)) needed.set(name, true);
    }
  });
  // what a later GPU segment reads of a WASM one
  const onGpu = new Set(pieces.filter(({ on }) => on === 'gpu').flatMap(({ items: members }) => members));
  for (const i of onGpu) {
    for (const { name } of Object.values(items[i].node.inputs).flat()) {
      if (items.some(({ node }, k) => !onGpu.has(k) && node.names.includes(name))) needed.set(name, true);
    }
  }
  return needed;
}

/** Operators that run on the host, as a stage of their own. @param {OpNode[]} nodes @param {Map<string, boolean>} needed @param {number} at */
function stageOf(nodes, needed, at) {
  const ops = nodes.map(({ type, attrs, inputs, names }) => ({
    type, attrs, outputs: { Out: names },
    inputs: Object.fromEntries(Object.entries(inputs).map(([slot, list]) => [slot, list.map(({ name }) => name)])),
  }));
  const made = new Set(nodes.flatMap(({ names }) => names));
  const read = nodes.flatMap(({ inputs }) => Object.values(inputs).flat()).filter(({ name, weight }) => !weight && !made.has(name));
  return {
    ops, reads: [...new Set(read.map(({ name }) => name))], writes: [...made].filter((name) => needed.get(name)), hosts: [], at,
  };
}

/** How often each value is read; a value that is another's memory counts as a reader of it. @param {Step[]} steps @param {GpuValue[]} downloads */
function countReads(steps, downloads) {
  /** @type {Map<GpuValue, number>} */
  const reads = new Map();
  const seen = new Set();
  const note = (/** @type {GpuValue} */ value) => {
    reads.set(value, (reads.get(value) ?? 0) + 1);
    if (value.of && !seen.has(value)) note(value.of);
    seen.add(value);
  };
  for (const step of steps) step.x.forEach(note);
  downloads.forEach(note);
  return reads;
}

/** @param {Step[]} steps @param {GpuValue[]} downloads @returns {GpuSegment} */
const gpuSegment = (steps, downloads) => ({ on: 'gpu', steps, uploads: [], downloads });

/** Lifetimes of all values; what no step writes before it is read is an upload. @param {GpuPlan['segments']} segments */
function live(segments) {
  const written = new Set();
  let at = 0;
  for (const segment of segments) {
    if (segment.on !== 'gpu') continue;
    const start = at, uploads = new Set();
    for (const step of segment.steps) {
      for (const value of step.x) {
        const home = owner(value);
        if (!home.data && !written.has(home)) {
          written.add(home);
          uploads.add(home);
          home.first = start;
        }
        home.last = Math.max(home.last, at);
      }
      step.y.first = at;
      step.y.last = Math.max(step.y.last, at);
      written.add(step.y);
      at++;
    }
    for (const value of segment.downloads) {
      const home = owner(value);
      if (!home.data && !written.has(home)) {
        written.add(home);
        uploads.add(home);
        home.first = start;
      }
      home.last = Infinity;
    }
    segment.uploads = [...uploads];
  }
}

/** @param {GpuPlan['segments']} segments @returns {GpuValue[]} */
function valuesOf(segments) {
  /** @type {Set<GpuValue>} */
  const all = new Set();
  for (const segment of segments) {
    if (segment.on !== 'gpu') continue;
    const named = [...segment.uploads, ...segment.downloads, ...segment.steps.flatMap((step) => [...step.x, step.y])];
    for (const value of named) for (let v = /** @type {GpuValue|null} */ (value); v; v = v.of) all.add(v);
  }
  return [...all];
}

// Squeeze-and-excitation without a pass of its own: channels scaled before a convolution are scaled while it reads them.
import { operandMode } from '../gpu/step.js';
import { isDense } from './families/conv.js';

/** @typedef {import('../gpu/step.js').GpuPlan} GpuPlan */
/** @typedef {import('../gpu/step.js').GpuValue} GpuValue */
/** @typedef {import('../gpu/step.js').Step} Step */
/** @typedef {import('../gpu/step.js').MapStep} MapStep */
/** @typedef {import('../gpu/step.js').ConvStep} ConvStep */
/** @typedef {ConvStep & {scale?: {x: number, n: number}}} ScaledConv x[0] times the four channels of texel (image * n + c4)
 *   of x[scale.x] */

/**
 * The steps of every GPU segment; null stands for one that the convolution after it does.
 * @param {GpuPlan} plan @param {number} maxInputs that a step may read
 * @returns {(Step|null)[][]}
 */
export function absorb(plan, maxInputs) {
  const segments = plan.segments.flatMap((segment) => (segment.on === 'gpu' ? [segment] : [])), reads = new Map();
  const note = (/** @type {GpuValue} */ value) => reads.set(value, (reads.get(value) ?? 0) + 1);
  for (const { steps, downloads } of segments) [...steps.flatMap(({ x }) => x), ...downloads].forEach(note);
  for (const { of } of plan.values) if (of) note(of);
  return segments.map(({ steps }) => {
    /** @type {(Step|null)[]} */
    const out = [...steps];
    steps.forEach((step, i) => {
      const maker = step.kind === 'conv' ? steps.findIndex(({ y }) => y === step.x[0]) : -1, scaled = steps[maker];
      if (step.kind !== 'conv' || scaled?.kind !== 'map' || reads.get(scaled.y) !== 1 || step.x.length >= maxInputs) return;
      const joined = join(scaled, step);
      if (!joined) return;
      out[maker] = null;
      out[i] = joined;
    });
    return out;
  });
}

/** @param {MapStep} map @param {ConvStep} conv @returns {ScaledConv|null} */
function join(map, conv) {
  const [tail] = map.tail, [x] = map.x;
  if (map.tail.length !== 1 || tail.fn !== 'binary' || tail.op !== 'mul' || !isDense(conv.g)) return null;
  const main = operandMode(map, { ...tail, with: 0, strides: map.strides }), other = operandMode(map, tail);
  if (main.mode !== 'same' || other.mode !== 'channel' || x.shape.join() !== map.y.shape.join()) return null;
  return { ...conv, x: [x, ...conv.x.slice(1), map.x[tail.with]], scale: { x: conv.x.length, n: other.n }, where: `${map.where} … ${conv.where}` };
}

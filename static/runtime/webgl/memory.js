// Which texture each value of a plan lies in: values that live at the same time do not share one, the others do.
import { owner } from '../gpu/step.js';
import { rowsOf, shiftOf, storageOf } from './shader.js';

/** @typedef {import('../gpu/step.js').GpuValue} GpuValue */
/** @typedef {import('./shader.js').Draw} Draw */
/** @typedef {import('./shader.js').Place} Place */
/** @typedef {import('./textures.js').Texture} Texture */
/** @typedef {{shift: number, quad: boolean, half: boolean, rows: number, until: number}} Slot a texture to be; until: the last step
 *   that uses it so far */
/** @typedef {{shift: number, quad: boolean, half: boolean, rows: number, first: number, last: number, slot: Slot|null}} Need */

/**
 * @param {import('../gpu/step.js').GpuPlan} plan
 * @param {(Draw & {number: number})[]} draws of the whole plan; number: of their step
 * @param {boolean} half whether values are float16 @param {boolean} hasFloat32 whether float32 can be drawn into
 * @param {(slot: Slot) => Texture} make
 * @returns {(place: Place) => Texture|null} the texture of a value or scratch; null for constants
 */
export function place(plan, draws, half, hasFloat32, make) {
  /** @type {Map<GpuValue|import('./shader.js').Scratch, Need>} */
  const needs = new Map();
  const used = new Set(draws.flatMap(({ inputs, output }) => [...inputs, output]).flatMap((at) => ('value' in at ? [owner(at.value)] : [])));
  const exchanged = new Set(plan.segments.flatMap((segment) => (segment.on === 'gpu' ? [...segment.uploads, ...segment.downloads] : [])).map(owner));
  for (const value of plan.values) {
    const held = owner(value);
    if (held.data || needs.has(held) || !(used.has(held) || exchanged.has(held))) continue;
    needs.set(held, { ...sizeOf({ value: held }), half: half && !(hasFloat32 && exchanged.has(held)), first: held.first, last: held.last, slot: null });
  }
  for (const { inputs, output, number } of draws) {
    for (const at of [...inputs, output]) {
      const need = 'value' in at ? needs.get(owner(at.value)) : undefined;
      if (need) need.last = Math.max(need.last, number); // a step may have taken in one before it
      if (!('scratch' in at)) continue;
      const { scratch } = at;
      needs.set(scratch, { ...sizeOf(at), half: !hasFloat32 || (half && !scratch.exact), first: number, last: number, slot: null });
    }
  }
  share([...needs.values()]);
  /** @type {Map<Slot, Texture>} */
  const textures = new Map();
  return (at) => {
    const need = 'table' in at ? undefined : needs.get('value' in at ? owner(at.value) : at.scratch);
    if (!need?.slot) return null;
    const texture = textures.get(need.slot) ?? make(need.slot);
    textures.set(need.slot, texture);
    return texture;
  };
}

/** @param {Place} at */
function sizeOf(at) {
  const { quad, cells } = storageOf(at);
  return { quad, shift: shiftOf(cells), rows: rowsOf(cells) };
}

/**
 * Gives every need a slot, in order of their first steps: a free one of the nearest size, made taller where it must be.
 * @param {Need[]} needs
 */
export function share(needs) {
  /** @type {Slot[]} */
  const slots = [];
  for (const need of [...needs].sort((p, q) => p.first - q.first || q.rows - p.rows)) {
    const free = slots.filter((slot) => slot.until < need.first && slot.shift === need.shift && slot.quad === need.quad && slot.half === need.half);
    const fits = free.filter(({ rows }) => rows >= need.rows).sort((p, q) => p.rows - q.rows)[0];
    const slot = fits ?? free.sort((p, q) => q.rows - p.rows)[0] ?? { shift: need.shift, quad: need.quad, half: need.half, rows: 0, until: 0 };
    if (!slots.includes(slot)) slots.push(slot);
    slot.rows = Math.max(slot.rows, need.rows);
    slot.until = need.last;
    need.slot = slot;
  }
}

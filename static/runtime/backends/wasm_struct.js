// The structs that kernels take, as C lays them out.

/** @typedef {import('../plan.js').Ref} Ref */
/** @typedef {import('../plan.js').StepArg} StepArg */

const ALIGN = 64;

/** The next address that anything may start at. @param {number} n */
export const align = (n) => Math.ceil(n / ALIGN) * ALIGN;

/** @param {StepArg[]} args @returns {number} bytes of the struct, as C lays it out */
export function structBytes(args) {
  let at = 0;
  for (const arg of args) at = isWide(arg) ? Math.ceil(at / 8) * 8 + 8 : at + 4;
  return Math.ceil(at / 16) * 16;
}

/** @param {StepArg} arg @returns {arg is {i64: number}} */
const isWide = (arg) => typeof arg !== 'number' && 'i64' in arg;

/** @param {DataView} view @param {number} start @param {StepArg[]} args @param {(ref: Ref) => number} address */
export function writeStruct(view, start, args, address) {
  let at = start;
  for (const arg of args) {
    if (isWide(arg)) {
      at = Math.ceil(at / 8) * 8;
      view.setBigInt64(at, BigInt(arg.i64), true);
      at += 8;
      continue;
    }
    if (typeof arg === 'number') view.setInt32(at, arg, true);
    else if ('f32' in arg) view.setFloat32(at, arg.f32, true);
    else view.setUint32(at, address(arg), true);
    at += 4;
  }
}

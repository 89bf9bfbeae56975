// What the engines share with the page; a module of its own, since the page waits for them.
export const wish = Object.fromEntries(new URLSearchParams(location.search));

/** @param {string} file of the net's folder */
export async function bytesOf(file) {
  const response = await fetch(`/bench/nets/${wish.net}/${file}`);
  if (!response.ok) throw new Error(`${file}: ${response.status}`);
  return response.arrayBuffer();
}

/** Channels first -> channels last. @param {Float32Array} x @param {number[]} shape [1, C, H, W] */
export function channelsLast(x, [, C, H, W]) {
  const out = new Float32Array(x.length);
  for (let c = 0; c < C; c++) for (let i = 0; i < H * W; i++) out[i * C + c] = x[c * H * W + i];
  return out;
}

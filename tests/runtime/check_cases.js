// node check_cases.js: operator cases, one per line of standard input, in both builds; one line of JSON for each: {} or {error}.
import { createInterface } from 'node:readline';
import { BUILDS, checkCase, kernels } from './cases.js';

const modules = await Promise.all(BUILDS.map((build) => kernels(build)));
for await (const line of createInterface({ input: process.stdin })) {
  try {
    const one = JSON.parse(line.replace(/(?<=[[,:]\s*)-?\d{16,}(?=\s*[\],}])/g, '"$&"'));
    for (const wasm of modules) await checkCase(one, wasm);
    console.log('{}');
  } catch (error) {
    console.log(JSON.stringify({ error: error instanceof Error ? error.message : String(error) }));
  }
}

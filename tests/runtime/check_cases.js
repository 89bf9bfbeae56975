// node check_cases.js: operator cases, one per line of standard input; one line of JSON for each: {} or {error}.
import { createInterface } from 'node:readline';
import { checkCase, kernels } from './cases.js';

const wasm = await kernels();
for await (const line of createInterface({ input: process.stdin })) {
  try {
    await checkCase(JSON.parse(line.replace(/(?<=[[,:]\s*)-?\d{16,}(?=\s*[\],}])/g, '"$&"')), wasm);
    console.log('{}');
  } catch (error) {
    console.log(JSON.stringify({ error: error instanceof Error ? error.message : String(error) }));
  }
}

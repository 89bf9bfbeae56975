// The worker's side of worker_client.js.
// Every module that it starts with is named here, so that none waits for another one to name it; a test keeps the list.
import './backends/wasm.js';
import './backends/wasm_struct.js';
import './backends/wasm_threads.js';
import './backends/wasm_weights.js';
import './bundle.js';
import './cache.js';
import './choose.js';
import './early.js';
import './engine.js';
import './errors.js';
import './fetch.js';
import './held.js';
import './kernels.js';
import './local.js';
import './manifest.js';
import './near.js';
import './ops/dtype.js';
import './ops/index.js';
import './ops/node.js';
import './plan.js';
import './plan_layout.js';
import './plan_lower.js';
import './plan_memory.js';
import './plan_stages.js';
import './prepared.js';
import './prepared_file.js';
import './preprocess.js';
import './sha256.js';
import './source.js';
import './taps.js';
import './tensor.js';
import './weights.js';
import '../media/image.js';
import '../media/image_size.js';
import { serve } from './worker_server.js';

serve(/** @type {any} */ (globalThis));

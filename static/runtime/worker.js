// The worker's side of worker_client.js.
import { serve } from './worker_server.js';

serve(/** @type {any} */ (globalThis));

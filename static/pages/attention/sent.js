// Counts what a thread asks of the network: requests that any code made since a moment.

/** Fires `change`. Resource Timing sees every request of its thread, failed ones too. */
export class SentCounter extends EventTarget {
  requests = 0;
  since = Infinity;

  constructor() {
    super();
    this.observer = new PerformanceObserver((list) => this.see(list.getEntries()));
  }

  start() {
    this.since = performance.now();
    this.requests = 0;
    this.observer.observe({ type: 'resource' });
    this.dispatchEvent(new Event('change'));
  }

  /** @param {PerformanceEntryList} entries */
  see(entries) {
    const late = entries.filter(({ startTime, name }) => startTime >= this.since && /^(https?|wss?):/.test(name));
    if (!late.length) return;
    this.requests += late.length;
    this.dispatchEvent(new Event('change'));
  }

  stop() {
    this.observer.disconnect();
    this.since = Infinity;
  }
}

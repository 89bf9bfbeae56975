// Counts what this page asks of the network while it looks: requests that any code of the page made since a moment.

/** Fires `change`. Resource Timing sees every request of the page, failed ones too. */
export class SentCounter extends EventTarget {
  constructor() {
    super();
    this.requests = 0;
    this.since = Infinity;
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

  /** In words: no request carries no byte. */
  get words() {
    return this.requests ? `${this.requests} request${this.requests > 1 ? 's' : ''} were made` : '0 bytes';
  }
}

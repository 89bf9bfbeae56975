// What every page does: keep itself for use without a network.

/** Registers the service worker once the page has finished loading, so that it never competes with the page. */
async function keepForOffline() {
  if (!('serviceWorker' in navigator) || !window.isSecureContext) return;
  if (document.readyState !== 'complete') {
    await new Promise((resolve) => window.addEventListener('load', resolve, { once: true }));
  }
  try {
    await navigator.serviceWorker.register('/service-worker.js', { scope: '/' });
  } catch (error) {
    // The page works without it; private windows of some browsers refuse service workers.
    console.info('Offline use is not available:', error);
  }
}

keepForOffline();

"""The runtime in Chromium: worker and main thread, pictures of every kind, the cache, and each way to fail."""

import io
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from PIL import Image

from converter import preprocess
from tests.runtime.browser_kit import SPEC, VERSION, Site, conv_relu, make_bundle, running, wait_until

pytestmark = pytest.mark.browser

LOAD = """async ([address, options]) => {
  const runtime = await import('/static/runtime/index.js');
  globalThis.runtime = runtime;
  globalThis.model = await runtime.load(address, options);
  const { name, backend, labels, inputs } = model;
  return { name, backend, labels, inputs, memory: model.memory() };
}"""
# A call that must fail: the error's fields, or what came back after all.
FAILURE = """async ([address, options]) => {
  const { load, InPageError } = await import('/static/runtime/index.js');
  try {
    return { loaded: (await load(address, options)).name };
  } catch (error) {
    return { ours: error instanceof InPageError, code: error.code, message: error.message, where: error.where };
  }
}"""
RUN_TENSOR = """async ([values, shape]) => {
  const { y } = await model.run({ x: { data: Float32Array.from(values), shape } });
  return { data: [...y.data], shape: y.shape };
}"""
THREADS = pytest.mark.parametrize("worker", [True, False], ids=["worker", "main"])


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    fixed = make_bundle()
    fixed["model.json"] = fixed["model.json"].replace(b'"shape": ["n", 3, "h", "w"]', b'"shape": [1, 3, 8, 10]')
    with running({"bundle": make_bundle(), "large": make_bundle(ballast=9_000_000), "fixed": fixed}) as served:
        yield served


@pytest.fixture
def page(browser: Any, site: Site) -> Iterator[Any]:
    site.reset()
    context = browser.new_context()
    context.set_default_timeout(20_000)
    tab = context.new_page()
    tab.goto(site.url)
    yield tab
    context.close()


def picture(height: int = 16, width: int = 20) -> np.ndarray:
    """uint8 [height, width, 4], opaque."""
    rgba = np.random.default_rng(5).integers(0, 256, (height, width, 4), dtype=np.uint8)
    rgba[..., 3] = 255
    return rgba


def expected(rgba: np.ndarray) -> np.ndarray:
    return conv_relu(preprocess.apply(SPEC, rgba))


def check(result: dict[str, Any], want: np.ndarray, tol: float = 1e-5) -> None:
    assert result["shape"] == list(want.shape)
    got = np.array(result["data"]).reshape(want.shape)
    assert np.abs(got - want).max() <= tol * max(1.0, float(np.ptp(want)))


@THREADS
def test_load_and_run(page: Any, worker: bool) -> None:
    told = page.evaluate(LOAD, ["/bundle", {"worker": worker}])
    assert told["name"] == "small" and told["backend"] == "wasm" and told["labels"] == ["a", "b"]
    assert told["inputs"] == [{"name": "x", "shape": ["n", 3, "h", "w"], "dtype": "float32"}]
    assert told["memory"]["bytes"] > 0
    assert len(page.workers) == int(worker)
    for shape in ((1, 3, 7, 9), (2, 3, 4, 5), (1, 3, 7, 9)):
        x = np.random.default_rng(0).normal(size=shape).astype(np.float32)
        check(page.evaluate(RUN_TENSOR, [x.ravel().tolist(), list(shape)]), conv_relu(x))
    page.evaluate("() => model.dispose()")
    code = page.evaluate("() => model.run({}).then(() => 'ran', (error) => error.code)")
    assert code == "disposed"
    assert page.evaluate("() => model.memory()") == {"bytes": 0}


def test_models_share_a_worker_that_ends_with_the_last(page: Any) -> None:
    page.evaluate(
        """async () => {
          const { load } = await import('/static/runtime/index.js');
          globalThis.models = await Promise.all([load('/bundle'), load('/bundle/'), load('/bundle/model.json')]);
        }"""
    )
    assert len(page.workers) == 1
    page.evaluate("() => Promise.all(models.slice(1).map((model) => model.dispose()))")
    assert len(page.workers) == 1
    page.evaluate("() => models[0].dispose()")
    page.wait_for_function("() => true")
    assert len(page.workers) == 0
    page.evaluate(LOAD, ["/bundle", {}])
    assert len(page.workers) == 1


MAKE_SOURCES = """async ({ rgba, width, height }) => {
  const image = new ImageData(Uint8ClampedArray.from(rgba), width, height);
  const canvas = document.createElement('canvas');
  Object.assign(canvas, { width, height });
  canvas.getContext('2d').putImageData(image, 0, 0);
  const offscreen = new OffscreenCanvas(width, height);
  offscreen.getContext('2d').putImageData(image, 0, 0);
  const blob = await new Promise((resolve) => { canvas.toBlob(resolve, 'image/png'); });
  const element = new Image();
  element.src = URL.createObjectURL(blob);
  const sources = {
    ImageData: image, pixels: { data: image.data, width, height },
    HTMLCanvasElement: canvas, OffscreenCanvas: offscreen,
    ImageBitmap: await createImageBitmap(canvas), Blob: blob, HTMLImageElement: element,
    VideoFrame: new VideoFrame(canvas, { timestamp: 0 }),
  };
  const results = {};
  for (let twice = 0; twice < 2; twice++) {
    for (const [name, x] of Object.entries(sources)) {
      const { y } = await model.run({ x });
      results[name] = { data: [...y.data], shape: y.shape };
    }
  }
  sources.VideoFrame.close();
  return results;
}"""


@THREADS
def test_every_kind_of_picture(page: Any, worker: bool) -> None:
    page.evaluate(LOAD, ["/bundle", {"worker": worker}])
    rgba = picture()
    results = page.evaluate(MAKE_SOURCES, {"rgba": rgba.ravel().tolist(), "width": 20, "height": 16})
    assert len(results) == 8
    for result in results.values():
        check(result, expected(rgba))


@THREADS
def test_a_video_gives_the_frame_it_shows(page: Any, worker: bool) -> None:
    page.evaluate(LOAD, ["/bundle", {"worker": worker}])
    result = page.evaluate(
        """async () => {
          const canvas = document.createElement('canvas');
          Object.assign(canvas, { width: 64, height: 48 });
          const context = canvas.getContext('2d');
          const video = document.createElement('video');
          const early = await model.run({ x: video }).then(() => 'ran', (error) => error.message);
          video.muted = true;
          video.srcObject = canvas.captureStream(30);
          const draw = () => {
            context.fillStyle = 'rgb(200, 100, 50)';
            context.fillRect(0, 0, 64, 48);
          };
          const timer = setInterval(draw, 20);
          draw();
          await video.play();
          const { y } = await model.run({ x: video });
          clearInterval(timer);
          return { early, data: [...y.data], shape: y.shape };
        }"""
    )
    assert "no frame yet" in result["early"]
    flat = np.full((48, 64, 4), 255, np.uint8)
    flat[..., :3] = (200, 100, 50)
    check(result, expected(flat), tol=0.03)  # the frame goes through YUV: a few levels of 255


def rotated_jpeg(rgba: np.ndarray) -> bytes:
    """A JPEG stored lying on its side with the EXIF orientation that sets it upright."""
    upright = Image.fromarray(rgba[..., :3])
    exif = Image.Exif()
    exif[0x0112] = 6
    out = io.BytesIO()
    upright.rotate(90, expand=True).save(out, "JPEG", quality=95, subsampling=0, exif=exif)
    return out.getvalue()


@THREADS
def test_exif_orientation_is_honoured(page: Any, worker: bool) -> None:
    page.evaluate(LOAD, ["/bundle", {"worker": worker}])
    rgba = np.full((48, 64, 4), 255, np.uint8)
    rgba[:24, :32, :3], rgba[24:, :32, :3] = (250, 20, 30), (20, 230, 40)
    rgba[:24, 32:, :3], rgba[24:, 32:, :3] = (30, 40, 220), (128, 128, 128)
    result = page.evaluate(
        """async (bytes) => {
          const { y } = await model.run({ x: new Blob([Uint8Array.from(bytes)], { type: 'image/jpeg' }) });
          return { data: [...y.data], shape: y.shape };
        }""",
        list(rotated_jpeg(rgba)),
    )
    check(result, expected(rgba), tol=0.05)  # JPEG keeps flat colours within some levels


def bomb() -> bytes:
    """The header of a PNG of 40000 x 40000 pixels."""
    return b"\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR\0\0\x9c\x40\0\0\x9c\x40\x08\x02\0\0\0"


@THREADS
@pytest.mark.parametrize(
    ("content", "message"),
    [(b"", "empty"), (b"%PDF-1.4 not a picture", "not a picture"), (bomb(), "1600 megapixels where at most 67")],
    ids=["empty", "no-picture", "enormous"],
)
def test_files_that_are_no_usable_picture(page: Any, worker: bool, content: bytes, message: str) -> None:
    page.evaluate(LOAD, ["/bundle", {"worker": worker}])
    error = page.evaluate(
        """(bytes) => model.run({ x: new Blob([Uint8Array.from(bytes)], { type: 'image/png' }) })
          .then(() => ({}), ({ code, message }) => ({ code, message }))""",
        list(content),
    )
    assert error["code"] == "invalid_input"
    assert message in error["message"] and 'input "x"' in error["message"]


@THREADS
def test_a_picture_of_20_megapixels(page: Any, worker: bool) -> None:
    """Read through the canvas in bands; the bands must join without a seam."""
    page.evaluate(LOAD, ["/bundle", {"worker": worker}])
    result = page.evaluate(
        """async () => {
          const canvas = new OffscreenCanvas(5000, 4000);
          const context = canvas.getContext('2d');
          for (let i = 0; i < 80; i++) {
            context.fillStyle = `rgb(${3 * i}, ${250 - 3 * i}, ${(i * 37) % 256})`;
            context.fillRect(0, 50 * i, 5000, 50);
          }
          const { y } = await model.run({ x: canvas });
          return { data: [...y.data], shape: y.shape };
        }"""
    )
    rows = np.arange(80)
    stripes = np.full((80, 4), 255, np.uint8)
    stripes[:, 0], stripes[:, 1], stripes[:, 2] = 3 * rows, 250 - 3 * rows, rows * 37 % 256
    rgba = np.repeat(stripes, 50, axis=0)[:, None].repeat(100, axis=1)
    check(result, expected(rgba))


def test_a_second_visit_fetches_no_weights(page: Any, site: Site) -> None:
    page.evaluate(LOAD, ["/large", {}])
    assert sum("chunk" in path for path in site.asked) == 3
    page.evaluate("() => model.dispose()")  # ends when the shards are kept
    site.asked.clear()
    page.goto(site.url)
    page.evaluate(LOAD, ["/large", {}])
    assert "/large/model.json" in site.asked
    assert not [path for path in site.asked if "chunk" in path]
    x = np.random.default_rng(1).normal(size=(1, 3, 5, 5)).astype(np.float32)
    check(page.evaluate(RUN_TENSOR, [x.ravel().tolist(), [1, 3, 5, 5]]), conv_relu(x))


def test_a_damaged_cache_entry_is_fetched_again(page: Any, site: Site) -> None:
    page.evaluate(LOAD, ["/bundle", {}])
    page.evaluate("() => model.dispose()")
    spoiled = page.evaluate(
        """async () => {
          let spoiled = 0;
          for (const name of await caches.keys()) {
            const cache = await caches.open(name);
            for (const request of await cache.keys()) {
              if (request.url.endsWith('index.json')) continue;
              const bytes = new Uint8Array(await (await cache.match(request)).arrayBuffer());
              bytes[7] ^= 4;
              await cache.put(request, new Response(bytes));
              spoiled++;
            }
          }
          return spoiled;
        }"""
    )
    assert spoiled == 1
    site.asked.clear()
    page.evaluate(LOAD, ["/bundle", {}])
    assert site.asked.count("/bundle/chunk_1.dat") == 1


STARTED = f"""async () => {{
  const start = Object.assign(document.createElement('script'), {{ src: '/static/{VERSION}/runtime/start.js' }});
  Object.assign(start.dataset, {{ model: '/fixed', weights: 'chunk_1.dat' }});
  await new Promise((resolve, reject) => {{
    Object.assign(start, {{ onload: resolve, onerror: reject }});
    document.head.append(start);
  }});
  const {{ load }} = await import('/static/{VERSION}/runtime/index.js');
  const model = await load('/fixed'), data = Float32Array.from({{ length: 240 }}, (_, i) => i % 17);
  const {{ y }} = await model.run({{ x: {{ data, shape: [1, 3, 8, 10] }} }});
  return {{ data: [...y.data], shape: y.shape }};
}}"""
KEPT = """async (spoil) => {
  for await (const [, handle] of (await navigator.storage.getDirectory()).entries()) {
    const bytes = new Uint8Array(await (await handle.getFile()).arrayBuffer());
    if (!bytes[0]) continue; // they are written last
    if (spoil) {
      const out = await handle.createWritable({ keepExistingData: true });
      await out.write({ type: 'write', position: bytes.length - 60, data: Uint8Array.of(bytes.at(-60) ^ 1) });
      await out.close();
    }
    return String(bytes);
  }
}"""


def test_a_model_is_kept_as_it_lay_in_memory(page: Any, site: Site) -> None:
    """Visits that start the worker early: nothing is kept, then something, then it is damaged, and kept again."""
    x = (np.arange(240) % 17).astype(np.float32).reshape(1, 3, 8, 10)
    kept = None
    for spoil, asked in ((False, 1), (False, 0), (True, 1)):
        if spoil:
            page.evaluate(KEPT, True)
        page.reload()
        site.asked.clear()
        check(page.evaluate(STARTED), conv_relu(x))
        assert site.asked.count("/fixed/chunk_1.dat") == asked
        wait_until(lambda whole=kept: (found := page.evaluate(KEPT)) and found == (whole or found))
        kept = page.evaluate(KEPT)


def test_without_a_secure_origin_hashes_are_still_checked(page: Any, site: Site) -> None:
    """Plain http on a host name: no crypto.subtle, no Cache API, no locks."""

    def forward(route: Any) -> None:
        status, headers, body = site.answer(route.request.url.split("insecure.test", 1)[1]) or (500, {}, b"")
        path = route.request.url
        kinds = {"js": "text/javascript", "wasm": "application/wasm"}
        kind = kinds.get(path.rsplit(".", 1)[-1], "text/html")
        route.fulfill(status=status, body=body, headers={"Content-Type": kind, **headers})

    page.context.route("http://insecure.test/**", forward)
    page.goto("http://insecure.test/")
    assert page.evaluate("() => [isSecureContext, typeof crypto.subtle, typeof caches]") == [False, *["undefined"] * 2]
    page.evaluate(LOAD, ["/bundle", {}])
    x = np.ones((1, 3, 2, 2), np.float32)
    check(page.evaluate(RUN_TENSOR, [x.ravel().tolist(), [1, 3, 2, 2]]), conv_relu(x))
    site.faults["/bundle/chunk_1.dat"] = lambda nth, body: (200, {}, bytes([body[0] ^ 1]) + body[1:])
    assert page.evaluate(FAILURE, ["/bundle", {}])["code"] == "damaged"


FAST = {"retries": 1, "policy": {"backoff_ms": 10, "stall_ms": 500}}


@THREADS
@pytest.mark.parametrize(
    ("path", "fault", "code"),
    [
        ("/bundle/chunk_1.dat", lambda nth, body: (200, {}, body[:-1] + bytes([body[-1] ^ 1])), "damaged"),
        ("/bundle/chunk_1.dat", lambda nth, body: (200, {}, body[:-4]), "damaged"),
        ("/bundle/chunk_1.dat", lambda nth, body: (200, {"Content-Length": str(len(body))}, body[:-4]), "network"),
        ("/bundle/chunk_1.dat", lambda nth, body: (404, {}, b""), "not_found"),
        ("/bundle/model.json", lambda nth, body: (404, {}, b""), "not_found"),
        ("/bundle/model.json", lambda nth, body: (200, {}, b"<html>"), "invalid_model"),
        ("/bundle/chunk_1.dat", lambda nth, body: (500, {}, b""), "network"),
        ("/bundle/chunk_1.dat", lambda nth, body: None, "network"),
        ("/static/runtime/wasm/kernels.wasm", lambda nth, body: (404, {}, b""), "no_backend"),
        ("/static/runtime/wasm/kernels.wasm", lambda nth, body: (200, {}, b"not wasm"), "no_backend"),
    ],
    ids=["flipped", "short", "cut", "no-chunk", "no-bundle", "html", "failing", "silent", "no-kernels", "bad-kernels"],
)
def test_a_bundle_that_cannot_be_loaded(page: Any, site: Site, worker: bool, path: str, fault: Any, code: str) -> None:
    site.faults[path] = fault
    error = page.evaluate(FAILURE, ["/bundle", {"worker": worker, **FAST}])
    assert error["ours"] is True and error["code"] == code, error
    site.faults.clear()
    assert page.evaluate(FAILURE, ["/bundle", {"worker": worker, **FAST}]) == {"loaded": "small"}


HINTS = """async (files) => {
  for (const href of files) {
    const link = document.createElement('link');
    Object.assign(link, { rel: 'preload', as: 'fetch', crossOrigin: 'anonymous', href });
    await new Promise((resolve) => { link.onload = link.onerror = resolve; document.head.append(link); });
  }
}"""


@pytest.mark.parametrize("breaks", [False, True], ids=["whole", "refused at first"])
@THREADS
def test_what_the_head_names_is_not_fetched_again(page: Any, site: Site, worker: bool, breaks: bool) -> None:
    files = ["/bundle/model.json", "/bundle/chunk_1.dat"]
    if breaks:
        site.faults[files[1]] = lambda nth, body: (503, {}, b"") if nth == 1 else (200, {}, body)
    page.evaluate(HINTS, files)
    assert page.evaluate(LOAD, ["/bundle", {"worker": worker, **FAST}])["name"] == "small"
    assert [site.asked.count(file) for file in files] == [1, 2 if breaks else 1]
    x = np.ones((1, 3, 2, 2), np.float32)
    check(page.evaluate(RUN_TENSOR, [x.ravel().tolist(), [1, 3, 2, 2]]), conv_relu(x))


def test_kernels_served_with_a_wrong_type_still_compile(page: Any, site: Site) -> None:
    site.faults["/static/runtime/wasm/kernels.wasm"] = lambda nth, body: (200, {"Content-Type": "text/plain"}, body)
    assert page.evaluate(FAILURE, ["/bundle", {}]) == {"loaded": "small"}
    assert site.asked.count("/static/runtime/wasm/kernels.wasm") == 1


@THREADS
def test_an_abort_while_loading(page: Any, site: Site, worker: bool) -> None:
    site.faults["/bundle/chunk_1.dat"] = lambda nth, body: None
    code = page.evaluate(
        """async (worker) => {
          const { load } = await import('/static/runtime/index.js');
          const controller = new AbortController();
          const loading = load('/bundle', { worker, signal: controller.signal, onProgress({ stage }) {
            if (stage === 'weights') setTimeout(() => controller.abort(), 20);
          } });
          return loading.then(() => 'loaded', (error) => error.code);
        }""",
        worker,
    )
    assert code == "aborted"


@pytest.mark.parametrize(
    "deed",
    ["() => { setTimeout(() => self.close(), 0); }", "() => { setTimeout(() => { throw new Error('wreck'); }, 0); }"],
    ids=["closed", "uncaught"],
)
def test_a_lost_worker_rejects_every_call_and_load_works_again(page: Any, site: Site, deed: str) -> None:
    page.evaluate(LOAD, ["/bundle", {}])
    site.faults["/large/chunk_1.dat"] = lambda nth, body: None
    page.evaluate(
        """() => {
          globalThis.waiting = runtime.load('/large').then(() => 'loaded', (error) => error.code);
        }"""
    )
    page.workers[0].evaluate(deed)
    assert page.evaluate("() => waiting") == "worker_lost"
    one_pixel = "{ x: { data: new Float32Array(3), shape: [1, 3, 1, 1] } }"
    lost = page.evaluate(f"() => model.run({one_pixel}).catch(({{ code }}) => code)")
    assert lost == "worker_lost"
    page.evaluate(LOAD, ["/bundle", {}])
    x = np.ones((1, 3, 2, 2), np.float32)
    check(page.evaluate(RUN_TENSOR, [x.ravel().tolist(), [1, 3, 2, 2]]), conv_relu(x))


def test_a_worker_whose_script_is_missing(page: Any, site: Site) -> None:
    site.faults["/static/runtime/worker_server.js"] = lambda nth, body: (404, {}, b"")
    error = page.evaluate(FAILURE, ["/bundle", {}])
    assert error["ours"] is True and error["code"] == "worker_lost"
    site.faults.clear()
    assert page.evaluate(FAILURE, ["/bundle", {}]) == {"loaded": "small"}


def test_the_runtime_may_come_from_another_origin(page: Any, site: Site) -> None:
    """A worker must be of the page's own origin: the runtime of another one starts it through a blob."""
    policy = {"Content-Security-Policy": "script-src * blob: 'wasm-unsafe-eval'; worker-src * blob:"}
    site.faults["/"] = lambda nth, body: (200, policy, body)
    page.goto(site.url)
    with running({}) as other:
        load = LOAD.replace("'/static/", f"'{other.url}/static/")
        assert page.evaluate(load, ["/bundle", {}])["name"] == "small"
        assert "/static/runtime/worker.js" in other.asked
        x = np.ones((1, 3, 2, 2), np.float32)
        check(page.evaluate(RUN_TENSOR, [x.ravel().tolist(), [1, 3, 2, 2]]), conv_relu(x))


def test_progress_counts_every_byte(page: Any) -> None:
    steps = page.evaluate(
        """async () => {
          const { load } = await import('/static/runtime/index.js');
          const steps = [];
          await load('/large', { onProgress: (step) => steps.push(step) });
          return steps;
        }"""
    )
    loaded = [step["loaded"] for step in steps]
    assert loaded == sorted(loaded)
    assert steps[-1] == {"stage": "ready", "loaded": 9_000_000 + 4 * (135 + 5), "total": 9_000_000 + 4 * (135 + 5)}
    assert len(loaded) > 8


def test_what_the_device_can_do(page: Any) -> None:
    device = page.evaluate("async () => (await import('/static/runtime/index.js')).capabilities()")
    assert device["wasm"] is True and device["simd"] is True and device["threads"] is True
    assert isinstance(device["cores"], int)
    assert {key: type(device[key]) for key in ("relaxedSimd", "webgl2", "webgpu")} == dict.fromkeys(
        ("relaxedSimd", "webgl2", "webgpu"), bool
    )


def test_no_simd_is_said_plainly(page: Any) -> None:
    page.evaluate("() => { WebAssembly.validate = () => false; }")
    error = page.evaluate(FAILURE, ["/bundle", {}])
    assert error["code"] == "no_backend" and "SIMD" in error["message"]

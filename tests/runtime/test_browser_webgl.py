"""WebGL2 in Chromium, its GPU computed by the CPU: operator cases, real models, and the life of a context."""

import re
from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest

from tests.runtime import gpu_kit
from tests.runtime.browser_kit import SPEC, Site
from tests.runtime.gpu_kit import LIMITS, ON_GPU, Bundles, case_files, run_model
from tests.runtime.test_browser_models import MODELS

pytestmark = pytest.mark.browser

call, gpu_call = partial(gpu_kit.call, "webgl_page"), partial(gpu_kit.call, "gpu_page")

FRAMES = 800


@pytest.fixture
def page(site: Site, gpu: Any) -> Iterator[Any]:
    """A page that must not write to its console; `call` runs a function of webgl_page.js or gpu_page.js in it."""
    context = gpu.new_context()
    lines: list[str] = []
    try:
        page = context.new_page()
        page.set_default_timeout(300_000)
        page.on("console", lambda message: lines.append(message.text))
        page.goto(site.url)
        yield page
    finally:
        context.close()
    assert not [line for line in lines if "WebGL" in line or "performance" in line], lines[:3]


@pytest.mark.parametrize("precision", LIMITS)
def test_every_operator_case(precision: str, page: Any) -> None:
    wish = {"backend": "webgl", "precision": precision, "files": case_files()}
    outcomes = gpu_call(page, "checkCases", wish)
    assert not [one for one in outcomes if one["error"]]
    assert not [one for one in outcomes if not one["worst"] <= max(LIMITS[precision], one["tol"])]
    assert sum(one["steps"] > 0 for one in outcomes) >= ON_GPU


@pytest.mark.shared
@pytest.mark.parametrize("name", MODELS)
def test_real_model_matches_paddle(name: str, bundles: Bundles, site: Site, page: Any) -> None:
    _, worst = run_model("webgl", name, bundles, site, page, precision="float32", worker=False)
    assert worst <= LIMITS["float32"]


@pytest.mark.shared
def test_float16_that_would_be_wrong_is_not_used(bundles: Bundles, site: Site, page: Any) -> None:
    gpu_kit.hold_to_float32("webgl", bundles, site, page)


@pytest.mark.shared
def test_a_worker_computes_the_same(bundles: Bundles, site: Site, page: Any) -> None:
    told, worst = run_model("webgl", "face_mtcnn_onet", bundles, site, page, precision="float32", worker=True)
    assert told["bytes"] > 0
    assert worst <= LIMITS["float32"]


def test_a_lost_context_is_replaced_and_the_frame_computed_again(page: Any) -> None:
    told = call(page, "loseContext", "/small")
    assert told["same"]
    assert told["opened"] == 3


def test_a_context_lost_for_good_is_one_typed_error(page: Any) -> None:
    told = call(page, "loseContextForGood", "/small")
    assert told["typed"]
    assert told["code"] == "no_backend"
    assert told["again"] is True


def test_two_models_share_a_context_and_the_last_frees_it(page: Any) -> None:
    told = call(page, "shareContext", "/small")
    assert told == {"shared": True, "alive": True, "same": True, "gone": True, "bytes": 0}


def test_hundreds_of_frames_leave_nothing_behind(page: Any) -> None:
    told = call(page, "runMany", {"address": "/small", "frames": FRAMES})
    assert told["wrong"] == 0
    assert told["grown"] == 0
    assert told["end"] == told["after"]
    assert told["end"]["Texture"] > 0
    left = {kind: count for kind, count in told["kept"].items() if kind not in ("Program", "Shader", "Buffer")}
    assert not any(left.values()), told["kept"]  # programs and buffers wait for the next model


def test_plans_of_many_shapes_do_not_add_up(page: Any) -> None:
    told = call(page, "manyShapes", "/small")
    assert told["plans"] == 4
    assert max(told["sizes"][8:]) <= max(told["sizes"][:8]) * 1.5


def test_an_error_in_a_shader_names_its_line(page: Any) -> None:
    told = call(page, "refuseShader", "/small")
    assert told["code"] == "no_backend"
    assert re.search(r"syntax error ← line \d+: result = v;", told["message"])
    assert "conv of conv2d" in told["message"] or "move of" in told["message"]
    assert told["again"] == "ran"


def test_a_profile_names_every_step(page: Any) -> None:
    steps = call(page, "profile", "/small")
    assert [step["kind"] for step in steps if step["on"] == "gpu"].count("conv") == 1
    assert all(step["ms"] >= 0 and step["bytes"] > 0 for step in steps)


PICTURES = [
    SPEC,
    SPEC | {"interpolation": "area", "channels": "bgr", "layout": "nhwc"},
    SPEC | {"resize": "fit", "size": [24, 40], "padValue": 114, "interpolation": "nearest"},
    SPEC | {"resize": "short", "size": [30, 30], "crop": [28, 28], "channels": "gray", "mean": [0.4], "std": [0.2]},
    SPEC | {"resize": "limit", "size": None, "limit": {"side": 96, "type": "max", "multiple": 32}},
]


def test_pictures_become_the_same_tensors_on_the_gpu(page: Any) -> None:
    worst = call(page, "checkPictures", PICTURES)
    assert len(worst) == 2 * len(PICTURES)
    assert max(worst) <= 0.05  # of the 255 levels; 1 is allowed


def test_what_a_driver_computes_wrongly_is_computed_by_wasm(page: Any) -> None:
    told = call(page, "wrongDriver", "/small")
    assert told["reasons"] == ["this GPU computes it wrongly"]
    assert told["on"] == ["wasm"]
    assert told["same"]

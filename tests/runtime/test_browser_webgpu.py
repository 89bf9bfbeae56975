"""WebGPU in Chromium, its GPU computed by the CPU: operator cases, real models, and the life of a device."""

from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest

from tests.runtime import gpu_kit
from tests.runtime.browser_kit import Site
from tests.runtime.gpu_kit import LIMITS, ON_GPU, Bundles, case_files, run_model
from tests.runtime.test_browser_models import MODELS

pytestmark = pytest.mark.browser

call, gpu_call = partial(gpu_kit.call, "webgpu_page"), partial(gpu_kit.call, "gpu_page")

FRAMES = 2_000
HALF = ("cls_shufflenetv2_x0_25_pir", "face_mtcnn_onet")
"""Models that are run in float16, too."""


@pytest.fixture(scope="module")
def page(site: Site, gpu: Any) -> Iterator[Any]:
    """One page for all tests, whose device keeps its programs."""
    context = gpu.new_context()
    try:
        page = context.new_page()
        page.set_default_timeout(300_000)
        page.goto(site.url)
        gpu_call(page, "keep", "webgpu")
        yield page
    finally:
        context.close()


@pytest.fixture
def fresh(site: Site, gpu: Any) -> Iterator[Any]:
    """A page of its own: what it does to the device harms no other test."""
    context = gpu.new_context()
    try:
        page = context.new_page()
        page.set_default_timeout(120_000)
        page.goto(site.url)
        yield page
    finally:
        context.close()


@pytest.mark.parametrize("precision", LIMITS)
def test_every_operator_case(precision: str, page: Any) -> None:
    wish = {"backend": "webgpu", "precision": precision, "files": case_files()}
    outcomes = gpu_call(page, "checkCases", wish)
    assert not [one for one in outcomes if one["error"]]
    assert not [one for one in outcomes if one["worst"] is None or one["worst"] > max(LIMITS[precision], one["tol"])]
    assert sum(one["steps"] > 0 for one in outcomes) >= ON_GPU


@pytest.mark.shared
@pytest.mark.parametrize("name", MODELS)
def test_real_model_matches_paddle(name: str, bundles: Bundles, site: Site, page: Any) -> None:
    told, worst = run_model("webgpu", name, bundles, site, page, precision="float32", worker=False)
    assert told["numerics"]["precision"] == "float32"
    assert worst <= LIMITS["float32"]
    assert told["bytes"] > 0 == told["left"]


@pytest.mark.shared
@pytest.mark.parametrize("name", HALF)
def test_float16_says_how_far_it_is_off(name: str, bundles: Bundles, site: Site, page: Any) -> None:
    told, worst = run_model("webgpu", name, bundles, site, page, precision="float16", worker=False)
    assert told["numerics"]["precision"] == "float16"
    assert 0 < told["numerics"]["error"] <= told["numerics"]["tolerance"] == LIMITS["float16"]
    assert worst <= LIMITS["float16"]


@pytest.mark.shared
def test_float16_that_would_be_wrong_is_not_used(bundles: Bundles, site: Site, page: Any) -> None:
    gpu_kit.hold_to_float32("webgpu", bundles, site, page)


@pytest.mark.shared
def test_a_worker_computes_the_same(bundles: Bundles, site: Site, page: Any) -> None:
    _, worst = run_model("webgpu", "face_mtcnn_onet", bundles, site, page, precision="float32", worker=True)
    assert worst <= LIMITS["float32"]


def test_a_lost_device_is_replaced_and_the_frame_computed_again(fresh: Any) -> None:
    assert call(fresh, "loseDevice", "/small") == {"same": True, "opened": 3}


def test_a_device_lost_for_good_is_one_typed_error(fresh: Any) -> None:
    assert call(fresh, "loseDeviceForGood", "/small") == {"typed": True, "code": "no_backend", "again": True}


def test_two_models_share_a_device_and_the_last_frees_it(fresh: Any) -> None:
    told = call(fresh, "shareDevice", "/small")
    assert told == {"shared": True, "same": True, "gone": "destroyed", "bytes": 0}


@pytest.mark.parametrize(("frames", "side"), [(FRAMES, 7), (160, 150)])
def test_thousands_of_frames_leave_nothing_behind(frames: int, side: int, fresh: Any) -> None:
    told = call(fresh, "runMany", {"address": "/small", "frames": frames, "side": side})
    assert told["wrong"] == told["grown"] == told["left"] == 0
    assert told["end"] == told["after"] > 0


def test_plans_of_many_shapes_do_not_add_up(fresh: Any) -> None:
    told = call(fresh, "manyShapes", "/small")
    assert told["plans"] == 4
    assert [one["shapes"] for one in told["sizes"]] == [
        [f"{high + i}x{46 - high - i}" for i in range(8)] for high in range(8, 40, 8)
    ]
    assert told["sizes"][-1]["bytes"] <= 1.5 * told["sizes"][0]["bytes"]


def test_calls_do_not_wait_for_one_another_and_are_answered_in_order(fresh: Any) -> None:
    told = call(fresh, "inFlight", "/small")
    assert told["same"]
    assert told["order"] == list(range(20))
    assert (told["last"], told["late"]) == ("ran", "disposed")


def test_an_error_in_a_shader_names_its_line(fresh: Any) -> None:
    told = call(fresh, "refuseShader")
    assert told["code"] == "no_backend"
    assert "in line 3: let a = nothing;" in told["message"]
    assert "conv2d (y)" in told["message"]


def test_a_profile_names_every_step(fresh: Any) -> None:
    steps = call(fresh, "profile", "/small")
    assert [step["kind"] for step in steps if step["on"] == "gpu"].count("conv") == 1
    assert all(step["ms"] >= 0 and step["bytes"] > 0 for step in steps)


def test_pictures_become_the_same_tensors_as_on_the_host(fresh: Any) -> None:
    told = call(fresh, "preparePictures")
    assert told["sources"] == ["pixels", "bitmap", "canvas"]
    assert told["checked"] == 36
    assert told["worst"] <= 1


def test_a_model_takes_pictures_on_the_gpu(fresh: Any) -> None:
    told = call(fresh, "feedPictures", "/small")
    assert told["onGpu"] == 6
    assert told["worst"] <= 0.05  # a level of 1/255 in every pixel, through the network
    assert told["held"] > 0 == told["left"]

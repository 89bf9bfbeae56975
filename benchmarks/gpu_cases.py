"""Operator cases and real models on WebGPU and WebGL, float32 and float16, held to Paddle on a host with a GPU.

    python benchmarks/gpu_cases.py MODELS --pack FOLDER [--mb 30] [--runs 30] [--only NAME]... [--patience 60]

MODELS holds folders of models with ref.npz, what Paddle was given and gave (../shared/models). FOLDER/0, FOLDER/1 …
get page.tar.gz and host.py each, at most --mb of models in each; the operator cases go with the first. In each of them,
on a host that has Python and Chromium, and neither network nor this repository:

    CHROME=/path/to/chromium python3 host.py --limit 300 [CHROMIUM FLAG ...]

prints one line per backend and precision for the cases, one per model, and {"done": true} at the end. The tests hold
the same with a GPU that is the CPU. --only cuts it short: families of cases and models by name.
"""

import argparse
import json
import shutil
import sys
import tarfile
import tempfile
from pathlib import Path

REPO = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(REPO)]

from benchmarks.gpu import copy_runtime  # noqa: E402
from tests.runtime.gpu_kit import LIMITS, Bundles, case_files, packed, script_files  # noqa: E402
from tests.runtime.test_browser_models import DETECTORS, MODELS, reference  # noqa: E402
from tests.runtime.test_browser_webgl import PICTURES  # noqa: E402

KEPT = REPO / "benchmarks" / ".cache" / "checked"
SCRIPT = "gpu_cases_page.js"
PAGE = (
    "<!doctype html><meta charset=utf-8><title>cases</title><link rel=icon href=data:,>"
    f"<script type=module src=/benchmarks/{SCRIPT}></script>"
)


def shares(names: list[str], sizes: dict[str, int], most: int) -> list[list[str]]:
    """The names in order, in as few even portions as keep each at `most` bytes, as far as single ones allow."""
    total = sum(sizes[name] for name in names)
    portions: list[list[str]] = [[] for _ in range(max(1, -(-total // most)))]
    before = 0
    for name in names:
        portions[min(len(portions) - 1, before * len(portions) // max(1, total))].append(name)
        before += sizes[name]
    return portions


def add_model(folder: Path, name: str, bundles: Bundles) -> None:
    """A model's bundle with its check vector, and what Paddle gave."""
    (folder / name).mkdir(parents=True)
    for leaf, body in bundles.of(name, checked=True).items():
        (folder / name / leaf).write_bytes(body)
    inputs, outputs = reference(bundles.models / name)
    told = {"inputs": packed(inputs), "outputs": packed(outputs)}
    (folder / name / "reference.json").write_text(json.dumps(told))


def fill(folder: Path, models: list[str], cases: list[str], bundles: Bundles, given: argparse.Namespace) -> None:
    """Everything one page needs, at the addresses that the tests' scripts have in this repository."""
    copy_runtime(folder)
    for below, files in script_files().items():
        (folder / below).mkdir(parents=True)
        for leaf, body in files.items():
            (folder / below / leaf).write_bytes(body)
    (folder / "benchmarks").mkdir()
    shutil.copy(REPO / "benchmarks" / SCRIPT, folder / "benchmarks")
    for name in models:
        add_model(folder / "models", name, bundles)
    sure = [{"name": name} | ({"sure": DETECTORS[name]} if name in DETECTORS else {}) for name in models]
    wish = {"cases": cases, "pictures": PICTURES if cases else [], "models": sure, "limits": LIMITS}
    (folder / "wish.json").write_text(json.dumps(wish | {"runs": given.runs, "patience_s": given.patience}))
    (folder / "index.html").write_text(PAGE)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", type=Path)
    parser.add_argument("--pack", type=Path, required=True)
    parser.add_argument("--mb", type=float, default=30)
    parser.add_argument("--runs", type=int, default=30)
    parser.add_argument("--only", action="append", default=[])
    parser.add_argument("--patience", type=float, default=60, help="seconds for a file of cases or a model")
    given = parser.parse_args()
    models = [name for name in MODELS if not given.only or name in given.only]
    cases = [file for file in case_files() if not given.only or Path(file).stem in given.only]
    KEPT.mkdir(parents=True, exist_ok=True)
    bundles = Bundles(given.models, KEPT)
    sizes = {name: sum(map(len, bundles.of(name, checked=True).values())) for name in models}
    for i, portion in enumerate(shares(models, sizes, int(given.mb * 1e6))):
        out = given.pack / str(i)
        out.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix="inpage-gpu-") as scratch:
            fill(Path(scratch) / "page", portion, [] if i else cases, bundles, given)
            with tarfile.open(out / "page.tar.gz", "w:gz", compresslevel=6) as archive:
                archive.add(Path(scratch) / "page", arcname=".")
        shutil.copy(REPO / "benchmarks" / "peers" / "host.py", out)
        print(f"{(out / 'page.tar.gz').stat().st_size / 1e6:.1f} MB in {out}: {', '.join(portion)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())

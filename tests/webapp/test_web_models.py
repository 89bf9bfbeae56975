"""The bundles on disk: described when sound, refused with a reason when not, never a way to other files."""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from webapp.models import Models


def only(models: Models):
    (bundle,) = models.all()
    return bundle


def test_a_sound_bundle_is_described(make_bundle: Callable[..., Path], client_of):
    folder = make_bundle("small")
    entry = next(m for m in client_of().get("/api/models").json["models"] if m["name"] == "small")
    assert entry["ready"] is True
    assert entry["bytes"] == sum(path.stat().st_size for path in folder.iterdir())
    assert entry["inputs"] == [{"name": "x", "shape": ["x.0", 3, 8, 8], "dtype": "float32"}]
    assert entry["outputs"][0]["name"] == "y"
    assert (entry["labels"], entry["operators"], entry["operatorTypes"]) == (2, 1, ["relu"])
    assert entry["url"] == "/models/small/"


def test_files_are_served_by_name_and_by_version(make_bundle: Callable[..., Path], client_of):
    folder = make_bundle("small")
    client = client_of()
    entry = next(m for m in client.get("/api/models").json["models"] if m["name"] == "small")
    for name in ("model.json", "chunk_1.dat", "chunk_2.dat"):
        plain, immutable = client.get(entry["url"] + name), client.get(entry["immutableUrl"] + name)
        assert plain.data == immutable.data == (folder / name).read_bytes()
        assert "immutable" in immutable.headers["Cache-Control"]
        assert "must-revalidate" in plain.headers["Cache-Control"]
    assert client.get("/models/small/0123456789abcdef/model.json").status_code == 404


def test_a_check_vector_is_served_too(make_bundle: Callable[..., Path], client_of):
    entry = {"file": "check.dat", "bytes": 3, "sha256": hashlib.sha256(b"abc").hexdigest()}
    folder = make_bundle("small", check=entry)
    (folder / "check.dat").write_bytes(b"abc")
    client = client_of()
    assert client.get("/models/small/check.dat").data == b"abc"
    assert make_bundle("odd", check={**entry, "file": "../check.dat"})
    assert client.get("/models/odd/check.dat").status_code == 404


def test_a_changed_bundle_gets_a_new_address(make_bundle: Callable[..., Path], client_of):
    folder = make_bundle("small")
    client = client_of()
    before = client.get("/models/small/model.json").headers["ETag"]
    model = json.loads((folder / "model.json").read_text())
    (folder / "model.json").write_text(json.dumps({**model, "labels": ["bird"]}))
    after = client.get("/models/small/model.json")
    assert after.headers["ETag"] != before and after.json["labels"] == ["bird"]


def write(name: str, content: bytes) -> Callable[[Path], object]:
    return lambda folder: (folder / name).write_bytes(content)


def edit(**changes) -> Callable[[Path], object]:
    def apply(folder: Path) -> None:
        path = folder / "model.json"
        path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))

    return apply


def flip(folder: Path) -> None:
    data = bytearray((folder / "chunk_1.dat").read_bytes())
    data[10] ^= 1
    (folder / "chunk_1.dat").write_bytes(data)


DAMAGE = {
    "truncated JSON": (write("model.json", b'{"format": "paddle-in'), "not valid JSON"),
    "empty file": (write("model.json", b""), "not valid JSON"),
    "binary": (write("model.json", b"\x80\x02\x03"), "not valid JSON"),
    "deep nesting": (write("model.json", b"[" * 100_000), "not valid JSON"),
    "not an object": (write("model.json", b"[]"), "not a JSON object"),
    "another converter's": (edit(format=None), "not written by this converter"),
    "a later version": (edit(formatVersion=2), "format version 2"),
    "missing chunk": (lambda folder: (folder / "chunk_2.dat").unlink(), "chunk_2.dat is missing"),
    "short chunk": (write("chunk_2.dat", b"1"), "chunk_2.dat has 1 bytes; model.json says 100"),
    "flipped bit": (flip, "chunk_1.dat is damaged"),
    "no chunks": (edit(chunks=None), "no list of chunks"),
    "chunk outside": (edit(chunks=[{"file": "../x.dat", "bytes": 1, "sha256": ""}]), "only chunk_N.dat"),
    "chunk absolute": (edit(chunks=[{"file": "/etc/hostname", "bytes": 1, "sha256": ""}]), "only chunk_N.dat"),
    "chunk without name": (edit(chunks=[{}]), "only chunk_N.dat"),
    "check vector missing": (edit(check={"file": "check.dat", "bytes": 3, "sha256": ""}), "check.dat is missing"),
    "no operators": (edit(ops="relu"), "no list of operators"),
    "no inputs": (edit(inputs=None), "no list of inputs"),
    "nameless output": (edit(outputs=[{"shape": [1], "dtype": "float32"}]), "without name or dtype"),
    "shapeless input": (edit(inputs=[{"name": "x", "dtype": "float32"}]), "no shape for 'x'"),
}


@pytest.mark.parametrize("case", DAMAGE)
def test_a_damaged_bundle_is_listed_with_its_reason(make_bundle: Callable[..., Path], client_of, case: str):
    damage, reason = DAMAGE[case]
    damage(make_bundle("broken"))
    client = client_of()
    entry = next(m for m in client.get("/api/models").json["models"] if m["name"] == "broken")
    assert entry["ready"] is False and reason in entry["problem"]
    assert client.get("/models/broken/model.json").status_code == 404
    page = client.get("/")
    assert page.status_code == 200 and b"Cannot be used:" in page.data


def test_a_repaired_bundle_is_served_again(make_bundle: Callable[..., Path], client_of):
    folder = make_bundle("small")
    sound = (folder / "model.json").read_bytes()
    (folder / "model.json").write_bytes(b"{")
    client = client_of()
    assert client.get("/models/small/model.json").status_code == 404
    (folder / "model.json").write_bytes(sound)
    assert client.get("/models/small/model.json").data == sound


@pytest.mark.parametrize("name", ["two words", ".hidden", "a&b", "é", "x" * 101])
def test_names_are_limited_to_what_an_address_can_hold(make_bundle: Callable[..., Path], tmp_path: Path, name: str):
    make_bundle(name)
    assert "name may hold only" in only(Models([tmp_path / "models"])).problem


def test_a_hostile_folder_name_is_escaped_in_the_page(make_bundle: Callable[..., Path], client_of):
    make_bundle("<img src=x onerror=1>")
    assert b"<img src=x" not in client_of().get("/").data


@pytest.mark.parametrize(
    "path",
    ["small/../small/model.json", "../secret.txt", "small/../../secret.txt", "small/..%2f..%2fsecret.txt",
     "small/notes.txt", "small/", "small", "..", "%2e%2e/secret.txt", "small//etc/hostname"],
)  # fmt: skip
def test_only_the_bundles_own_files_are_served(make_bundle: Callable[..., Path], client_of, tmp_path: Path, path: str):
    (make_bundle("small") / "notes.txt").write_text("private")
    (tmp_path / "secret.txt").write_text("private")
    answer = client_of().get(f"/models/{path}")
    assert answer.status_code in (404, 308) and b"private" not in answer.data


def test_the_first_folder_wins_a_name(make_bundle: Callable[..., Path], tmp_path: Path):
    first = make_bundle("same")
    second = tmp_path / "others"
    second.mkdir()
    (second / "same").symlink_to(first)
    good, refused = Models([tmp_path / "models", second]).all()
    assert good.folder == first and not good.problem
    assert "another folder already has" in refused.problem


def test_a_bundle_can_be_configured_itself(make_bundle: Callable[..., Path]):
    assert only(Models([make_bundle("alone")])).name == "alone"


def test_a_missing_folder_is_said(tmp_path: Path):
    assert "does not exist" in only(Models([tmp_path / "nowhere"])).problem


def test_unchanged_bundles_are_not_hashed_again(make_bundle: Callable[..., Path], tmp_path: Path):
    make_bundle("small")
    models = Models([tmp_path / "models"])
    assert only(models) is only(models)

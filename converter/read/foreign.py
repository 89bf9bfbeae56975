"""What people name by mistake instead of a Paddle model: what it is, and what to do with it."""

from __future__ import annotations

from pathlib import Path

from converter.errors import ConvertError

_HEAD_BYTES = 512
_LISTED = 4
_EXPORT = "build the network in Python, load them into it (set_state_dict), and export it: " \
          "paddle.jit.save(layer, 'folder/inference', input_spec=[…])"
_FROM_OTHERS = "name the Paddle model that it was made from, or make one of it with X2Paddle"
_UNPACK = "unpack it and name the folder with the model"
_PICTURES = "name the model; pictures go to --calibrate or to run --input"

# Suffixes | what it is | what to do.
_SUFFIXES: list[tuple[tuple[str, ...], str, str]] = [
    ((".pdparams", ".pdopt", ".pdstates"), "these are a state dict's weights, without the network", _EXPORT),
    ((".pdiparams.info",), "this only describes weights", "name the program beside it, or the folder"),
    ((".onnx",), "this is an ONNX model", _FROM_OTHERS),
    ((".pt", ".pth", ".ckpt", ".safetensors"), "these are weights of another framework (PyTorch)", _FROM_OTHERS),
    ((".h5", ".hdf5", ".keras", ".tflite", ".pb"), "this is a TensorFlow model", _FROM_OTHERS),
    ((".nb",), "this is a model optimised for Paddle Lite, which cannot be read back",
     "name the .pdmodel that it was made from"),
    ((".yml", ".yaml"), "this is a configuration", "name the exported model, or the folder that holds it"),
    ((".py",), "this is Python source", "export the model with paddle.jit.save, and name what that writes"),
]
# Where in the file | bytes | what it is | what to do.
_MAGIC: list[tuple[int, bytes, str, str]] = [
    (0, b"version https://git-lfs", "this is a Git LFS pointer, not the file itself", "fetch the file: git lfs pull"),
    (0, b"PK\x03\x04", "this is a zip archive, which is also what PyTorch saves", _UNPACK),
    (0, b"\x1f\x8b", "this is a gzip archive", _UNPACK),
    (0, b"BZh", "this is a bzip2 archive", _UNPACK),
    (0, b"7z\xbc\xaf", "this is a 7z archive", _UNPACK),
    (257, b"ustar", "this is a tar archive", _UNPACK),
    (0, b"\x80\x02", "this is a pickle, as paddle.save and old PyTorch write them, without the network", _EXPORT),
    (0, b"\x80\x04", "this is a pickle, as paddle.save writes them, without the network", _EXPORT),
    (0, b"\x89HDF", "this is an HDF5 file", _FROM_OTHERS),
    (4, b"TFL3", "this is a TensorFlow Lite model", _FROM_OTHERS),
    (0, b"\xff\xd8\xff", "this is a picture", _PICTURES),
    (0, b"\x89PNG", "this is a picture", _PICTURES),
]


def refuse_foreign(path: Path) -> None:
    """ConvertError where a file is plainly of another kind than any that this reads."""
    known = _by_suffix(path) or _by_content(path)
    if known is not None:
        raise ConvertError(known[0], where=str(path), hint=known[1])


def _by_suffix(path: Path) -> tuple[str, str] | None:
    return next(((what, hint) for suffixes, what, hint in _SUFFIXES if path.name.endswith(suffixes)), None)


def _by_content(path: Path) -> tuple[str, str] | None:
    with path.open("rb") as file:
        head = file.read(_HEAD_BYTES)
    for at, magic, what, hint in _MAGIC:
        if head[at:at + len(magic)] == magic:
            return what, hint
    if head.lstrip()[:9].lower().startswith((b"<!doctype", b"<html", b"<?xml")):
        return "this is a web page or XML, not a model", "the download went wrong; download the model's file again"
    return None


def in_folder_instead(folder: Path) -> tuple[str, str] | None:
    """What a folder without a model holds that explains it; None where nothing does."""
    files = sorted(file for file in folder.iterdir() if file.is_file())
    weights = [file.name for file in files if file.suffix == ".pdiparams" or file.name in ("params", "__params__")]
    if weights:
        return f"there are weights ({_shown(weights)}), but no program in this folder", \
            "copy the .json or .pdmodel file that was exported with them beside them"
    for file in files:
        known = _by_suffix(file)
        if known is not None and file.suffix not in (".yml", ".yaml", ".py"):
            return f"there is no model in this folder, but {file.name}: {known[0]}", known[1]
    below = sorted(str(file.parent.relative_to(folder)) for pattern in ("*/", "*/*/") for name in
                   ("inference.json", "*.pdmodel", "__model__", "model.json") for file in folder.glob(pattern + name))
    if below:
        return "there is no model in this folder, but below it", \
            f"name one of these folders: {_shown(list(dict.fromkeys(below)))}"
    return None


def _shown(names: list[str]) -> str:
    return ", ".join(names[:_LISTED]) + (f" and {len(names) - _LISTED} more" if len(names) > _LISTED else "")

"""Every setting of the server, once: name, default and help. The README's table is made from this list.

A setting `port` is read from the environment as `INPAGE_PORT` and offered as `--port` by `python -m webapp`.
"""

import math
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

PREFIX = "INPAGE_"


class SettingError(ValueError):
    """A setting has a value that cannot be used; the message names the setting and what it accepts."""


@dataclass(frozen=True)
class Setting:
    """One setting; `parse` turns its text into the value, raising ValueError with what it accepts."""

    name: str
    default: str
    help: str
    parse: Callable[[str], Any]

    @property
    def variable(self) -> str:
        """The environment variable that sets it."""
        return PREFIX + self.name.upper()

    def value(self, text: str) -> Any:
        """The parsed value of `text`; SettingError when it cannot be used."""
        try:
            return self.parse(text.strip())
        except ValueError as error:
            raise SettingError(f"{self.variable}={text!r} cannot be used: {error}") from error


def whole(low: int, high: int) -> Callable[[str], int]:
    """A parser of whole numbers from `low` to `high`."""

    def parse(text: str) -> int:
        if not text.isdecimal() or not low <= int(text) <= high:
            raise ValueError(f"it takes a whole number from {low} to {high}")
        return int(text)

    return parse


def one_of(*names: str) -> Callable[[str], str]:
    """A parser of one of the given words."""

    def parse(text: str) -> str:
        if text not in names:
            raise ValueError(f"it takes one of {', '.join(names)}")
        return text

    return parse


def switch(text: str) -> bool:
    """Parse `1` or `0`."""
    return one_of("0", "1")(text) == "1"


def share(text: str) -> float:
    """Parse a number above 0, up to 1."""
    if not re.fullmatch(r"(0\.\d{1,9}|1(\.0*)?|\d(\.\d+)?e-\d)", text) or not 0 < float(text) <= 1:
        raise ValueError("it takes a number above 0, up to 1, such as 0.01")
    return float(text)


def hostname(text: str) -> str:
    """Parse an address to listen on."""
    if not text or any(c.isspace() or c == "/" for c in text):
        raise ValueError("it takes a host name or an IP address")
    return text


def folders(text: str) -> list[str]:
    """Parse folders separated by the system's path separator; whether they exist is seen when they are scanned."""
    return [part for part in text.split(os.pathsep) if part]


def packages(text: str) -> str:
    """Parse nothing, or a folder of npm packages with ONNX Runtime Web in it."""
    if text and not Path(text, "onnxruntime-web", "dist").is_dir():
        raise ValueError("it takes a node_modules folder; run `npm install onnxruntime-web` beside it")
    return text


def several_of(*names: str) -> Callable[[str], list[str]]:
    """A parser of one or more of the given words, separated by commas, each at most once."""

    def parse(text: str) -> list[str]:
        words = [word.strip() for word in text.split(",")]
        if not set(words) <= set(names) or len(set(words)) != len(words):
            raise ValueError(f"it takes some of {', '.join(names)}, separated by commas")
        return words

    return parse


def address(text: str) -> str:
    """Parse nothing, or the address of a server without a path."""
    if text and not re.fullmatch(r"https?://[^\s/?#@]+/?", text):
        raise ValueError("it takes an address such as http://10.0.0.5:8000")
    return text.rstrip("/")


def origins(text: str) -> list[str]:
    """Parse `*`, or origins separated by commas."""
    found = [part.strip().rstrip("/") for part in text.split(",") if part.strip()]
    if found != ["*"] and not all(re.fullmatch(r"https?://[^\s/?#@*]+", origin) for origin in found):
        raise ValueError("it takes origins such as https://example.com, separated by commas, or *")
    return found


def keys(text: str) -> list[str]:
    """Parse keys separated by commas; a short one could be guessed."""
    found = [part.strip() for part in text.split(",") if part.strip()]
    if not all(re.fullmatch(r"[\x21-\x7e]{16,200}", key) for key in found):
        raise ValueError("it takes keys of 16 to 200 printable characters, separated by commas")
    return found


SETTINGS = (
    Setting("host", "127.0.0.1", "Address to listen on. Keep the default behind a proxy.", hostname),
    Setting("port", "8000", "Port to listen on; 0 takes a free one.", whole(0, 65535)),
    Setting("models", "", "Extra folders of bundles, separated as in `PATH`.", folders),
    Setting("workers", "1", "Server processes.", whole(1, 64)),
    Setting("threads", "96", "Threads in each process; what the CPU's queue leaves may be at the GPU.", whole(1, 256)),
    Setting("timeout_s", "30", "A process that answers nothing for so long is replaced.", whole(1, 3600)),
    Setting("grace_s", "20", "How long a stopping process may finish what it is doing.", whole(1, 3600)),
    Setting("max_body_kb", "64", "A request body above this is refused with 413.", whole(0, 1 << 20)),
    Setting("engines", "tensorrt,onnx,paddle", "What runs models, in this order; `remote` is another server.",
            several_of("tensorrt", "onnx", "paddle", "remote")),
    Setting("remote_url", "", "Another server with the same protocol, for the engine `remote`.", address),
    Setting("remote_timeout_s", "10", "How long that server may take.", whole(1, 3600)),
    Setting("trt_precision", "fp16", "On the GPU: fp32, fp16 or int8.", one_of("fp32", "fp16", "int8")),
    Setting("trt_tolerance", "0.01", "How far an engine may be off, of an output's range.", share),
    Setting("trt_measure", "largest", "Which error that is: the largest, or the typical one (root mean square).",
            one_of("largest", "typical")),
    Setting("trt_calibration", "", "Folder of pictures (or .npz) that int8 is calibrated with.", str),
    Setting("trt_cache", "", "Folder of built engines; by default in the user's cache.", str),
    Setting("trt_cache_mb", "4096", "Of more engines, those unused for longest are removed; 0: never.",
            whole(0, 1 << 24)),
    Setting("trt_quick", "0", "1: shorter builds, perhaps slower engines.", switch),
    Setting("batch_rows", "32", "On the GPU: requests that run together at most.", whole(1, 1024)),
    Setting("batch_wait_ms", "2", "How long the first of them waits for others.", whole(0, 1000)),
    Setting("batch_queue", "128", "Requests that may wait for the GPU; above it, 429.", whole(0, 65536)),
    Setting("scan_s", "5", "Seconds between looks for new model versions; 0 looks only at start.", whole(0, 3600)),
    Setting("runs", "2", "Models running at the same time in each process.", whole(1, 256)),
    Setting("queue", "24", "Requests that may wait for that in each process; above it, 429.", whole(0, 4096)),
    Setting("deadline_ms", "5000", "A request that waited longer is answered 504 and not run.", whole(1, 3_600_000)),
    Setting("max_infer_kb", "16384", "The same limit as `INPAGE_MAX_BODY_KB`, for running a model.", whole(1, 1 << 20)),
    Setting("bodies_mb", "512", "Bodies above 1 MB in memory at the same time in each process; above it, 429.",
            whole(1, 1 << 20)),
    Setting("max_megapixels", "24", "A larger picture is refused with 413 before it is decoded.", whole(1, 1000)),
    Setting("max_dimension", "16384", "The longest side of a picture, and of a tensor.", whole(1, 1 << 30)),
    Setting("rate_per_s", "50", "Model runs per second and client; 0: any number.", whole(0, 1_000_000)),
    Setting("burst", "100", "How many of them may come at once.", whole(1, 1_000_000)),
    Setting("client_timeout_s", "20", "How long a client may take to send a request.", whole(1, 3600)),
    Setting("drain_s", "5", "On SIGTERM: how long to say not ready, still serving, before stopping.", whole(0, 3600)),
    Setting("api_keys", "", "Keys, separated by commas; one of them is then needed to run models.", keys),
    Setting("origins", "", "Origins of other sites that may use this server, or `*`.", origins),
    Setting("proxies", "0", "Proxies in front whose `X-Forwarded-For` is believed.", whole(0, 10)),
    Setting("peers", "", "A node_modules folder with `onnxruntime-web`, for `/lab` to compare with.", packages),
    Setting("state_dir", "", "Folder for counters of all processes; by default a new one in memory.", str),
    Setting("log_format", "json", "json (one object per line) or text.", one_of("json", "text")),
    Setting("log_level", "info", "debug, info, warning or error.", one_of("debug", "info", "warning", "error")),
    Setting("reload", "0", "1: notice changed files and templates without a restart; for development.", switch),
)


def read(overrides: Mapping[str, Any] | None = None, environ: Mapping[str, str] | None = None) -> dict[str, Any]:
    """All settings by name: `overrides` first (already parsed values), then the environment, then the defaults.

    Raises SettingError on a value that cannot be used, an override with an unknown name, or an unknown
    `INPAGE_` variable: a misspelt setting must not be silently without effect.
    """
    environ = os.environ if environ is None else environ
    overrides = dict(overrides or {})
    known = {setting.name: setting for setting in SETTINGS}
    variables = {setting.variable for setting in SETTINGS}
    unknown = sorted(name for name in environ if name.startswith(PREFIX) and name not in variables)
    unknown += sorted(name for name in overrides if name not in known)
    if unknown:
        raise SettingError(f"unknown setting {', '.join(unknown)}; known are {', '.join(sorted(variables))}")
    values = {
        name: overrides[name] if name in overrides else setting.value(environ.get(setting.variable, setting.default))
        for name, setting in known.items()
    }
    check_together(values)
    return values


def check_together(values: Mapping[str, Any]) -> None:
    """Raise SettingError when settings that are fine alone do not fit each other."""
    if values["runs"] + values["queue"] >= values["threads"]:
        raise SettingError(
            f"INPAGE_THREADS={values['threads']} leaves no thread to answer while INPAGE_RUNS={values['runs']} run and "
            f"INPAGE_QUEUE={values['queue']} wait; take at least {values['runs'] + values['queue'] + 4} threads"
        )
    if values["bodies_mb"] * 1024 < values["max_infer_kb"]:
        raise SettingError(
            f"INPAGE_BODIES_MB={values['bodies_mb']} does not hold one body of INPAGE_MAX_INFER_KB="
            f"{values['max_infer_kb']}; take at least {math.ceil(values['max_infer_kb'] / 1024)}"
        )
    if "remote" in values["engines"] and not values["remote_url"]:
        raise SettingError("INPAGE_ENGINES names remote; set INPAGE_REMOTE_URL to the address of the other server")


def markdown_table() -> str:
    """The settings as the README shows them."""
    rows = [f"| `{s.variable}` | {f'`{s.default}`' if s.default else 'none'} | {s.help} |" for s in SETTINGS]
    return "\n".join(["| setting | default | meaning |", "|---|---|---|", *rows])


if __name__ == "__main__":
    print(markdown_table())

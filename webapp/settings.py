"""Every setting of the server, once: name, default and help. The README's table is made from this list.

A setting `port` is read from the environment as `INPAGE_PORT` and offered as `--port` by `python -m webapp`.
"""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
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


def hostname(text: str) -> str:
    """Parse an address to listen on."""
    if not text or any(c.isspace() or c == "/" for c in text):
        raise ValueError("it takes a host name or an IP address")
    return text


def folders(text: str) -> list[str]:
    """Parse folders separated by the system's path separator; whether they exist is seen when they are scanned."""
    return [part for part in text.split(os.pathsep) if part]


SETTINGS = (
    Setting("host", "127.0.0.1", "Address to listen on. Keep the default behind a proxy.", hostname),
    Setting("port", "8000", "Port to listen on; 0 takes a free one.", whole(0, 65535)),
    Setting("models", "", "Extra folders of bundles, separated as in `PATH`.", folders),
    Setting("workers", "1", "Server processes.", whole(1, 64)),
    Setting("threads", "8", "Threads in each process.", whole(1, 256)),
    Setting("timeout_s", "30", "A process that answers nothing for so long is replaced.", whole(1, 3600)),
    Setting("grace_s", "20", "How long a stopping process may finish what it is doing.", whole(1, 3600)),
    Setting("max_body_kb", "64", "A request body above this is refused with 413.", whole(0, 1 << 20)),
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
    return {
        name: overrides[name] if name in overrides else setting.value(environ.get(setting.variable, setting.default))
        for name, setting in known.items()
    }


def markdown_table() -> str:
    """The settings as the README shows them."""
    rows = [f"| `{s.variable}` | {f'`{s.default}`' if s.default else 'none'} | {s.help} |" for s in SETTINGS]
    return "\n".join(["| setting | default | meaning |", "|---|---|---|", *rows])


if __name__ == "__main__":
    print(markdown_table())

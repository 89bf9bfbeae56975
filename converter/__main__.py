"""The command line: arguments in, exit code out (0 done, 1 cannot, 2 usage)."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import Any, NoReturn

from converter import commands
from converter.arguments import parse
from converter.errors import ConvertError


def main(argv: list[str] | None = None) -> int:
    """Run one command; errors go to stderr as one readable message."""
    try:
        arguments = parse(sys.argv[1:] if argv is None else argv)
    except SystemExit as leave:  # argparse: 0 after --help, 2 after a mistake
        return int(leave.code or 0)
    try:
        return commands.COMMANDS[arguments.command](arguments)
    except ConvertError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except BrokenPipeError:  # the reader of our output has left (inspect | head)
        sys.stdout = Path(os.devnull).open("w")  # noqa: SIM115  (so that the exit flush is quiet)
        return 0
    except OSError as error:  # the disk is full, the folder is read-only …
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("interrupted; nothing was written", file=sys.stderr)
        return 130


def _interrupt(signum: int, frame: Any) -> NoReturn:
    """SIGTERM ends like Ctrl-C, so that temporary folders are removed."""
    raise KeyboardInterrupt


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, _interrupt)
    sys.exit(main())

"""`python -m webapp`: check the settings and the port, then hand over to gunicorn."""

import argparse
import os
import platform
import socket
import sys
from collections.abc import Mapping, Sequence

from webapp import settings
from webapp.paths import data_folder

HUGE_PAGES = "glibc.malloc.hugetlb"


def parse_arguments(arguments: Sequence[str] | None) -> dict[str, str]:
    """Settings given on the command line, as environment variables."""
    parser = argparse.ArgumentParser(
        prog="python -m webapp",
        description="Serve the pages, the runtime and the installed models.",
        epilog="Each option can also be set in the environment: --port as INPAGE_PORT.",
    )
    for setting in settings.SETTINGS:
        option = "--" + setting.name.replace("_", "-")
        help_text = f"{setting.help} Default: {setting.default or 'none'}."
        parser.add_argument(option, dest=setting.variable, metavar=setting.name.upper(), help=help_text)
    return {name: value for name, value in vars(parser.parse_args(arguments)).items() if value is not None}


def check_port(host: str, port: int) -> None:
    """Raise OSError, saying what to do, when the address cannot be listened on."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            reason = error.strerror or str(error)
            other = port + 1 if port < 65535 else 8000
            advice = f"choose another port, for example --port {other}, or 0 for a free one"
            raise OSError(f"cannot listen on {host}:{port} ({reason}); {advice}") from error


def warn_if_unbuilt() -> None:
    """A checkout that was never built serves pages whose models cannot run: say so at once."""
    if not (data_folder("static") / "runtime" / "wasm" / "kernels.wasm").is_file():
        print("warning: kernels.wasm is missing, so no model will run; `make build` makes it", file=sys.stderr)


def prepare(arguments: Sequence[str] | None, environ: Mapping[str, str]) -> dict[str, str]:
    """The environment for gunicorn_conf, all settings and the port checked."""
    given = parse_arguments(arguments)
    values = settings.read(environ={**environ, **given})
    check_port(values["host"], values["port"])
    return given


def with_huge_pages(environ: Mapping[str, str]) -> dict[str, str] | None:
    """The environment in which glibc asks for huge pages, which makes models on the CPU about a twentieth faster.

    It is read when a process starts. None where it says so already, or says not to, and where there is no glibc.
    """
    given = environ.get("GLIBC_TUNABLES", "")
    if HUGE_PAGES in given or platform.libc_ver()[0] != "glibc":
        return None
    return {**environ, "GLIBC_TUNABLES": ":".join(filter(None, [given, f"{HUGE_PAGES}=1"]))}


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit code 0 after an orderly stop, 1 when the address is taken, 2 for a setting that cannot be used."""
    try:
        os.environ.update(prepare(arguments, os.environ))
    except settings.SettingError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except OSError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    warn_if_unbuilt()

    from gunicorn.app.wsgiapp import WSGIApplication

    sys.argv = ["gunicorn", "-c", "python:webapp.gunicorn_conf"]
    WSGIApplication("%(prog)s [OPTIONS]", prog="gunicorn").run()
    return 0


if __name__ == "__main__":
    if (environment := with_huge_pages(os.environ)) is not None:
        os.execve(sys.executable, sys.orig_argv, environment)  # the same process, begun again
    sys.exit(main())

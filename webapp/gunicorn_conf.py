"""gunicorn's settings, from the same INPAGE_ variables: `gunicorn -c python:webapp.gunicorn_conf`."""

import ctypes
import os
import shutil
import signal
import tempfile
import threading
from pathlib import Path
from typing import Any

from webapp.logs import configuration
from webapp.metrics import forget_process
from webapp.pauses import forgive
from webapp.settings import read
from webapp.shared import Shared

_values = read()
_in_memory = Path("/dev/shm")
M_ARENA_MAX = -8  # of mallopt, as in malloc.h

wsgi_app = "webapp:create_app()"
bind = f"[{_values['host']}]:{_values['port']}" if ":" in _values["host"] else f"{_values['host']}:{_values['port']}"
worker_class = "webapp.gunicorn_worker.Worker"  # threads share the files and the models; a slow phone holds one thread
workers = _values["workers"]  # one shares models and batches; one for each core, with one run, gets more from CPUs
threads = _values["threads"]  # who waits holds one, so more than may run and wait; idle connections hold none
timeout = _values["timeout_s"]  # of the main loop's heartbeat: a run of a model, however long, does not miss it
graceful_timeout = _values["grace_s"]  # longer than a run and its wait in the queue
keepalive = 15  # a page loads some dozens of modules over the same connections
loglevel = _values["log_level"]
logconfig_dict = configuration(_values["log_level"], _values["log_format"])
proc_name = "paddle-inpage"
control_socket_disable = True  # nothing here uses it, and it would write to the home directory
if _in_memory.is_dir():
    worker_tmp_dir = str(_in_memory)  # the heartbeat file must not wait for a disk


def share_memory_pools() -> None:
    """glibc gives threads pools of memory of their own and seldom takes it back; two pools keep a busy server at 270 MB
    instead of 440. Where there is no glibc, nothing needs to be done.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(M_ARENA_MAX, 2)


def on_starting(server: Any) -> None:
    """Before the first process starts: an empty folder for what they share, and a gentler way to stop."""
    share_memory_pools()
    forgive(server)
    if _values["state_dir"]:
        folder = Path(_values["state_dir"])
        folder.mkdir(parents=True, exist_ok=True)
        for left in [*folder.glob("*.db"), folder / "shared"]:
            left.unlink(missing_ok=True)
    else:
        folder = Path(tempfile.mkdtemp(prefix="inpage-", dir=_in_memory if _in_memory.is_dir() else None))
    os.environ["INPAGE_STATE_DIR"] = os.environ["PROMETHEUS_MULTIPROC_DIR"] = str(folder)
    shared, stop_now = Shared(folder), server.handle_term

    def stop_soon() -> None:
        """SIGTERM: not ready from now on, still serving; who sends it twice is in a hurry."""
        server.handle_term = stop_now
        shared.stop()
        again = threading.Timer(_values["drain_s"], os.kill, (os.getpid(), signal.SIGTERM))
        again.daemon = True
        again.start()

    server.handle_term = stop_soon


def when_ready(server: Any) -> None:
    """Say where to look."""
    for listener in server.LISTENERS:
        host, port = listener.sock.getsockname()[:2]
        host = "127.0.0.1" if host in ("0.0.0.0", "::") else host
        host = f"[{host}]" if ":" in host else host
        print(f"Paddle InPage is at http://{host}:{port}/  (Ctrl-C stops it)", flush=True)


def post_worker_init(worker: Any) -> None:
    """In the background: load the models, and compress the static files before the first visitor asks for them."""
    extensions = worker.flask.extensions
    extensions["inpage_serving"].start(_values["scan_s"])
    threading.Thread(target=extensions["inpage_assets"].warm, name="compress", daemon=True).start()


def worker_exit(server: Any, worker: Any) -> None:
    """In the process that ends: let go of the models."""
    if hasattr(worker, "flask"):
        worker.flask.extensions["inpage_serving"].stop()


def child_exit(server: Any, worker: Any) -> None:
    """In the parent, after a process ended in whatever way."""
    forget_process(worker.pid, os.environ["INPAGE_STATE_DIR"])


def on_exit(server: Any) -> None:
    """After the last process ended."""
    if not _values["state_dir"]:
        shutil.rmtree(os.environ["INPAGE_STATE_DIR"], ignore_errors=True)

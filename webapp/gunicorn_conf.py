"""gunicorn's settings, from the same INPAGE_ variables: `gunicorn -c python:webapp.gunicorn_conf`."""

import threading
from pathlib import Path
from typing import Any

from webapp.settings import read

_values = read()

wsgi_app = "webapp:create_app()"
bind = f"[{_values['host']}]:{_values['port']}" if ":" in _values["host"] else f"{_values['host']}:{_values['port']}"
worker_class = "gthread"  # threads share one copy of the compressed files; a slow phone holds a thread, not a process
workers = _values["workers"]
threads = _values["threads"]
timeout = _values["timeout_s"]
graceful_timeout = _values["grace_s"]
keepalive = 15  # a page loads some dozens of modules over the same connections
loglevel = _values["log_level"]
proc_name = "paddle-inpage"
control_socket_disable = True  # nothing here uses it, and it would write to the home directory
if Path("/dev/shm").is_dir():
    worker_tmp_dir = "/dev/shm"  # the heartbeat file must not wait for a disk


def when_ready(server: Any) -> None:
    """Say where to look."""
    for listener in server.LISTENERS:
        host, port = listener.sock.getsockname()[:2]
        host = "127.0.0.1" if host in ("0.0.0.0", "::") else host
        host = f"[{host}]" if ":" in host else host
        print(f"Paddle InPage is at http://{host}:{port}/  (Ctrl-C stops it)", flush=True)


def post_worker_init(worker: Any) -> None:
    """Compress the static files in the background, so that the first visitor does not wait for it."""
    assets = worker.wsgi.extensions["inpage_assets"]
    threading.Thread(target=assets.warm, name="compress", daemon=True).start()

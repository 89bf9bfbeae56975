"""The web app: pages, static files and bundles. `create_app` is the only wiring."""

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from flask import Flask
from werkzeug.middleware.proxy_fix import ProxyFix

from webapp import errors, inputs, logs, runs, security, settings, words
from webapp.api import api
from webapp.assets import Assets
from webapp.batcher import Room
from webapp.engines import Options
from webapp.gate import Gate
from webapp.metrics import Metrics
from webapp.models import Models
from webapp.pages import pages
from webapp.paths import data_folder
from webapp.peers import peers
from webapp.serving import Serving
from webapp.shared import Shared
from webapp.v2 import v2

SPARE_THREADS = 4  # for pages, health and metrics


def add_serving(app: Flask, values: Mapping[str, Any], models: Models) -> None:
    """What runs models for browsers that cannot."""
    folder = Path(values["state_dir"]) if values["state_dir"] else None
    metrics = Metrics(folder)
    options = Options(
        remote_url=values["remote_url"],
        remote_timeout_s=values["remote_timeout_s"],
        trt_precision=values["trt_precision"],
        trt_tolerance=values["trt_tolerance"],
        trt_measure=values["trt_measure"],
        trt_cache=values["trt_cache"],
        trt_cache_mb=values["trt_cache_mb"],
        trt_calibration=values["trt_calibration"],
        trt_quick=values["trt_quick"],
        batch_rows=values["batch_rows"],
        batch_wait_s=values["batch_wait_ms"] / 1000,
        batch_queue=values["batch_queue"],
        cpu_runs=values["runs"],
        cpu_queue=values["queue"],
        # What runs and waits on the CPU keeps its threads, and so does who asks how the server is.
        batch_room=Room(max(1, values["threads"] - values["runs"] - values["queue"] - SPARE_THREADS)),
        watch_batch=metrics.batch,
        watch_depth=metrics.depth,
    )

    def changed() -> None:
        metrics.engines(serving.answering())

    serving = Serving(models, values["engines"], options, changed=changed)
    app.extensions["inpage_serving"] = serving
    app.extensions["inpage_metrics"] = metrics
    app.extensions["inpage_shared"] = Shared(folder)
    app.extensions["inpage_gate"] = Gate(values["runs"], values["queue"], partial(metrics.depth, "gate"))


def create_app(config: Mapping[str, Any] | None = None) -> Flask:
    """The WSGI app. `config` overrides settings by name (see settings.SETTINGS), the environment is read for the rest.

    Raises SettingError on a setting that cannot be used.
    """
    values = settings.read(config)
    static = data_folder("static")
    app = Flask(__name__, static_folder=None, template_folder=str(data_folder("templates")))
    app.config.update(
        INPAGE=values,
        MAX_CONTENT_LENGTH=values["max_body_kb"] * 1024,
        TEMPLATES_AUTO_RELOAD=values["reload"],
    )
    app.url_map.strict_slashes = False
    app.jinja_env.trim_blocks = app.jinja_env.lstrip_blocks = True

    assets = Assets(static, reload=values["reload"])
    app.extensions["inpage_assets"] = assets
    embedded = [static / "models"] if (static / "models").is_dir() else []
    app.extensions["inpage_models"] = models = Models([*embedded, *map(Path, values["models"])])
    app.jinja_env.globals["asset"] = assets.url

    add_serving(app, values, models)
    if values["proxies"]:
        app.wsgi_app = ProxyFix(app.wsgi_app, x_for=values["proxies"], x_proto=0)  # type: ignore[method-assign]

    words.install(app)
    errors.install(app)
    logs.install(app)
    security.install(app)
    app.before_request(inputs.refuse_large_body)
    app.after_request(runs.count)
    app.register_blueprint(pages)
    app.register_blueprint(api)
    app.register_blueprint(v2)
    if values["peers"]:
        app.register_blueprint(peers)
    return app

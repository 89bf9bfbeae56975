"""The web app: pages, static files and bundles. `create_app` is the only wiring."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from flask import Flask, current_app, request

from webapp import errors, security, settings, words
from webapp.api import api
from webapp.assets import Assets
from webapp.errors import AnswerError
from webapp.models import Models
from webapp.pages import pages
from webapp.paths import data_folder


def refuse_large_body() -> None:
    """Refuse a body above the limit from its header alone, before any of it is read."""
    limit = current_app.config["MAX_CONTENT_LENGTH"]
    if request.content_length is not None and request.content_length > limit:
        _, message, hint = errors.WORDS[413]
        raise AnswerError(413, "too_large", message, hint=hint)


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
    app.extensions["inpage_models"] = Models([*embedded, *map(Path, values["models"])])
    app.jinja_env.globals["asset"] = assets.url

    words.install(app)
    errors.install(app)
    security.install(app)
    app.before_request(refuse_large_body)
    app.register_blueprint(pages)
    app.register_blueprint(api)
    return app

"""The systemd unit and the Dockerfiles: what can be said of them where neither systemd nor Docker runs."""

import configparser
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from webapp import create_app, settings

DOCKERFILES = ("cpu.Dockerfile", "gpu.Dockerfile")
INSTRUCTIONS = {
    "ARG", "FROM", "WORKDIR", "COPY", "RUN", "USER", "ENV", "VOLUME", "EXPOSE", "STOPSIGNAL", "HEALTHCHECK",
    "ENTRYPOINT",
}  # fmt: skip
# What systemd itself says of a unit's exposure, from 0 (nothing) to 10; "2.0" reads "ok".
MOST_EXPOSED = 2.5


def unit(repo: Path) -> dict[str, list[tuple[str, str]]]:
    """The unit's sections; a key may come several times."""
    sections: dict[str, list[tuple[str, str]]] = {}
    lines: list[tuple[str, str]] = []
    for line in (repo / "deploy/inpage.service").read_text().splitlines():
        if match := re.fullmatch(r"\[(\w+)\]", line):
            lines = sections.setdefault(match.group(1), [])
        elif line and not line.startswith("#"):
            key, value = line.split("=", 1)
            lines.append((key, value))
    return sections


def seconds(repo: Path, name: str) -> float:
    """A time of the unit."""
    return float(dict(unit(repo)["Service"])[name])


# ---- systemd ----


def test_the_unit_stops_no_sooner_than_the_server(repo: Path):
    values = settings.read(environ={})
    assert seconds(repo, "TimeoutStopSec") >= values["drain_s"] + values["grace_s"] + 5
    text = (repo / "deploy/inpage.service").read_text()
    assert f"INPAGE_DRAIN_S ({values['drain_s']})" in text and f"INPAGE_GRACE_S ({values['grace_s']})" in text


def test_the_units_settings_exist(repo: Path):
    given = dict(value.split("=", 1) for key, value in unit(repo)["Service"] if key == "Environment")
    assert settings.read(environ=given)["state_dir"] == "%t/inpage"
    (command,) = (value for key, value in unit(repo)["Service"] if key == "ExecStart")
    assert command.split()[1:] == ["-m", "webapp"]


def test_the_unit_is_a_sound_file(repo: Path):
    parser = configparser.RawConfigParser(strict=False)
    parser.optionxform = str  # type: ignore[assignment, method-assign]
    parser.read(repo / "deploy/inpage.service")
    assert parser.sections() == ["Unit", "Service", "Install"]
    assert dict(parser["Service"])["DynamicUser"] == "yes"


def test_systemd_finds_nothing_wrong_with_the_unit(repo: Path, tmp_path: Path):
    if shutil.which("systemd-analyze") is None:
        return  # the tests above are all that can be said here
    text = (repo / "deploy/inpage.service").read_text().replace("/srv/inpage/bin/python", sys.executable)
    copy = tmp_path / "inpage.service"
    copy.write_text(text)
    verified = subprocess.run(["systemd-analyze", "verify", copy], capture_output=True, text=True)
    mine = [line for line in verified.stderr.splitlines() if "inpage.service" in line]
    assert not mine, verified.stderr
    rated = subprocess.run(
        ["systemd-analyze", "security", "--offline=true", "--no-pager", copy], capture_output=True, text=True
    )
    if rated.returncode == 0 or "Overall exposure level" in rated.stdout:
        level = re.search(r"Overall exposure level for \S+: ([\d.]+)", rated.stdout)
        assert level and float(level.group(1)) <= MOST_EXPOSED, rated.stdout[-300:]


# ---- Docker ----


def instructions(path: Path) -> list[tuple[str, str]]:
    """A Dockerfile's instructions: comments left out, continued lines joined."""
    lines = [line for line in path.read_text().splitlines() if not line.startswith("#")]
    joined = re.sub(r"\\\n\s*", "", "\n".join(lines))
    return [tuple(line.split(None, 1)) for line in joined.splitlines() if line.strip()]  # type: ignore[misc]


def environment(path: Path) -> dict[str, str]:
    """The last stage's ENV."""
    found: dict[str, str] = {}
    for name, text in instructions(path):
        if name == "FROM":
            found = {}
        if name == "ENV":
            found |= dict(part.split("=", 1) for part in text.split())
    return found


@pytest.mark.parametrize("name", DOCKERFILES)
def test_a_dockerfile_has_known_instructions_in_two_stages(repo: Path, name: str):
    steps = instructions(repo / "deploy" / name)
    assert {step for step, _ in steps} <= INSTRUCTIONS
    bases = [text for step, text in steps if step == "FROM"]
    assert len(bases) == 2 and bases[0].endswith(" AS build")
    assert all(re.match(r"[\w./-]+:[\w.${}-]+", base) and ":latest" not in base for base in bases)
    assert [step for step, _ in steps].index("ARG") == 0, "an ARG before the first FROM holds for every FROM"


@pytest.mark.parametrize("name", DOCKERFILES)
def test_an_image_runs_as_nobody_special_and_says_how_it_is(repo: Path, name: str):
    steps = instructions(repo / "deploy" / name)
    last = steps[max(i for i, (step, _) in enumerate(steps) if step == "FROM") :]
    assert ("USER", "10001") in last
    after_user = last[last.index(("USER", "10001")) :]
    assert not [text for step, text in after_user if step in ("RUN", "COPY", "USER")][1:]
    assert dict(last)["ENTRYPOINT"] == '["python", "-m", "webapp"]' and dict(last)["STOPSIGNAL"] == "SIGTERM"
    path = re.search(r"http://127\.0\.0\.1:(\d+)(/[\w/]+)", dict(last)["HEALTHCHECK"])
    assert path and path.group(1) == environment(repo / "deploy" / name)["INPAGE_PORT"] == dict(last)["EXPOSE"]
    assert create_app().test_client().get(path.group(2)).status_code == 200


@pytest.mark.parametrize("name", DOCKERFILES)
def test_an_images_settings_exist(repo: Path, name: str):
    given = {key: value for key, value in environment(repo / "deploy" / name).items() if key.startswith("INPAGE_")}
    values = settings.read(environ=given)
    assert values["host"] == "0.0.0.0" and values["models"] == ["/models"]


@pytest.mark.parametrize("name", DOCKERFILES)
def test_commands_are_shell_that_can_be_parsed(repo: Path, name: str):
    for step, text in instructions(repo / "deploy" / name):
        if step == "RUN":
            command = re.sub(r"--mount=\S+\s*", "", text)
            assert subprocess.run(["sh", "-n", "-c", command], capture_output=True).returncode == 0, command
            if "apt-get install" in command:
                assert "--no-install-recommends" in command and "rm -rf /var/lib/apt/lists/*" in command
            if " install " in command and "pip" in command:
                assert "--no-cache-dir" in command
                assert set(re.findall(r"\[([\w,]+)\]", command)) <= {"onnx"}


def test_an_image_is_built_from_what_a_wheel_needs(repo: Path):
    allowed = {line[1:] for line in (repo / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    project = (repo / "pyproject.toml").read_text()
    listed = set(re.findall(r'"/([\w.]+)"', project.split("[tool.hatch.build.targets.sdist]")[1].split("]")[0]))
    assert allowed == listed | {"pyproject.toml", "README.md"}
    assert all((repo / name).exists() for name in allowed)


def test_what_the_files_name_is_executable(repo: Path):
    assert os.access(repo / ".ci/find-nginx", os.X_OK)

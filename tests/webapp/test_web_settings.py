"""Settings: read from the environment, checked, and refused in one sentence."""

import os
import re
import socket

import pytest

from webapp import create_app, settings
from webapp.__main__ import check_port, main, parse_arguments, with_huge_pages
from webapp.settings import SETTINGS, SettingError, markdown_table, read


def test_defaults():
    values = read(environ={})
    assert (values["host"], values["port"], values["models"], values["reload"]) == ("127.0.0.1", 8000, [], False)


def test_environment_is_read_and_parsed():
    folders = os.pathsep.join(["one", "two"])
    values = read(environ={"INPAGE_PORT": " 81 ", "INPAGE_MODELS": folders, "INPAGE_RELOAD": "1", "OTHER": "x"})
    assert (values["port"], values["models"], values["reload"]) == (81, ["one", "two"], True)


def test_overrides_win_over_the_environment():
    assert read({"port": 5}, {"INPAGE_PORT": "81"})["port"] == 5


@pytest.mark.parametrize(
    ("variable", "text", "accepts"),
    [
        ("INPAGE_PORT", "eighty", "a whole number from 0 to 65535"),
        ("INPAGE_PORT", "65536", "a whole number from 0 to 65535"),
        ("INPAGE_PORT", "-1", "a whole number"),
        ("INPAGE_PORT", "", "a whole number"),
        ("INPAGE_WORKERS", "0", "from 1 to 64"),
        ("INPAGE_LOG_LEVEL", "loud", "one of debug, info"),
        ("INPAGE_RELOAD", "yes", "one of 0, 1"),
        ("INPAGE_HOST", "http://x/", "a host name"),
    ],
)
def test_a_wrong_value_is_refused_by_name(variable: str, text: str, accepts: str):
    with pytest.raises(SettingError, match=re.escape(variable)) as error:
        read(environ={variable: text})
    assert accepts in str(error.value)


def test_a_misspelt_setting_is_refused():
    with pytest.raises(SettingError, match="INPAGE_PROT"):
        read(environ={"INPAGE_PROT": "81"})
    with pytest.raises(SettingError, match="prot"):
        create_app({"prot": 81})


def test_every_setting_is_an_option_too():
    arguments = [part for s in SETTINGS for part in (f"--{s.name.replace('_', '-')}", s.default or "x")]
    assert parse_arguments(arguments) == {s.variable: s.default or "x" for s in SETTINGS}
    assert parse_arguments([]) == {}


def test_table_lists_every_setting_once():
    rows = markdown_table().splitlines()[2:]
    assert [row.split("`")[1] for row in rows] == [s.variable for s in settings.SETTINGS]
    assert all(setting.help.endswith(".") for setting in SETTINGS)


def test_a_taken_port_is_said_and_ends_the_command(capsys: pytest.CaptureFixture):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(OSError, match=f"cannot listen on 127.0.0.1:{port}"):
            check_port("127.0.0.1", port)
        assert main(["--port", str(port)]) == 1
    message = capsys.readouterr().err
    assert "choose another port" in message and "Traceback" not in message


def test_a_wrong_option_ends_the_command(capsys: pytest.CaptureFixture):
    assert main(["--port", "eighty"]) == 2
    assert "INPAGE_PORT='eighty' cannot be used" in capsys.readouterr().err


def test_a_budget_that_holds_no_body_is_refused():
    with pytest.raises(SettingError, match="take at least 16"):
        read(environ={"INPAGE_BODIES_MB": "15"})
    read(environ={"INPAGE_BODIES_MB": "15", "INPAGE_MAX_INFER_KB": "15360"})


def test_huge_pages_are_asked_for_unless_someone_decided(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("platform.libc_ver", lambda: ("glibc", "2.36"))
    assert with_huge_pages({"A": "b"}) == {"A": "b", "GLIBC_TUNABLES": "glibc.malloc.hugetlb=1"}
    other = "glibc.malloc.arena_max=2"
    assert with_huge_pages({"GLIBC_TUNABLES": other}) == {"GLIBC_TUNABLES": f"{other}:glibc.malloc.hugetlb=1"}
    assert with_huge_pages({"GLIBC_TUNABLES": "glibc.malloc.hugetlb=0"}) is None
    monkeypatch.setattr("platform.libc_ver", lambda: ("", ""))
    assert with_huge_pages({}) is None

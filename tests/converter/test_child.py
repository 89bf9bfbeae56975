"""A child process that fails in each of its ways, said in one sentence."""

import sys

import pytest

from converter import child
from converter.errors import ConvertError


def python(text: str) -> list[str]:
    return [sys.executable, "-c", text]


def test_what_it_says_comes_back(tmp_path):
    made = tmp_path / "made"
    done = child.run(python(f"open({str(made)!r}, 'w'); print('ready')"), "it", timeout_s=60, made=made)
    assert done.stdout == "ready\n"


@pytest.mark.parametrize("text, said", [
    ("import sys; print('first'); sys.exit('Error: no room')", "it refuses: Error: no room"),
    ("print('Error: one'); print('two', flush=True); raise SystemExit(3)", "it refuses: Error: one"),
    ("import os; os._exit(7)", "it refuses: no message, exit code 7"),
    ("print('done')", "it refuses: done"),
    ("import time; time.sleep(60)", "it did not finish in 0.5 s"),
])  # fmt: skip
def test_one_sentence(tmp_path, text, said):
    limit = 0.5 if "sleep" in text else 60
    with pytest.raises(ConvertError) as caught:
        child.run(python(text), "it", fails="refuses", timeout_s=limit, made=tmp_path / "made", telling=("Error",),
                  where="there", late="wait longer")  # fmt: skip
    assert caught.value.what == said and caught.value.where == "there"
    assert caught.value.hint == ("wait longer" if "sleep" in text else "")


def test_a_program_that_cannot_start(tmp_path):
    with pytest.raises(ConvertError, match="it does not start: No such file"):
        child.run([tmp_path / "nothing"], "it", timeout_s=1)


def test_a_caller_that_judges_the_exit_code_itself():
    done = child.run(python("print('{}'); raise SystemExit('why')"), "it", timeout_s=60, any_exit=True)
    assert done.returncode == 1 and child.words(done) == "why" and child.words(done, first=True) == "{}"

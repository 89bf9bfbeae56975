"""Modules that start together are served as one, which does what they did."""

import json
import subprocess
from pathlib import Path

import pytest

from webapp.assets import ENTRY, LOCAL, Assets
from webapp.link import Linker, LinkError
from webapp.paths import data_folder

SMALL = {
    "a/entry.js": """import { twice } from './twice.js';
import { LIST } from '../data.js';
export { LIST as numbers } from '../data.js';
export const sum = () => twice(LIST.reduce((a, b) => a + b));
export const rest = async () => (await import('../late.js')).late();
export const soon = () => import('./twice.js');
""",
    "a/twice.js": """const factor = 2; // the same name is elsewhere, too
export function twice(x) { return factor * x; }
export const where = new URL('./there', import.meta.url).href;
""",
    "data.js": """import './first.js';
const factor = 3, own = [1, factor];
export { own as LIST };
""",
    "first.js": "globalThis.order = ['first'];\n",
    "late.js": """import {
  twice as double, where,
} from './a/twice.js';
import { LIST } from './data.js';
import './first.js';
export const late = () => [double(LIST[1]), where, globalThis.order];
""",
    "all.js": """import { LIST } from './data.js';
import { rest, soon, sum } from './a/entry.js';
import { twice } from './a/twice.js';
console.log(JSON.stringify([sum(), LIST, twice(5), await rest(), (await soon()).twice(1)]));
""",
}


def said(sources: dict[str, str], folder: Path) -> list:
    """What all.js prints, where these modules lie in a folder; the addresses in it from that folder on."""
    for name, source in sources.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(source, encoding="utf-8")
    (folder / "package.json").write_text('{"type": "module"}')
    answer = subprocess.run(["node", folder / "all.js"], capture_output=True, text=True, check=True)
    return json.loads(answer.stdout.replace(folder.as_uri(), ""))


def test_linked_modules_do_the_same(tmp_path):
    linker = Linker(SMALL, "a/entry.js", ("data.js",))
    linked = linker.linked()
    assert linker.members == ["a/twice.js", "first.js", "data.js", "a/entry.js"]
    assert "'./first.js'" not in linked["late.js"] and linked["late.js"].count("from './a/entry.js'") == 2
    expected = [8, [1, 3], 10, [6, "/a/there", ["first"]], 2]
    assert said(SMALL, tmp_path / "plain") == expected
    assert said(linked, tmp_path / "linked") == expected


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("export let count = 0;", "does not know the form of: export let"),
        ("export default 1;", "does not know the form of: export default"),
        ("export * from './data.js';", "does not know the form of: export \\*"),
        ("import data from './data.js';", "does not know the form of: import data"),
        ('import { a } from "./data.js";', "does not know the form of: import"),
        ("export const { a } = {};", "does not know the form of: export const"),
        ("import { a } from './none.js';", "a/entry.js names a/none.js, which does not exist"),
        ("import './b.js';", "a circle: a/entry.js -> a/b.js -> a/entry.js"),
    ],
)
def test_what_is_not_known_is_refused(source: str, message: str):
    sources = {"a/entry.js": source, "a/data.js": "", "a/b.js": "import { x } from './entry.js';\n"}
    with pytest.raises(LinkError, match=message):
        Linker(sources, "a/entry.js").linked()


def test_a_name_space_of_a_linked_module_is_refused_outside():
    with pytest.raises(LinkError, match="import \\* of entry.js"):
        Linker({"entry.js": "", "late.js": "import * as all from './entry.js';"}, "entry.js").linked()


def test_two_linkers_share_what_the_first_one_put_together(tmp_path):
    first = Linker(SMALL, "data.js")
    second = Linker(first.linked(), "a/entry.js", known=("data.js",))
    assert (first.members, second.members) == (["first.js", "data.js"], ["a/twice.js", "a/entry.js"])
    linked = second.linked()
    assert "from '../data.js'" in linked["a/entry.js"] and "'./data.js'" in linked["all.js"]
    assert said(linked, tmp_path) == said(SMALL, tmp_path / "plain")


def test_the_runtime_is_served_as_two_modules(tmp_path):
    tree = Assets(data_folder("static")).current()
    for name in (ENTRY, LOCAL):
        (tmp_path / Path(name).name).write_bytes(tree.files[name].content())
    (tmp_path / "package.json").write_text('{"type": "module"}')
    script = (
        "import * as page from './index.js'; import { loadLocal } from './local.js';"
        "console.log(JSON.stringify([typeof loadLocal, ...Object.keys(page)]));"
    )
    (tmp_path / "all.js").write_text(script)
    answer = subprocess.run(["node", tmp_path / "all.js"], capture_output=True, text=True, check=True)
    assert {"function", "load", "capabilities", "InPageError"} <= set(json.loads(answer.stdout))
    assert {"runtime/errors.js", "runtime/worker_client.js", "runtime/ops/conv/wasm.js"} <= tree.signs
    assert not {ENTRY, LOCAL, "runtime/worker.js", "runtime/ops/recurrent/index.js"} & tree.signs
    assert not Assets(data_folder("static"), reload=True).current().signs

"""Modules are served without comments, and as the same code."""

import json
import subprocess
from pathlib import Path

from webapp.assets import Assets, walk
from webapp.minify import smaller
from webapp.paths import data_folder

STATIC = data_folder("static")
COMPARE = Path(__file__).with_name("same_code.js")


def compare(pairs: list[tuple[Path, Path]], folder: Path) -> subprocess.CompletedProcess:
    """Run the comparison of syntax trees."""
    listing = folder / "pairs.json"
    listing.write_text(json.dumps([[str(a), str(b)] for a, b in pairs]))
    return subprocess.run(["node", COMPARE, listing], capture_output=True, text=True, check=False)


def test_every_module_is_served_as_the_same_code(tmp_path):
    pairs = []
    for number, (_, path) in enumerate(item for item in walk(STATIC) if item[1].suffix == ".js"):
        small = tmp_path / f"{number}.js"
        small.write_text(smaller(path.read_text(encoding="utf-8")), encoding="utf-8")
        pairs.append((path, small))
    answer = compare(pairs, tmp_path)
    assert len(pairs) > 50
    assert answer.returncode == 0, answer.stderr


NESTED = r"""
const a = `one ${b ? `two // not a comment ${c /* gone */ + ' `'}` : "}`"} /* kept */`; // gone
const d = /[/`]\/'/.test(e) ? x / y / z : `${{ f: `  g  ` }.f}`;
const h = (i) /2/ `plain  text`.length; const j = `\`  ${k}`;
return_(/`/g, `  ${`${`  deep  `}`}  `);
"""


def test_literals_within_literals_stay_as_they_are(tmp_path):
    (tmp_path / "left.js").write_text(NESTED)
    (tmp_path / "right.js").write_text(smaller(NESTED))
    answer = compare([(tmp_path / "left.js", tmp_path / "right.js")], tmp_path)
    assert answer.returncode == 0, answer.stderr
    assert "two // not a comment" in smaller(NESTED) and "/* kept */" in smaller(NESTED)
    assert len(smaller(NESTED)) < len(NESTED)


def test_the_comparison_sees_changes(tmp_path):
    left = tmp_path / "left.js"
    left.write_text("const a = `x ${b} // no comment`; // comment\nlet c = !a?.d;\n")
    for changed in (
        "const a = `x ${b} `; let c = !a?.d;",
        "let a = `x ${b} // no comment`; let c = !a?.d;",
        "const a = `x ${b} // no comment`; let c = !a.d;",
        "const a = `x ${b} // no comment`; let c = ~a?.d;",
    ):
        right = tmp_path / "right.js"
        right.write_text(changed)
        assert compare([(left, right)], tmp_path).returncode == 1, changed
    (tmp_path / "same.js").write_text("const a=`x ${b} // no comment`;let c=!a?.d")
    assert compare([(left, tmp_path / "same.js")], tmp_path).returncode == 0


def test_comments_stay_where_the_site_is_being_edited():
    name = "runtime/index.js"
    assert Assets(STATIC, reload=True).tree.files[name].content() == (STATIC / name).read_bytes()
    assert b"@typedef" not in Assets(STATIC).tree.files[name].content()

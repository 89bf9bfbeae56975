"""A module without comments and idle spaces, as the same code.

rjsmin does it, but takes the code inside a template literal for text, and loses its way where that code holds another
one. So whole literals of that kind are taken out before, and put back after.
"""

import re

import rjsmin

# What may stand before a regular expression; after anything else a slash divides.
BEFORE_REGEX = re.compile(r"(?:^|[(,=:\[!&|?{};+\-*%~^<>]|\b(?:return|typeof|case|in|of|void|delete|await|yield))\s*$")
REGEX = re.compile(r"/(?![*/])(?:[^\\/\[\n]|\\.|\[(?:[^\]\\\n]|\\.)*\])+/")
QUOTED = re.compile(r"'(?:[^'\\\n]|\\.)*'|\"(?:[^\"\\\n]|\\.)*\"", re.S)
COMMENT = re.compile(r"//[^\n]*|/\*.*?\*/", re.S)
LOOK_BACK = 40


class Reader:
    """Walks through a module far enough to know where its template literals are."""

    def __init__(self, source: str) -> None:
        self.source = source
        self.found: list[tuple[int, int, bool]] = []  # outermost literals: start, end, whether one is inside

    def code(self, at: int) -> int:
        """Read code up to the brace that ends it (or the end of the module); returns the place after it."""
        source, braces, last = self.source, 0, at
        while at < len(source):
            letter = source[at]
            match = None
            if letter in "'\"":
                match = QUOTED.match(source, at)
            elif letter == "/":
                match = COMMENT.match(source, at)
                if match:
                    at = match.end()
                    continue  # what stands before a comment still stands before what follows it
                if BEFORE_REGEX.search(source[max(0, last - LOOK_BACK) : last]):
                    match = REGEX.match(source, at)
            if match:
                at = last = match.end()
                continue
            if letter == "`":
                at = last = self.template(at)
                continue
            braces += (letter == "{") - (letter == "}")
            at += 1
            if braces < 0:
                return at
            if not letter.isspace():
                last = at
        return at

    def template(self, start: int) -> int:
        """Read a template literal; returns the place after it."""
        at, inside = start + 1, len(self.found)
        while at < len(self.source) and self.source[at] != "`":
            if self.source[at] == "\\":
                at += 2
            elif self.source.startswith("${", at):
                at = self.code(at + 2)
            else:
                at += 1
        nested = len(self.found) > inside
        del self.found[inside:]
        self.found.append((start, at + 1, nested))
        return at + 1


def smaller(source: str) -> str:
    """The module without comments."""
    reader = Reader(source)
    reader.code(0)
    kept: dict[str, str] = {}
    for start, end, nested in reversed(reader.found):
        if nested:
            name = f"'\x01{len(kept)}\x01'"
            kept[name] = source[start:end]
            source = source[:start] + name + source[end:]
    small = rjsmin.jsmin(source)
    for name, literal in kept.items():
        small = small.replace(name, literal)
    return small

"""Modules that start together, as one: a visitor fetches and compiles one file in the place of fifty.

It knows the few forms of `import` and `export` in which this site's modules are written, each at the start of a
line, and refuses every other one. A module becomes a function that is called once, in the order of imports, and gives
what the module exports; so names stay its own. Exports are never assigned to again (`export let` is refused), so that a
copy of them is as good as they are.
"""

import posixpath
import re

NAME = r"[A-Za-z_$][\w$]*"
IMPORT = re.compile(rf"^import (?:(?:\{{([^}}]*)\}}|\* as ({NAME})) from )?'([^']+)';$", re.M)
REEXPORT = re.compile(r"^export \{([^}]*)\} from '([^']+)';$", re.M)
EXPORT_LIST = re.compile(r"^export \{([^}]*)\};$", re.M)
DECLARATION = re.compile(rf"^export (?=(?:async )?(?:function\*?|class|const) ({NAME}))", re.M)
DYNAMIC = re.compile(r"\bimport\('([^']+)'\)")
META = re.compile(r"\bimport\.meta\.url\b")
UNKNOWN = re.compile(r"^(?:import|export)\b(?!\().*", re.M)


class LinkError(ValueError):
    """A module that this linker does not understand; the message says where and what."""


def names_of(listing: str) -> list[tuple[str, str]]:
    """`a, b as c` -> [(a, a), (b, c)]."""
    pairs = [item.split(" as ") for item in (part.strip() for part in listing.split(",")) if item]
    return [(pair[0].strip(), pair[-1].strip()) for pair in pairs]


def target_of(module: str, address: str) -> str:
    """The module that another one names by a relative address."""
    return posixpath.normpath(posixpath.join(posixpath.dirname(module), address))


def relative(module: str, target: str) -> str:
    """How a module names another one."""
    path = posixpath.relpath(target, posixpath.dirname(module) or ".")
    return path if path.startswith("../") else f"./{path}"


def imports_of(module: str, source: str) -> list[str]:
    """What must have run before the module does."""
    found = [(match.start(), match[3]) for match in IMPORT.finditer(source)]
    found += [(match.start(), match[2]) for match in REEXPORT.finditer(source)]
    return [target_of(module, address) for _, address in sorted(found)]


def in_order(sources: dict[str, str], roots: tuple[str, ...], known: tuple[str, ...] = ()) -> list[str]:
    """The roots and all that they import, each after what it imports itself; what is known is not looked into."""
    order: list[str] = []
    path: list[str] = []

    def visit(module: str) -> None:
        if module in path:
            raise LinkError(f"modules import each other in a circle: {' -> '.join([*path, module])}")
        if module in order or module in known:
            return
        if module not in sources:
            raise LinkError(f"{path[-1] if path else 'the list of roots'} names {module}, which does not exist")
        path.append(module)
        for target in imports_of(module, sources[module]):
            visit(target)
        order.append(path.pop())

    for root in roots:
        visit(root)
    return order


class Linker:
    """Puts modules into one of them, the entry, under whose address they then are.

    Args:
        sources: every module by its path.
        entry: keeps its own exports, and gives those of the others under names with a number.
        roots: what is put in besides the entry, with all that they import.
        but: of these no more than what they import: they do their work when they are imported.
        known: entries of linkers that were here before; they stay where they are.
    """

    def __init__(
        self, sources: dict[str, str], entry: str, roots: tuple[str, ...] = (), *, but: tuple[str, ...] = (),
        known: tuple[str, ...] = (),
    ) -> None:  # fmt: skip
        self.sources, self.entry, self.known = sources, entry, known
        self.members = [name for name in in_order(sources, (entry, *roots, *but), known) if name not in but]
        self.number = {name: number for number, name in enumerate(self.members)}
        self.exports: dict[str, list[str]] = {}

    def linked(self) -> dict[str, str]:
        """Every module as it is served: the entry, other members (a word on where they are), and those outside."""
        body = [f"import * as {self.place(name)} from '{relative(self.entry, name)}';" for name in self.known]
        body += [f"const {self.place(name)} = (() => {{\n{self.factory(name)}\n}})();" for name in self.members]
        for name in self.members:
            names = self.exports[name]
            given = names if name == self.entry else [f"{export}: {self.outer(name, export)}" for export in names]
            if names:
                body.append(f"export const {{ {', '.join(given)} }} = {self.place(name)};")
        result = {name: self.outside(name, source) for name, source in self.sources.items() if name not in self.number}
        result |= {name: self.sign(name) for name in self.members}
        return result | {self.entry: "\n".join(body) + "\n"}

    def place(self, module: str) -> str:
        """What a module's exports are called within the entry."""
        return f"$known{self.known.index(module)}" if module in self.known else f"${self.number[module]}"

    def outer(self, module: str, export: str) -> str:
        """The name of a member's export for those outside."""
        return export if module == self.entry else f"${self.number[module]}_{export}"

    def sign(self, module: str) -> str:
        """A member under its own address, for who asks for it there."""
        names = ", ".join(f"{self.outer(module, name)} as {name}" for name in self.exports[module])
        return f"export {{ {names} }} from '{relative(module, self.entry)}';\n"

    def factory(self, module: str) -> str:
        """A member as the body of a function that returns its exports."""
        exports: list[str] = []

        def imported(match: re.Match) -> str:
            names, space, address = match.groups()
            place = self.place(target_of(module, address))
            if space:
                return f"const {space} = {place};"
            pairs = [name if name == own else f"{name}: {own}" for name, own in names_of(names or "")]
            return f"const {{ {', '.join(pairs)} }} = {place};" if pairs else ""

        def reexported(match: re.Match) -> str:
            place = self.place(target_of(module, match[2]))
            exports.extend(f"{own}: {place}.{name}" for name, own in names_of(match[1]))
            return ""

        def listed(match: re.Match) -> str:
            exports.extend(f"{own}: {name}" if own != name else name for name, own in names_of(match[1]))
            return ""

        def declared(match: re.Match) -> str:
            exports.append(match[1])
            return ""

        source = IMPORT.sub(imported, self.sources[module])
        source = REEXPORT.sub(reexported, source)
        source = EXPORT_LIST.sub(listed, source)
        source = DECLARATION.sub(declared, source)
        refuse_unknown(module, source)
        source = DYNAMIC.sub(lambda match: self.moved(module, match), source)
        source = META.sub(f"new URL('{relative(self.entry, module)}', import.meta.url).href", source)
        self.exports[module] = [export.split(":")[0] for export in exports]
        return f"{source}\nreturn {{ {', '.join(exports)} }};"

    def moved(self, module: str, match: re.Match) -> str:
        """A dynamic import, as it is written in the entry."""
        if not match[1].startswith("."):
            return match[0]
        target = target_of(module, match[1])
        if target in self.number:
            return f"Promise.resolve({self.place(target)})"
        return f"import('{relative(self.entry, target)}')"

    def outside(self, module: str, source: str) -> str:
        """A module that is not put in, taking from the entry what is there now."""
        place = relative(module, self.entry)
        bare = False

        def renamed(names: str, target: str) -> str:
            return ", ".join(f"{self.outer(target, name)} as {own}" for name, own in names_of(names))

        def imported(match: re.Match) -> str:
            nonlocal bare
            names, space, address = match.groups()
            target = target_of(module, address)
            if target not in self.number:
                return match[0]
            if space:
                raise LinkError(f"{module}: import * of {target}, which is linked; name what is needed")
            if names is not None:
                return f"import {{ {renamed(names, target)} }} from '{place}';"
            again, bare = bare, True
            return "" if again else f"import '{place}';"

        def reexported(match: re.Match) -> str:
            target = target_of(module, match[2])
            return f"export {{ {renamed(match[1], target)} }} from '{place}';" if target in self.number else match[0]

        return REEXPORT.sub(reexported, IMPORT.sub(imported, source))


def refuse_unknown(module: str, source: str) -> None:
    """Raises LinkError where an `import` or `export` is left."""
    left = UNKNOWN.search(source)
    if left:
        raise LinkError(f"{module}: this linker does not know the form of: {left[0][:100]}")

"""The models of several folders, each in one version or more: found, and kept in mind until a file changes.

A model has one bundle, or several versions side by side: NAME/1, NAME/2 and so on; a bundle without such a number is
version 1. Names and file names that visitors may ask for come from what was found on disk, never the other way round.
"""

import re
import threading
from pathlib import Path

from webapp.bundle import Bundle, BundleError, read_bundle

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
NUMBER = re.compile(r"[1-9][0-9]{0,8}")


class Models:
    """The bundles of several folders. A folder holds models, or is one itself; earlier folders win a name."""

    def __init__(self, folders: list[Path]) -> None:
        self.folders = folders
        self.known: dict[Path, tuple[tuple, Bundle]] = {}
        self.reading = threading.Lock()  # a new bundle is hashed by who sees it first; the others wait for that

    def candidates(self) -> list[tuple[Path, str, int]]:
        """Every folder that claims to be a bundle, in order, with the model's name and the version's number."""
        found = []
        for folder in self.folders:
            if own := versions_in(folder):
                found += own
            elif folder.is_dir():
                found += [version for sub in sorted(folder.iterdir()) for version in versions_in(sub)]
        return found

    def check(self, folder: Path, name: str, number: int) -> Bundle:
        """The bundle in `folder`; hashed again only when a file changed."""
        try:
            signature = signature_of(folder)
            known = self.known.get(folder)
            if known is not None and known[0] == signature:
                return known[1]
            with self.reading:
                known = self.known.get(folder)
                if known is None or known[0] != signature:
                    known = self.known[folder] = (signature, self.read(folder, name, number))
                return known[1]
        except OSError as error:  # a file went away while it was read: look again next time
            return Bundle(name, folder, problem=f"a file cannot be read ({error.strerror})", number=number)

    def read(self, folder: Path, name: str, number: int) -> Bundle:
        """The bundle in `folder`, hashed; or what is wrong with it. Raises OSError."""
        try:
            if not NAME.fullmatch(name):
                raise BundleError("the folder's name may hold only letters, digits, dot, dash and underscore")
            return read_bundle(folder, name, number)
        except BundleError as error:
            return Bundle(name, folder, problem=str(error), number=number)

    def found(self) -> list[Bundle]:
        """Every version of every model, sound or not, each name and number once."""
        bundles: dict[tuple[str, int], Bundle] = {}
        owners: dict[str, Path] = {}
        candidates = self.candidates()
        for folder, name, number in candidates:
            place = model_folder(folder, name)
            if owners.setdefault(name, place) == place:
                bundles.setdefault((name, number), self.check(folder, name, number))
        for folder in set(self.known) - {folder for folder, _, _ in candidates}:
            self.known.pop(folder, None)
        return list(bundles.values())

    def all(self) -> list[Bundle]:
        """The newest sound version of every model, then what cannot be used, each with its reason."""
        found = self.found()
        newest: dict[str, Bundle] = {}
        for bundle in sorted(found, key=lambda bundle: bundle.number):
            if not bundle.problem:
                newest[bundle.name] = bundle
        problems = [
            Bundle(folder.name, folder, problem="the configured folder does not exist")
            for folder in self.folders
            if not folder.is_dir()
        ]
        problems += [bundle for bundle in found if bundle.problem]
        taken = {bundle.folder for bundle in found}
        problems += [
            Bundle(name, folder, problem="another folder already has a model of this name", number=number)
            for folder, name, number in self.candidates()
            if folder not in taken
        ]
        order = dict.fromkeys(bundle.name for bundle in found)
        return [*(newest[name] for name in order if name in newest), *problems]

    def versions(self, name: str) -> list[Bundle]:
        """The sound versions of that name, newest first."""
        sound = [bundle for bundle in self.found() if bundle.name == name and not bundle.problem]
        return sorted(sound, key=lambda bundle: -bundle.number)


def signature_of(folder: Path) -> tuple:
    """What changes when a file in it does. Raises OSError."""
    about = [(path.name, path.stat()) for path in folder.iterdir()]
    return tuple(sorted((name, found.st_mtime_ns, found.st_size) for name, found in about))


def versions_in(folder: Path) -> list[tuple[Path, str, int]]:
    """The bundles of one model's folder: the folder itself as version 1, and its numbered folders."""
    if not folder.is_dir():
        return []
    bare = (folder / "model.json").is_file()
    found = [(folder, folder.name, 1)] if bare else []
    numbered = sorted((sub for sub in folder.iterdir() if NUMBER.fullmatch(sub.name)), key=lambda sub: int(sub.name))
    return found + [
        (sub, folder.name, int(sub.name))
        for sub in numbered
        if (sub / "model.json").is_file() and not (bare and sub.name == "1")
    ]


def model_folder(folder: Path, name: str) -> Path:
    """The folder of a model, given that of one of its versions."""
    return folder.parent if NUMBER.fullmatch(folder.name) and folder.parent.name == name else folder

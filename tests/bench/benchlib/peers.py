"""The configurations of other servers: files under tests/bench/peers with @PLACEHOLDERS@."""

import re

from .record import TREE

PEERS = TREE / "tests/bench/peers"


def filled(file, **values):
    """The text of a file with a value for each placeholder; one that is missing is an error."""
    return re.sub(r"@([A-Z_]+)@", lambda found: str(values[found[1]]), (PEERS / file).read_text())


def fill(folder, target, **values):
    """Copies all files of a folder, filled; what npm needs stays where it is."""
    for file in (PEERS / folder).rglob("*"):
        if file.is_file() and not file.name.startswith("package"):
            place = target / file.relative_to(PEERS / folder)
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_text(filled(file, **values))

"""docs/benchmarks.md and its pictures, made of docs/benchmarks.json and tests/bench/instructions.json."""

import json

from . import scenarios
from .record import TREE


def write(record):
    (TREE / "docs/benchmarks.md").write_text(page(record))
    for scenario in scenarios.known():
        if scenario.name in record:
            for file, drawn in scenario.pictures(record[scenario.name]):
                (TREE / "docs/pictures" / file).write_text(drawn)


def page(record):
    sections = [scenario.section(record[scenario.name]) for scenario in scenarios.known() if scenario.name in record]
    return HEAD + "\n".join(sections) + of_mixed_load() + of_one_message()


HEAD = """\
# Benchmarks

On loopback, all programs of a scenario in one run. The raw values are in [benchmarks.json](benchmarks.json).

`tests/bench/all` measures every scenario, which takes more than an hour of a machine that does nothing else; `tests/bench/run` and the others that are
named below measure one (`--help`; `--print` writes no files). `tests/run` installs what they need, as root; Haraka, OpenSMTPD and stunnel are fetched
into `~/.cache/postern-tests` when they are first needed. `POSTERN_BIN` names another program than the release build of the tree, and
`POSTERN_COMMIT` its commit. `tests/bench/page` makes this page and its pictures anew without measuring.

"""


def of_mixed_load():
    """What tests/bench/soak has left."""
    file = TREE / "docs/soak.json"
    if not file.exists():
        return ""
    found = json.loads(file.read_text())
    memory = found["memory_mib"]
    return f"""
## Mixed load

![Memory of the gate over {found["minutes"]:.0f} minutes](pictures/soak.svg)

{found["date"]}, Postern {found["postern"]}: {found["minutes"]:.0f} minutes of {sum(found["sessions"].values()):,} sessions of eleven sorts, good and bad, with a throttle, a greylist, a Sieve
script, a pipe and a hook, and a changed policy every half minute; {found["samples"][-1]["messages"]:,} messages were taken. Resident memory was {memory["second sixth"]:g} MiB on average in the second
sixth of the time, {memory["last sixth"]:g} MiB in the last, {memory["peak"]:g} MiB at the most; wanted is that it grows by no more than a tenth between them. Sessions left over at the end:
{found["left_over"]["sessions"]:.0f}. Descriptors more than at the start: {found["left_over"]["descriptors"]}, which are kept connections to the hook. Written by `tests/bench/soak`; the raw values are in [soak.json](soak.json).
"""


def of_one_message():
    """The figures that hold on any day, whatever else the machine does."""
    figure = json.loads((TREE / "tests/bench/instructions.json").read_text())
    return f"""
## What one message costs

Two figures of the relaying path do not depend on what else the machine does, so `tests/run` can hold them. The message has
{figure["octets"]} octets and one recipient, the connection is kept, and the next hop offers PIPELINING.

* **Instructions**: {figure["instructions_per_message"]:,} in user space, counted by valgrind's callgrind in the release binary ({figure["processor"]}).
  `tests/bench/instructions` relays N and 2 N messages and takes the difference, so that the start cancels out; runs differ by
  less than 1 %. More than 5 % above the figure in `tests/bench/instructions.json` is an error, and `--profile` shows where they are. A new compiler
  or C library changes the figure too: then, and after an improvement, `--write` makes what is found the new one. String
  instructions such as `rep stosb` count once for each octet there, so clearing memory looks dearer than it is.
* **Allocations**: `server/tests/allocations.rs` relays messages through the real listener, session and hand-off in one process and counts with
  dhat, so that no code of ours is unsafe for it. `POSTERN_ALLOCATIONS=FILE` writes who asked for the memory, for DHAT's viewer.
"""

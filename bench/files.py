"""Commands on the files of a cluster, beside the time that libyaml alone needs to parse the same files.

Each is a process of its own, as a person starts it (installed: with compiled bytecode), with everything counted from
the start of the interpreter to the end: processor time, because machines are noisy. libyaml is asked for its events,
which is the least that a program in Python can take from it, and only that is counted, not the start of its process.
"""

import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final, NamedTuple

from bench import repository, table
from bench.generate import SIZES, Size, write

_ROUNDS: Final = {"M": 7, "L": 3}
_FILES: Final = 2_000
_ROUNDS_OF_FILES: Final = 5
_TELL: Final = """
import json, re, time
from pathlib import Path
peak = re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1]
Path(sys.argv[1]).write_text(json.dumps([time.process_time() - start, int(peak) / 1024]))
"""
_EVENTS: Final = f"""
import sys, time, yaml
raws = [open(file, "rb").read() for file in sys.argv[2:]]
start = time.process_time()
for raw in raws:
    for _ in yaml.parse(raw, Loader=yaml.CSafeLoader):
        pass
{_TELL}"""
_OBJECTS: Final = _EVENTS.replace("yaml.parse(raw,", "yaml.load_all(raw,")
_RAW: Final = _EVENTS.replace(
    "for _ in yaml.parse(raw, Loader=yaml.CSafeLoader):", "if yaml.cyaml.CParser(raw).raw_parse():"
)
_READ: Final = f"""
import sys, time
from webhook.state.files import FileState
start = time.process_time()
FileState().load(sys.argv[2:])
{_TELL}"""
_COMMAND: Final = f"""
import sys
from webhook.cli import main
start, code = 0, main(sys.argv[2:])
sys.stdout.flush()
if code:
    sys.exit(code)
{_TELL}"""


class _Taken(NamedTuple):
    seconds: float
    mebibytes: float


def main() -> None:
    for name in ("M", "L"):
        with tempfile.TemporaryDirectory() as scratch:
            _compare(name, SIZES[name], Path(scratch))
    for what, per_file in (("one object each", True), ("from one object to a dozen each", False)):
        with tempfile.TemporaryDirectory() as scratch:
            _check(f"{_FILES:,} files of a repository, {what}", Path(scratch), per_file=per_file)


def _compare(name: str, size: Size, folder: Path) -> None:
    before, after = folder / "before", folder / "after"
    write(before, size)
    shutil.copytree(before, after)
    changed = after / "team-000" / "networkpolicies.yaml"
    changed.write_text(changed.read_text().replace("port: http\n", "port: 9090\n", 1))
    files = [str(file) for file in sorted(before.rglob("*.yaml"))]
    runs: dict[str, tuple[str, Sequence[str]]] = {
        "events": (_EVENTS, files),
        "raw": (_RAW, files),
        "objects": (_OBJECTS, files),
        "read": (_READ, [str(before)]),
        "connectivity": (_COMMAND, ["connectivity", str(before)]),
        "json": (_COMMAND, ["connectivity", str(before), "-o", "json"]),
        "diff": (_COMMAND, ["diff", str(before), str(after)]),
    }
    taken = _rounds(runs, _ROUNDS[name], folder)
    _print(name, size, sum(Path(file).stat().st_size for file in files), taken)


def _check(title: str, scratch: Path, *, per_file: bool) -> None:
    """`netadmit check` of many files beside the time in which PyYAML reads them: what is read by objects, not events,
    is what any program has to wait for that looks at manifests.
    """
    folder = scratch / "manifests"
    repository.write(folder, _FILES, per_file=per_file)
    files = [str(file) for file in sorted(folder.rglob("*.yaml"))]
    runs: dict[str, tuple[str, Sequence[str]]] = {
        "objects": (_OBJECTS, files),
        "check": (_COMMAND, ["check", str(folder)]),
        "json": (_COMMAND, ["check", str(folder), "-o", "json"]),
    }
    taken = _rounds(runs, _ROUNDS_OF_FILES, scratch)
    middle = _middle(taken)
    table.title(f"{title}, {sum(Path(file).stat().st_size for file in files) / 1e6:.1f} MB")
    table.line("PyYAML's objects (CSafeLoader), without the start of its process", f"{middle['objects']:.3f} s")
    # Effects are every flow that the policies cut: of the larger files three million, half a gigabyte.
    for label, what, most in (
        ("netadmit check, from start to end", "check", 2),
        ("netadmit check -o json, with effects", "json", 3),
    ):
        beside = f"{middle[what]:.3f} s  "
        table.at_most(label, middle[what] / middle["objects"], most, "× reading", beside=beside)
    table.at_most("most memory of these", max(o.mebibytes for w in ("check", "json") for o in taken[w]), 256, "MiB")


def _print(name: str, size: Size, total: int, taken: dict[str, list[_Taken]]) -> None:
    middle = _middle(taken)
    peak = max(one.mebibytes for what in ("connectivity", "json", "diff") for one in taken[what])
    table.title(
        f"{name}: files of {size.namespaces} namespaces, {size.pods:,} pods, {size.policies:,} policies, "
        f"{total / 1e6:.1f} MB"
    )
    table.line("libyaml alone: its events, in Python", f"{middle['events']:.3f} s")
    table.line("  without any Python object", f"{middle['raw']:.3f} s")
    table.line("  and PyYAML's objects (CSafeLoader)", f"{middle['objects']:.3f} s")

    def compared(label: str, what: str, files: int, most: float) -> None:
        seconds = middle[what]
        table.at_most(label, seconds / middle["events"] / files, most, "× libyaml", beside=f"{seconds:.3f} s  ")

    compared("reading the files", "read", 1, 1.3)
    compared("netadmit connectivity, from start to end", "connectivity", 1, 2)
    compared("netadmit connectivity -o json", "json", 1, 2)
    compared("netadmit diff of two folders, one policy changed", "diff", 2, 2)
    table.at_most("most memory of these", peak, 1024, "MiB")


def _rounds(runs: Mapping[str, tuple[str, Sequence[str]]], rounds: int, folder: Path) -> dict[str, list[_Taken]]:
    """What each of these took, in turns: what else the machine does falls on all of them."""
    taken: dict[str, list[_Taken]] = {what: [] for what in runs}
    for round_ in range(rounds + 1):
        for what, (program, arguments) in runs.items():
            one = _run(program, arguments, folder)
            if round_:  # the first compiles
                taken[what].append(one)
    return taken


def _middle(taken: Mapping[str, Sequence[_Taken]]) -> dict[str, float]:
    return {what: statistics.median(one.seconds for one in runs) for what, runs in taken.items()}


def _run(program: str, arguments: Sequence[str], folder: Path) -> _Taken:
    told = folder / "taken.json"
    environment = {**os.environ, "PYTHONPYCACHEPREFIX": str(folder / "bytecode")}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    done = subprocess.run(  # noqa: S603
        [sys.executable, "-c", program, str(told), *arguments],
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(done.stderr.decode())
    return _Taken(*json.loads(told.read_text()))

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
from collections.abc import Sequence
from pathlib import Path
from typing import Final, NamedTuple

from bench import table
from bench.generate import SIZES, Size, write

_ROUNDS: Final = {"M": 7, "L": 3}
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
    taken: dict[str, list[_Taken]] = {what: [] for what in runs}
    for round_ in range(_ROUNDS[name] + 1):
        for what, (program, arguments) in runs.items():
            one = _run(program, arguments, folder)
            if round_:  # the first compiles
                taken[what].append(one)
    _print(name, size, sum(Path(file).stat().st_size for file in files), taken)


def _print(name: str, size: Size, total: int, taken: dict[str, list[_Taken]]) -> None:
    middle = {what: statistics.median(one.seconds for one in runs) for what, runs in taken.items()}
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

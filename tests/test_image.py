"""What goes into the image; the image itself is built by who releases."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import kubernetes
import pytest

from webhook.cli import COMMANDS

ROOT = Path(__file__).resolve().parents[1]


def pins(name: str) -> dict[str, frozenset[str]]:
    """Every pinned package of a lock with its hashes."""
    found: dict[str, set[str]] = {}
    current: set[str] = set()
    for line in (ROOT / name).read_text().splitlines():
        if pinned := re.match(r"(\S+==\S+)", line):
            current = found.setdefault(pinned[1], set())
        elif hashed := re.search(r"--hash=(sha256:[0-9a-f]{64})", line):
            current.add(hashed[1])
    return {package: frozenset(hashes) for package, hashes in found.items()}


def test_the_image_has_the_tested_packages_and_none_of_development() -> None:
    tested, shipped = pins("requirements.lock"), pins("requirements-image.lock")
    assert shipped.items() <= tested.items(), "run `make lock`"
    assert all(shipped.values())
    names = {package.partition("==")[0] for package in shipped}
    assert {"aiohttp", "cryptography", "kubernetes"} <= names
    assert not names & {"pytest", "ruff", "mypy", "hypothesis", "import-linter"}


def test_the_image_has_the_python_that_is_tested() -> None:
    base = re.search(r"^ARG PYTHON=python:(\d+\.\d+)-", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
    assert base
    assert f"/lib/python{base[1]}/site-packages/webhook" in (ROOT / "Dockerfile").read_text()
    assert (ROOT / "pyproject.toml").read_text().count(f'requires-python = ">={base[1]}"') == 1


def test_what_the_image_leaves_out_is_imported_by_nobody() -> None:
    """Neither by us, nor by the package that it is a part of."""
    removed = re.findall(r"rm -r \S+/site-packages/(\S+)", (ROOT / "Dockerfile").read_text())
    assert removed == ["kubernetes/aio"]
    used = "from kubernetes.client import Configuration, rest; from kubernetes.config import kube_config"
    without = f"import sys; sys.modules['kubernetes.aio'] = None; import kubernetes; {used}"
    done = subprocess.run([sys.executable, "-c", without], capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    folder = Path(kubernetes.__path__[0])
    for file in [*folder.rglob("*.py"), *(ROOT / "webhook").rglob("*.py")]:
        assert folder / "aio" in file.parents or "kubernetes.aio" not in file.read_text(), file


def test_the_image_runs_as_nobody_and_tells_its_health_itself() -> None:
    text = (ROOT / "Dockerfile").read_text()
    final = text[text.rindex("\nFROM ") :]
    users = re.findall(r"^USER (\d+):(\d+)$", final, re.MULTILINE)
    assert users == [("65532", "65532")], "a number, as Kubernetes cannot tell of a name that it is not root's"
    check = re.search(r"^HEALTHCHECK .*CMD (\[.*\])$", final, re.MULTILINE)
    assert check
    program, command = json.loads(check[1])
    assert program == "netadmit"
    assert command in COMMANDS


def test_the_dockerfile_is_as_hadolint_likes_it() -> None:
    hadolint = shutil.which("hadolint", path=Path(sys.executable).parent) or shutil.which("hadolint")
    if hadolint is None:
        pytest.skip("hadolint is not installed")
    done = subprocess.run([hadolint, str(ROOT / "Dockerfile")], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr

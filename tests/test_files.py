"""State from files, and files under review: what counts as being there."""

import io

import pytest

from webhook.check import Level
from webhook.model.cluster import Completeness
from webhook.model.objects import NAMESPACE, POD
from webhook.pipeline import Judge
from webhook.state.files import FileState

SERVICE = """
apiVersion: v1
kind: Service
metadata: {name: web, namespace: shop}
spec: {selector: {app: web}, ports: [{port: 80, targetPort: http}]}
"""
TEMPLATE = """
spec:
  template:
    metadata: {labels: {app: web}}
    spec: {containers: [{name: web, ports: [{name: http, containerPort: 8080}]}]}
"""


def said(text: str, cluster: str = "", *, complete: bool = True) -> dict[str, Level]:
    state = FileState(complete=complete)
    state.load(["-"] if cluster else [], stdin=io.BytesIO(cluster.encode()))
    reviewed = state.review(["-"], stdin=io.BytesIO(text.encode()))
    assert state.problems == []
    rulings = [r for item in reviewed for r in Judge().check(item.manifest, item.judged, state.cluster).verdict.rulings]
    return {r.check: r.level for r in rulings if r.level > Level.NOTE}


@pytest.mark.parametrize(
    ("api_version", "kind"),
    [
        ("argoproj.io/v1alpha1", "Rollout"),
        ("v1", "ReplicationController"),
        ("apps.openshift.io/v1", "DeploymentConfig"),
    ],
)
def test_whatever_has_a_pod_template_stands_for_pods(api_version: str, kind: str) -> None:
    workload = f"apiVersion: {api_version}\nkind: {kind}\nmetadata: {{name: web, namespace: shop}}{TEMPLATE}"
    assert said(f"{workload}---{SERVICE}") == {}
    assert said(SERVICE) == {"service-selects-nothing": Level.WARNING}


def test_a_template_that_is_none_is_no_error() -> None:
    head = "apiVersion: example.org/v1\nkind: Odd\nmetadata: {name: a, namespace: shop}\n"
    odd = head + "spec: {template: {metadata: {labels: 3}}}\n"
    assert said(f"{odd}---{SERVICE}") == {"service-selects-nothing": Level.WARNING}


def test_files_alone_declared_complete_need_no_namespace_object() -> None:
    workload = f"apiVersion: apps/v1\nkind: Deployment\nmetadata: {{name: web, namespace: shop}}{TEMPLATE}"
    assert said(f"{workload}---{SERVICE}") == {}


def test_beside_a_complete_state_a_missing_namespace_is_said() -> None:
    cluster = "apiVersion: v1\nkind: Namespace\nmetadata: {name: other}\n"
    assert said(SERVICE, cluster) == {"namespace-not-found": Level.WARNING}
    assert said(f"apiVersion: v1\nkind: Namespace\nmetadata: {{name: shop}}\n---{SERVICE}", cluster) == {
        "service-selects-nothing": Level.WARNING
    }


def test_an_object_that_cannot_be_decoded_makes_its_kind_partial() -> None:
    state = FileState(complete=True)
    state.load(["-"], stdin=io.BytesIO(b"apiVersion: v1\nkind: Pod\nmetadata: {name: a}\nspec: {containers: 3}\n"))
    assert [str(problem) for problem in state.problems] == [
        "<stdin>:4:8 (document 1): spec.containers: v1/Pod: Expected `array`, got `int`"
    ]
    assert state.cluster.completeness(POD) is Completeness.PARTIAL
    assert state.cluster.completeness(NAMESPACE) is Completeness.COMPLETE

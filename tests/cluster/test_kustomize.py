"""deploy/ as a base of kustomize, as the real kubectl builds it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from .control_plane import ControlPlane

DEPLOY = Path(__file__).resolve().parents[2] / "deploy"
OVERLAY = """
apiVersion: kustomize.config.k8s.io/v1beta1
kind: Kustomization
resources: [BASE]
images:
  - name: ghcr.io/netadmit/netadmit
    newName: registry.example/netadmit
    digest: sha256:0000000000000000000000000000000000000000000000000000000000000000
replicas:
  - name: netadmit
    count: 3
patches:
  - target: {kind: ConfigMap, name: netadmit}
    patch: |
      - op: replace
        path: /data/config.yaml
        value: "apiVersion: netadmit.io/v1\\nkind: Config\\nmode: warn\\n"
"""


def built(control_plane: ControlPlane, folder: Path) -> dict[tuple[str, str, str], dict[str, Any]]:
    """What kubectl makes of a kustomization, by kind, namespace and name."""
    done = control_plane.kubectl("kustomize", str(folder), "--load-restrictor=LoadRestrictionsNone")
    assert done.stderr == "", "kustomize warns of what is deprecated"
    return by_name(done.stdout)


def by_name(text: str) -> dict[tuple[str, str, str], dict[str, Any]]:
    objects = [document for document in yaml.safe_load_all(text) if document]
    return {(o["kind"], o["metadata"].get("namespace", ""), o["metadata"]["name"]): o for o in objects}


def test_the_base_is_what_the_manifest_has(control_plane: ControlPlane) -> None:
    assert built(control_plane, DEPLOY) == by_name((DEPLOY / "netadmit.yaml").read_text())


def test_an_overlay_changes_what_it_names_and_nothing_else(control_plane: ControlPlane, tmp_path: Path) -> None:
    base = tmp_path / "base"
    base.symlink_to(DEPLOY, target_is_directory=True)
    overlay = tmp_path / "overlay"
    overlay.mkdir()
    (overlay / "kustomization.yaml").write_text(OVERLAY.replace("BASE", "../base"))
    before, after = by_name((DEPLOY / "netadmit.yaml").read_text()), built(control_plane, overlay)
    assert before.keys() == after.keys()
    changed = {kind for (kind, *_), found in after.items() if found != before[kind, *_]}
    assert changed == {"Deployment", "ConfigMap"}
    deployment = after["Deployment", "netadmit", "netadmit"]["spec"]
    assert deployment["replicas"] == 3
    [container] = deployment["template"]["spec"]["containers"]
    assert container["image"] == f"registry.example/netadmit@sha256:{'0' * 64}"
    assert "mode: warn" in after["ConfigMap", "netadmit", "netadmit"]["data"]["config.yaml"]


def test_the_component_lets_it_ask_what_others_may_list_and_nothing_else(
    control_plane: ControlPlane, tmp_path: Path
) -> None:
    base = tmp_path / "base"
    base.symlink_to(DEPLOY, target_is_directory=True)
    overlay = tmp_path / "overlay"
    overlay.mkdir()
    text = OVERLAY.replace("BASE", "../base").replace("mode: warn", "disclose: requester")
    (overlay / "kustomization.yaml").write_text(f"{text}components: [../base/disclose-requester]\n")
    before, after = by_name((DEPLOY / "netadmit.yaml").read_text()), built(control_plane, overlay)
    assert {(kind, name) for kind, _, name in after.keys() - before.keys()} == {
        ("ClusterRole", "netadmit-access-reviews"),
        ("ClusterRoleBinding", "netadmit-access-reviews"),
    }
    assert before.keys() < after.keys()
    assert "disclose: requester" in after["ConfigMap", "netadmit", "netadmit"]["data"]["config.yaml"]


def test_the_component_adds_what_is_watched(control_plane: ControlPlane, tmp_path: Path) -> None:
    (tmp_path / "deploy").symlink_to(DEPLOY, target_is_directory=True)
    overlay = tmp_path / "overlay"
    overlay.mkdir()
    lines = ["resources: [../deploy]", "components: [../deploy/watch-kinds]"]
    (overlay / "kustomization.yaml").write_text("\n".join(lines))
    before, after = by_name((DEPLOY / "netadmit.yaml").read_text()), built(control_plane, overlay)
    assert {kind for (kind, *_), found in after.items() if found != before[kind, *_]} == {
        "ConfigMap",
        "ValidatingWebhookConfiguration",
    }
    names = [one["name"] for one in after["ValidatingWebhookConfiguration", "", "netadmit"]["webhooks"]]
    assert names == ["validate.netadmit.io", "watch.netadmit.io"]
    assert "watchKinds" in after["ConfigMap", "netadmit", "netadmit"]["data"]["config.yaml"]

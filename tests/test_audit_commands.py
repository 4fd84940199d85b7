"""The commands about a cluster: audit, enforcement, snapshot, certs, checks --effective."""

import json
from pathlib import Path

import pytest

from webhook.cli import main

EXAMPLE = Path(__file__).parents[1] / "webhook" / "cli" / "example"
FIXTURES = Path(__file__).parent / "fixtures" / "enforcement"


def test_audit_judges_what_is_there(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["audit", "--cluster", str(EXAMPLE), "-o", "json"]) == 1
    report = json.loads(capsys.readouterr().out)
    assert {(f["check"], f["object"]["name"]) for f in report["findings"]} == {
        ("rules-without-policy-type", "orders-db-egress"),
        ("peers-or-not-and", "orders-db-metrics"),
        ("service-selects-nothing", "frontend"),
    }
    assert report["summary"]["objects"] == 4
    assert all("source" not in f for f in report["findings"])


def test_audit_shows_the_reasons_of_waivers(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lost = (EXAMPLE / "4-lost-service.yaml").read_text()
    waiver = "\n  annotations: {netadmit.io/ignore.service-selects-nothing: the pods come with the next release}"
    (tmp_path / "service.yaml").write_text(lost.replace("\n  namespace: shop", f"\n  namespace: shop{waiver}"))
    code = main(["audit", "--cluster", str(EXAMPLE / "cluster.yaml"), "--cluster", str(tmp_path)])
    out = capsys.readouterr().out
    assert code == 0
    assert "waived[service-selects-nothing] Service shop/frontend: the pods come with the next release" in out


@pytest.mark.parametrize(
    ("fixture", "expected"),
    [("flannel", "not-enforced"), ("calico-manifest", "enforced by Calico")],
)
def test_enforcement_says_who(fixture: str, expected: str, capsys: pytest.CaptureFixture[str]) -> None:
    path = FIXTURES / f"{fixture}.yaml"
    assert path.exists(), sorted(p.name for p in FIXTURES.iterdir())
    assert main(["enforcement", "--cluster", str(path), "--complete"]) == 0
    out = capsys.readouterr().out
    assert out.startswith(expected)
    assert "seen: DaemonSet" in out


def test_enforcement_of_nothing_is_unknown(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "ns.yaml").write_text("apiVersion: v1\nkind: Namespace\nmetadata: {name: shop}\n")
    assert main(["enforcement", "--cluster", str(tmp_path), "-o", "json"]) == 0
    assert json.loads(capsys.readouterr().out)["state"] == "unknown"


def test_a_snapshot_gives_the_same_audit(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "snapshot.yaml"
    assert main(["snapshot", "--cluster", str(EXAMPLE), "--output", str(file)]) == 0
    capsys.readouterr()
    main(["audit", "--cluster", str(EXAMPLE), "-o", "json"])
    before = capsys.readouterr().out
    main(["audit", "--cluster", str(file), "-o", "json"])
    assert capsys.readouterr().out == before


@pytest.mark.parametrize("command", ["audit", "enforcement", "snapshot"])
def test_without_a_cluster_it_says_so(
    command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("KUBECONFIG", raising=False)
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert main([command]) == 2
    assert "no cluster to ask" in capsys.readouterr().err


def test_files_and_a_live_cluster_exclude_each_other(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["audit", "--live", "--cluster", str(EXAMPLE)]) == 2
    assert "not from both" in capsys.readouterr().err


def test_certificates_are_issued_inspected_and_rotated(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = str(tmp_path / "tls")
    assert main(["certs", "issue", "--dir", folder, "--dns-name", "hook.example"]) == 0
    first = (tmp_path / "tls" / "tls.crt").read_bytes()
    assert main(["certs", "issue", "--dir", folder]) == 2, "an existing certificate is not replaced by accident"
    assert main(["certs", "rotate", "--dir", folder]) == 0
    assert (tmp_path / "tls" / "tls.crt").read_bytes() != first
    assert (tmp_path / "tls" / "ca.crt").read_text().count("BEGIN CERTIFICATE") == 2
    capsys.readouterr()
    assert main(["certs", "inspect", "--dir", folder]) == 0
    out = capsys.readouterr().out
    assert "hook.example" in out
    assert "belongs to it" in out
    assert "trusts it" in out
    assert "DOES NOT" not in out


def test_a_mismatched_key_is_seen(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("one", "other"):
        assert main(["certs", "issue", "--dir", str(tmp_path / name)]) == 0
    (tmp_path / "one" / "tls.key").write_bytes((tmp_path / "other" / "tls.key").read_bytes())
    capsys.readouterr()
    assert main(["certs", "inspect", "--dir", str(tmp_path / "one")]) == 0
    assert "DOES NOT belong to it" in capsys.readouterr().out


def test_no_certificate_is_a_clear_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["certs", "inspect", "--dir", str(tmp_path / "none")]) == 2
    (tmp_path / "tls.crt").write_text("hello")
    (tmp_path / "tls.key").write_text("hello")
    assert main(["certs", "inspect", "--dir", str(tmp_path)]) == 2
    err = capsys.readouterr().err
    assert "No such file" in err
    assert "not a certificate" in err


def test_effective_settings_of_a_namespace(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = tmp_path / "config.yaml"
    config.write_text(
        "apiVersion: netadmit.io/v1\nkind: Config\nmode: off\n"
        "checks: {peers-or-not-and: {action: deny, waivers: none}}\n"
        "namespaces: [{match: ['team-*'], mode: enforce, profile: strict}]\n"
    )
    arguments = ["checks", "--effective", "--config", str(config), "-o", "json"]
    assert main([*arguments, "--namespace", "team-a"]) == 0
    strict = json.loads(capsys.readouterr().out)
    assert main([*arguments, "--namespace", "shop"]) == 0
    other = json.loads(capsys.readouterr().out)
    assert (strict["mode"], other["mode"]) == ("enforce", "off")
    actions = [{c["id"]: c["action"] for c in shown["checks"]}["cni-does-not-enforce"] for shown in (strict, other)]
    assert actions == ["deny", "warn"]
    assert {c["id"]: c["waivers"] for c in other["checks"]}["peers-or-not-and"] == "none"

"""A real control plane on this machine's loopback: etcd and kube-apiserver, built from pinned Go modules.

`build()` makes the binaries once, `ControlPlane` starts and stops them, and `python tests/cluster/control_plane.py`
(`make cluster`) starts one to try things out. There is no kubelet and no controller manager: pods stay pending until
`run_pod` writes their status, namespaces only go away through `delete_namespace`, and what somebody owned only where
`garbage_collector` runs.
"""

from __future__ import annotations

import argparse
import atexit
import base64
import contextlib
import dataclasses
import datetime as dt
import fcntl
import hashlib
import http.client
import ipaddress
import itertools
import json
import os
import platform
import random
import re
import secrets
import shlex
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Any, Self

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

HERE = Path(__file__).resolve().parent
BINARIES = ("etcd", "kube-apiserver", "kubectl")
Log = Callable[[str], None]


class ControlPlaneError(Exception):
    """The control plane could not be built or started, or did not answer as asked."""


class CannotBuildHereError(ControlPlaneError):
    """This machine lacks what a build needs (Go, or the modules): the fault is not the code's."""


# --- building ---------------------------------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class Module:
    """One of the go.mod folders here: what it pins, and so what is built."""

    folder: Path
    main: str  # the module whose version is the binaries' version
    programs: Mapping[str, str]  # binary: package

    @property
    def go_mod(self) -> str:
        return (self.folder / "go.mod").read_text(encoding="utf-8")

    @property
    def version(self) -> str:
        return _only(rf"^\s*(?:require )?{re.escape(self.main)} v(\S+)", self.go_mod)

    @property
    def go(self) -> str:
        return _only(r"^go (\S+)", self.go_mod)

    @property
    def ldflags(self) -> str:
        major, minor = self.version.split(".")[:2]
        stamp: dict[str, str] = {}
        if self.main.startswith("k8s.io/"):
            # Without these kube-apiserver calls itself v0.0.0-master; discovery, feature gates and kubectl go by that.
            stamp = {"gitVersion": f"v{self.version}", "gitMajor": major, "gitMinor": minor}
            stamp = {f"k8s.io/component-base/version.{key}": value for key, value in stamp.items()}
        elif self.main.startswith("helm.sh/"):
            # As its Makefile does: without these it calls itself v3.x, and takes every cluster for Kubernetes 1.20.
            stamp[f"{self.main}/internal/version.version"] = f"v{self.version}"
            for package in ("lint/rules", "chartutil"):
                stamp[f"{self.main}/pkg/{package}.k8sVersionMajor"] = "1"
                stamp[f"{self.main}/pkg/{package}.k8sVersionMinor"] = _only(
                    r"^\s*k8s.io/client-go v0\.(\d+)", self.go_mod
                )
        return " ".join(["-s -w", *(f"-X {key}={value}" for key, value in stamp.items())])


KUBERNETES = Module(
    HERE / "control-plane",
    "k8s.io/kubernetes",
    {name: f"k8s.io/kubernetes/cmd/{name}" for name in ("kube-apiserver", "kubectl")},
)
ETCD = Module(HERE / "etcd", "go.etcd.io/etcd/server/v3", {"etcd": "go.etcd.io/etcd/server/v3"})
GARBAGE_COLLECTOR = Module(KUBERNETES.folder, KUBERNETES.main, {"garbage-collector": "./garbage-collector"})
HELM3 = Module(HERE / "helm3", "helm.sh/helm/v3", {"helm": "helm.sh/helm/v3/cmd/helm"})


def _only(pattern: str, text: str) -> str:
    found = re.search(pattern, text, re.MULTILINE)
    if found is None:
        raise ControlPlaneError(f"no line like {pattern!r} in go.mod")
    return found[1]


def _say(line: str) -> None:
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()


def cache_folder() -> Path:
    """Where the binaries of exactly these go.mod files are, or will be once they are built."""
    return _folder(f"{KUBERNETES.version}-etcd-{ETCD.version}", KUBERNETES, ETCD)


def _folder(name: str, *modules: Module) -> Path:
    if named := os.environ.get("NETADMIT_CONTROL_PLANE_CACHE"):
        root = Path(named)
    else:
        root = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "netadmit" / "control-plane"
    digest = hashlib.sha256()
    for module in modules:
        digest.update(module.go_mod.encode())
        for own in (package for package in module.programs.values() if package.startswith("./")):
            digest.update((module.folder / own / "main.go").read_bytes())
    machine = f"{platform.system()}-{platform.machine()}".lower()
    return root.absolute() / f"{name}-{machine}-{digest.hexdigest()[:10]}"


def is_built() -> bool:
    return _are_there(cache_folder(), BINARIES)


def build(log: Log = _say) -> Path:
    """Builds what is missing (15 minutes, once a version) and returns the folder with the three binaries."""
    return _built("the control plane", cache_folder(), (ETCD, KUBERNETES), log)


def helm3_folder() -> Path:
    """Where Helm 3 is, or will be once it is built."""
    return _folder(f"helm-{HELM3.version}", HELM3)


def is_helm3_built() -> bool:
    return _are_there(helm3_folder(), HELM3.programs)


def build_helm3(log: Log = _say) -> Path:
    """Builds Helm 3 if it is not there, and returns the binary.

    It is built of the same release of Kubernetes' libraries as the control plane: most of them are compiled already.
    """
    return _built("Helm 3", helm3_folder(), (HELM3,), log) / "helm"


def build_garbage_collector(log: Log = _say) -> Path:
    """Builds kube-controller-manager's garbage collector, if it is not there (seconds), and returns the binary."""
    folder = _folder(f"garbage-collector-{KUBERNETES.version}", GARBAGE_COLLECTOR)
    return _built("the garbage collector", folder, (GARBAGE_COLLECTOR,), log) / "garbage-collector"


def _are_there(folder: Path, names: Iterable[str]) -> bool:
    return all(os.access(folder / name, os.X_OK) for name in names)


def _built(what: str, folder: Path, modules: Sequence[Module], log: Log) -> Path:
    names = [name for module in modules for name in module.programs]
    if _are_there(folder, names):
        return folder
    go = _find_go(what, modules)
    folder.parent.mkdir(parents=True, exist_ok=True)
    with (folder.parent / f".{folder.name}.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            log(f"netadmit: another process builds {what} into {folder}; waiting for it")
            fcntl.flock(lock, fcntl.LOCK_EX)
        if _are_there(folder, names):
            return folder
        log(f"netadmit: building {what} into {folder}: up to 15 minutes, once for this version")
        started = time.monotonic()
        with tempfile.TemporaryDirectory(prefix=f".{folder.name}.", dir=folder.parent) as scratch:
            made = Path(scratch) / "bin"
            made.mkdir()
            for module in modules:
                _build_module(go, module, made, log)
            shutil.rmtree(folder, ignore_errors=True)  # what a user left half-deleted
            made.rename(folder)
        log(f"netadmit: built {what}, {time.monotonic() - started:.0f} s")
    return folder


def _find_go(what: str, modules: Sequence[Module]) -> str:
    wanted = max((module.go for module in modules), key=_numbers)
    need = f"building {what} needs Go >= {wanted}"
    remedy = f"install Go >= {'.'.join(wanted.split('.')[:2])} and run make test again"
    go = shutil.which("go")
    if go is None:
        raise CannotBuildHereError(f"{need}, and there is no `go` on PATH: {remedy}")
    # Outside any module: inside one, a `go` that is too old only complains about the go.mod.
    asked = subprocess.run(
        [go, "env", "GOVERSION"], env=_go_environment(), cwd="/", capture_output=True, text=True, check=False
    )
    version = re.search(r"go(\d+\.\d+(?:\.\d+)?)", asked.stdout)
    if asked.returncode or version is None:
        raise CannotBuildHereError(f"{need}, and {go} does not say its version ({asked.stderr.strip()}): {remedy}")
    if _numbers(version[1]) < _numbers(wanted):
        raise CannotBuildHereError(f"{need}, and {go} is {version[1]}: {remedy}")
    return go


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", version))[:3]


def _go_environment() -> dict[str, str]:
    # The toolchain is the machine's own: a silent download of another one is not this build's to start.
    return {**os.environ, "CGO_ENABLED": "0", "GOTOOLCHAIN": "local", "GOWORK": "off"}


def _build_module(go: str, module: Module, into: Path, log: Log) -> None:
    names, packages = " and ".join(module.programs), list(module.programs.values())
    started = time.monotonic()
    log(f"netadmit: fetching the modules of {names} {module.version}")
    try:
        _run_go([go, "list", "-mod=readonly", "-deps", *packages], module, log)
    except ControlPlaneError as error:
        raise CannotBuildHereError(f"the Go modules of {names} could not be fetched: {error}") from error
    log(f"netadmit: building {names} {module.version}")
    for name, package in module.programs.items():
        output = str(into / name)
        _run_go(
            [go, "build", "-mod=readonly", "-trimpath", "-ldflags", module.ldflags, "-o", output, package], module, log
        )
    log(f"netadmit: built {names}, {time.monotonic() - started:.0f} s")


def _run_go(command: list[str], module: Module, log: Log) -> None:
    started = time.monotonic()
    with tempfile.TemporaryFile("w+") as errors:
        process = subprocess.Popen(
            command, cwd=module.folder, env=_go_environment(), stdout=subprocess.DEVNULL, stderr=errors
        )
        try:
            while True:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(60)
                    break
                log(f"netadmit: ... still at it, {time.monotonic() - started:.0f} s")  # CI kills what is silent
        finally:
            if process.poll() is None:
                process.terminate()
                process.wait()
        if process.returncode:
            errors.seek(0)
            raise ControlPlaneError(f"{shlex.join(command)} failed:\n{_tail(errors)}")


def _tail(file: IO[str], lines: int = 25) -> str:
    return "".join(file.readlines()[-lines:])


# --- certificates and users -------------------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class User:
    """Somebody the API server knows, by a bearer token (known from the start) or by a client certificate."""

    name: str
    groups: tuple[str, ...] = ()
    token: str | None = None
    certificate: Path | None = None
    key: Path | None = None


ADMIN, TENANT, RESTRICTED = "admin", "tenant", "restricted"


class _Authority:
    """The control plane's CA. Strict enough for ssl.VERIFY_X509_STRICT, Python's default from 3.13 on."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "netadmit-test-control-plane")])
        certificate = (
            self._builder(self._name, self._key.public_key())
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(_key_usage(ca=True), critical=True)
            .sign(self._key, hashes.SHA256())
        )
        self.file = folder / "ca.crt"
        self.file.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))

    def _builder(self, subject: x509.Name, key: ec.EllipticCurvePublicKey) -> x509.CertificateBuilder:
        now = dt.datetime.now(dt.UTC)
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - dt.timedelta(hours=1))
            .not_valid_after(now + dt.timedelta(days=30))
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()), critical=False)
        )

    def issue(
        self, file: str, name: str, groups: Iterable[str] = (), names: Sequence[x509.GeneralName] = ()
    ) -> tuple[Path, Path]:
        """Writes a leaf (a server's when it has `names`, else a client's) and its key; returns both files."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = [x509.NameAttribute(NameOID.ORGANIZATION_NAME, group) for group in groups]
        subject.append(x509.NameAttribute(NameOID.COMMON_NAME, name))
        purpose = ExtendedKeyUsageOID.SERVER_AUTH if names else ExtendedKeyUsageOID.CLIENT_AUTH
        builder = (
            self._builder(x509.Name(subject), key.public_key())
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_key_usage(ca=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage([purpose]), critical=False)
        )
        if names:
            builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
        certificate, key_file = self._folder / f"{file}.crt", self._folder / f"{file}.key"
        certificate.write_bytes(builder.sign(self._key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM))
        _write_private(key_file, _pem(key))
        return certificate, key_file


def _key_usage(*, ca: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=ca,
        crl_sign=ca,
        encipher_only=False,
        decipher_only=False,
    )


def _pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _write_private(file: Path, content: bytes) -> None:
    file.touch(mode=0o600)
    file.write_bytes(content)


# --- running ----------------------------------------------------------------------------------------------------------

# The child asks the kernel to be killed with its parent (PR_SET_PDEATHSIG is 1), then becomes the program. In a
# process of its own because preexec_fn is unsafe, and from Python 3.12 on a warning, once there are threads.
_DIE_WITH_PARENT = """
import ctypes, os, sys
ctypes.CDLL(None).prctl(1, 9)
if os.getppid() != int(sys.argv[1]):
    sys.exit("the parent is gone already")
os.execv(sys.argv[2], sys.argv[2:])
"""


class _Process:
    """A program in a process group of its own, with its output in a log file."""

    def __init__(self, command: Sequence[str], log: Path, environment: Mapping[str, str]) -> None:
        self.name, self.log = Path(command[0]).name, log
        if sys.platform == "linux":
            command = [sys.executable, "-I", "-S", "-c", _DIE_WITH_PARENT, str(os.getpid()), *command]
        with log.open("ab") as output:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env=environment,
                cwd=log.parent,
                start_new_session=True,  # Ctrl-C is for us: we stop it, in order
            )

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def running(self) -> bool:
        return self._process.poll() is None

    def stop(self, patience: float) -> None:
        for number, seconds in ((signal.SIGTERM, patience), (signal.SIGKILL, None)):
            if not self.running:
                return
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self.pid, number)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(seconds)

    def tail(self) -> str:
        with self.log.open(encoding="utf-8", errors="replace") as file:
            return f"--- the end of {self.log}:\n{_tail(file)}"


@dataclasses.dataclass(frozen=True)
class Answer:
    """What the API server answered to one request."""

    status: int
    body: Any  # decoded when it is JSON, else text
    warnings: tuple[str, ...]  # what kubectl would print after "Warning: "


class _PortTakenError(ControlPlaneError):
    """Somebody was faster to a port that had been free."""


class ControlPlane:
    """etcd and kube-apiserver on free loopback ports, with everything they write in one folder.

    Use it as a context manager, or `start()` and `stop()`. Start it from a thread that lives as long as it is needed
    (the main one): on Linux its processes are killed when that thread ends. Users that are always there: `admin`
    (system:masters), `tenant` (group `tenants`) and `restricted` (no group); the last two may do nothing until `grant`
    lets them. All methods but start and stop may be called from any thread.
    """

    def __init__(
        self,
        binaries: Path | None = None,
        *,
        folder: Path | None = None,
        users: Iterable[User] = (),
        api_server_args: Sequence[str] = (),
    ) -> None:
        self.binaries = binaries or build()
        self.folder = folder or Path(tempfile.mkdtemp(prefix="netadmit-control-plane-"))
        self._own_folder = folder is None
        self._arguments = tuple(api_server_args)
        self._api_server: tuple[str, ...] = ()
        self._processes: list[_Process] = []
        self._counter = itertools.count(10)
        self._claim, self.service_cidr = _claim_service_cidr()
        self.port = 0
        self._etcd = ""
        for name in ("pki", "home", "kubeconfig"):
            (self.folder / name).mkdir(parents=True, exist_ok=True)
        self._authority = _Authority(self.folder / "pki")
        self.ca_file = self._authority.file
        self.ssl_context = ssl.create_default_context(cafile=str(self.ca_file))
        self._kept: http.client.HTTPSConnection | None = None
        known = [User(ADMIN, ("system:masters",)), User(TENANT, ("tenants",)), User(RESTRICTED), *users]
        self._users = {
            user.name: dataclasses.replace(user, token=user.token or secrets.token_urlsafe(24)) for user in known
        }

    # -- starting and stopping

    def start(self, timeout: float = 90) -> Self:
        """Starts both, and returns once the API server is ready for requests (3 to 10 s)."""
        self._write_identity()
        atexit.register(self.stop)
        try:
            for attempt in itertools.count(1):
                try:
                    self._launch(timeout)
                    break
                except _PortTakenError:
                    self._stop_processes()
                    if attempt == 3:
                        raise
        except BaseException:
            self._own_folder = False  # its logs are what the error speaks of
            self.stop()
            raise
        return self

    def stop(self) -> None:
        """Ends both processes for certain; says nothing if they have ended before."""
        if self._kept is not None:
            self._kept.close()
            self._kept = None
        self._stop_processes()
        atexit.unregister(self.stop)
        if self._claim is not None:
            self._claim.close()
            self._claim = None
        shutil.rmtree(self.folder if self._own_folder else self.folder / "etcd", ignore_errors=True)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def running(self) -> bool:
        return bool(self._processes) and all(process.running for process in self._processes)

    @property
    def pids(self) -> Mapping[str, int]:
        return {process.name: process.pid for process in self._processes}

    @property
    def logs(self) -> Mapping[str, Path]:
        return {name: self.folder / f"{name}.log" for name in ("etcd", "kube-apiserver")}

    def tails(self) -> str:
        """The ends of both logs."""
        return "\n".join(process.tail() for process in self._processes)

    def _stop_processes(self) -> None:
        # The API server first, and without waiting for its watchers: nothing in here is worth a clean end.
        while self._processes:
            self._processes[-1].stop(patience=3)
            self._processes.pop()

    def _write_identity(self) -> None:
        pki = self.folder / "pki"
        key = ec.generate_private_key(ec.SECP256R1())
        _write_private(pki / "sa.key", _pem(key))
        public = serialization.PublicFormat.SubjectPublicKeyInfo
        (pki / "sa.pub").write_bytes(key.public_key().public_bytes(serialization.Encoding.PEM, public))
        service = ["kubernetes", "kubernetes.default", "kubernetes.default.svc"]
        self._authority.issue(
            "apiserver",
            "kube-apiserver",
            names=[
                *(x509.DNSName(name) for name in ("localhost", *service)),
                *(x509.IPAddress(ipaddress.ip_address(ip)) for ip in ("127.0.0.1", self.service_ip(1))),
            ],
        )
        lines = [f'{user.token},{user.name},{user.name},"{",".join(user.groups)}"' for user in self._users.values()]
        _write_private(pki / "tokens.csv", "\n".join(lines).encode())

    def _launch(self, timeout: float) -> None:
        deadline = time.monotonic() + timeout
        client, peer, self.port = _free_ports(3)
        shutil.rmtree(self.folder / "etcd", ignore_errors=True)
        for user in self._users.values():
            self._write_kubeconfig(user)
        pki, etcd = self.folder / "pki", f"http://127.0.0.1:{client}"
        self._etcd = etcd
        self._run(
            "etcd",
            f"--data-dir={self.folder / 'etcd'}",
            f"--listen-client-urls={etcd}",
            f"--advertise-client-urls={etcd}",
            f"--listen-peer-urls=http://127.0.0.1:{peer}",
            f"--initial-advertise-peer-urls=http://127.0.0.1:{peer}",
            f"--initial-cluster=default=http://127.0.0.1:{peer}",
            "--unsafe-no-fsync",
            "--watch-progress-notify-interval=5s",  # as kubeadm has it: bookmarks and reads from the cache
            "--log-level=warn",
        )
        self._api_server = (
            f"--etcd-servers={etcd}",
            "--bind-address=127.0.0.1",
            f"--secure-port={self.port}",
            "--advertise-address=192.0.2.1",  # any but loopback, which Endpoints may not hold; else the machine's own
            f"--cert-dir={pki}",
            f"--tls-cert-file={pki / 'apiserver.crt'}",
            f"--tls-private-key-file={pki / 'apiserver.key'}",
            f"--client-ca-file={self.ca_file}",
            f"--token-auth-file={pki / 'tokens.csv'}",
            f"--service-account-key-file={pki / 'sa.pub'}",
            f"--service-account-signing-key-file={pki / 'sa.key'}",
            "--service-account-issuer=https://kubernetes.default.svc",
            "--authorization-mode=RBAC",
            f"--service-cluster-ip-range={self.service_cidr}",
            # It refuses pods until a controller has made their namespace's service account, and there is none here.
            "--disable-admission-plugins=ServiceAccount",
            *self._arguments,
        )
        self._run("kube-apiserver", *self._api_server)
        self._wait_ready(deadline, timeout)

    def restart_api_server(self, timeout: float = 90) -> None:
        """Ends the API server and starts it again, as an upgrade does: same port, same users, same data."""
        self._processes.pop().stop(patience=5)
        self._run("kube-apiserver", *self._api_server)
        self._wait_ready(time.monotonic() + timeout, timeout)

    def _wait_ready(self, deadline: float, timeout: float) -> None:
        while not self._ready():
            for process in self._processes:
                if not process.running:
                    kind = _PortTakenError if "address already in use" in process.tail() else ControlPlaneError
                    raise kind(f"{process.name} ended while it started\n{process.tail()}")
            if time.monotonic() > deadline:
                raise ControlPlaneError(f"the control plane was not ready after {timeout:.0f} s\n{self.tails()}")
            time.sleep(0.05)

    def _run(self, name: str, *arguments: str) -> None:
        command = [str(self.binaries / name), *arguments]
        self._processes.append(_Process(command, self.logs[name], self._environment()))

    def _environment(self) -> dict[str, str]:
        """This process' environment without what would change what the programs do: proxies, settings, HOME."""
        dropped = re.compile(r"(?i).*_proxy$|^(KUBE|ETCD_).*")
        home = self.folder / "home"
        kept = {key: value for key, value in os.environ.items() if not dropped.match(key)}
        return {**kept, "HOME": str(home), "KUBECACHEDIR": str(home / "cache")}

    def _ready(self) -> bool:
        """/readyz says so, and what is made just after it is there: `default`, and addresses for Services."""
        paths = ("/readyz", "/api/v1/namespaces/default", "/api/v1/namespaces/default/services/kubernetes")
        try:
            if not all(self.request("GET", path, check=False).status == 200 for path in paths):
                return False
            ranges = self.request("GET", "/apis/networking.k8s.io/v1/servicecidrs/kubernetes", check=False).body
            conditions = ranges.get("status", {}).get("conditions", [])
            return any(c["type"] == "Ready" and c["status"] == "True" for c in conditions)
        except (OSError, http.client.HTTPException):
            return False

    # -- who may do what

    def add_user(self, name: str, *groups: str) -> User:
        """Makes a user at any time; one that is made after the start has a client certificate instead of a token."""
        if name in self._users:
            raise ControlPlaneError(f"there is a user {name!r} already")
        if self._processes:
            certificate, key = self._authority.issue(f"user-{len(self._users)}", name, groups)
            user = User(name, groups, certificate=certificate, key=key)
            self._write_kubeconfig(user)
        else:
            user = User(name, groups, token=secrets.token_urlsafe(24))
        self._users[name] = user
        return user

    def user(self, name: str) -> User:
        if name not in self._users:
            raise ControlPlaneError(f"no user {name!r}: add_user makes one; there are {', '.join(self._users)}")
        return self._users[name]

    def grant(
        self,
        user: str,
        verbs: Sequence[str],
        resources: Sequence[str],
        *,
        api_groups: Sequence[str] = ("",),
        namespace: str | None = None,
    ) -> None:
        """Lets a user do this by RBAC, in one namespace or (None) in all, and waits until it is so."""
        kind = "ClusterRole" if namespace is None else "Role"
        prefix = "/apis/rbac.authorization.k8s.io/v1" + ("" if namespace is None else f"/namespaces/{namespace}")
        role = self.request(
            "POST",
            f"{prefix}/{kind.lower()}s",
            {
                "metadata": {"generateName": "test-"},
                "rules": [{"verbs": [*verbs], "apiGroups": [*api_groups], "resources": [*resources]}],
            },
        ).body["metadata"]["name"]
        self.request(
            "POST",
            f"{prefix}/{kind.lower()}bindings",
            {
                "metadata": {"name": role},
                "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": kind, "name": role},
                "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": self.user(user).name}],
            },
        )
        # The authorizer sees the binding through its own watch; asking for the last of each is asking for all.
        resource, _, subresource = resources[-1].partition("/")
        wanted = {
            "verb": verbs[-1],
            "group": api_groups[-1],
            "resource": resource,
            "subresource": subresource,
            "namespace": namespace or "",
        }
        deadline = time.monotonic() + 10
        while not self.allowed(user, wanted):
            if time.monotonic() > deadline:
                raise ControlPlaneError(f"{user} may still not {wanted} 10 s after it was granted")
            time.sleep(0.02)

    def allowed(self, user: str, attributes: Mapping[str, str]) -> bool:
        """Asks by SubjectAccessReview; `attributes` are its resourceAttributes."""
        known = self.user(user)
        review = {"spec": {"user": known.name, "groups": [*known.groups], "resourceAttributes": {**attributes}}}
        path = "/apis/authorization.k8s.io/v1/subjectaccessreviews"
        return bool(self.request("POST", path, review).body["status"]["allowed"])

    def service_account_token(self, namespace: str, name: str) -> str:
        """A token as a pod gets it; the service account is made when it is not there.

        In subjects of RBAC it is `system:serviceaccount:NAMESPACE:NAME`.
        """
        path = f"/api/v1/namespaces/{namespace}/serviceaccounts"
        made = self.request("POST", path, {"metadata": {"name": name}}, check=False)
        if made.status not in (201, 409):
            raise ControlPlaneError(f"service account {namespace}/{name}: {made.status} {made.body}")
        return str(self.request("POST", f"{path}/{name}/token", {"spec": {}}).body["status"]["token"])

    @contextlib.contextmanager
    def garbage_collector(self) -> Iterator[None]:
        """While this context lasts, objects go when their last owner has gone; without, they stay."""
        process = _Process(
            [str(build_garbage_collector())],
            self.folder / "garbage-collector.log",
            {**self._environment(), "KUBECONFIG": str(self.kubeconfig)},
        )
        try:
            yield
            if not process.running:
                raise ControlPlaneError(f"the garbage collector has ended\n{process.tail()}")
        finally:
            process.stop(patience=1)

    # -- talking to it

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self.port}"

    @property
    def kubeconfig(self) -> Path:
        """The administrator's."""
        return self.kubeconfig_of(ADMIN)

    def kubeconfig_of(self, user: str) -> Path:
        return self.folder / "kubeconfig" / f"{self.user(user).name}.yaml"

    def _write_kubeconfig(self, user: User) -> None:
        def encoded(file: Path) -> str:
            return base64.b64encode(file.read_bytes()).decode()

        credentials = {"token": user.token}
        if user.certificate and user.key:
            credentials = {
                "client-certificate-data": encoded(user.certificate),
                "client-key-data": encoded(user.key),
            }
        name = "netadmit-test"
        config = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [
                {"name": name, "cluster": {"server": self.url, "certificate-authority-data": encoded(self.ca_file)}}
            ],
            "users": [{"name": user.name, "user": credentials}],
            "contexts": [{"name": name, "context": {"cluster": name, "user": user.name}}],
            "current-context": name,
        }
        file = self.folder / "kubeconfig" / f"{user.name}.yaml"
        _write_private(file, json.dumps(config, indent=2).encode())

    def kubectl(
        self,
        *arguments: str,
        stdin: str | None = None,
        user: str | None = None,
        check: bool = True,
        timeout: float = 60,
    ) -> subprocess.CompletedProcess[str]:
        """Runs the real kubectl as `user` (the administrator); with `check`, a failure raises with what it said."""
        command = [str(self.binaries / "kubectl"), *arguments]
        result = subprocess.run(
            command,
            input=stdin or "",
            env={**self._environment(), "KUBECONFIG": str(self.kubeconfig_of(user or ADMIN))},
            capture_output=True,
            text=True,
            check=False,
            timeout=timeout,
        )
        if check and result.returncode:
            said = f"{result.stdout}{result.stderr}"
            raise ControlPlaneError(f"{shlex.join(['kubectl', *arguments])} exited with {result.returncode}:\n{said}")
        return result

    def request(
        self,
        method: str,
        path: str,
        body: object = None,
        *,
        user: str | None = None,
        headers: Mapping[str, str] | None = None,
        check: bool = True,
        timeout: float = 30,
    ) -> Answer:
        """One request without kubectl (milliseconds); `body` is sent as JSON, with PATCH as a merge patch."""
        known = self.user(user or ADMIN)
        sent = {"Content-Type": "application/merge-patch+json" if method == "PATCH" else "application/json"}
        context = self.ssl_context
        if known.token:
            sent["Authorization"] = f"Bearer {known.token}"
        elif known.certificate and known.key:
            context = ssl.create_default_context(cafile=str(self.ca_file))
            context.load_cert_chain(known.certificate, known.key)
        data = None if body is None else json.dumps(body)
        # A handshake costs more than most requests do: the main thread keeps its connection.
        keeping = context is self.ssl_context and threading.current_thread() is threading.main_thread()
        kept = self._kept if keeping else None
        connection = kept or http.client.HTTPSConnection("127.0.0.1", self.port, context=context)
        connection.timeout = timeout
        if connection.sock is not None:
            connection.sock.settimeout(timeout)
        if keeping:
            self._kept = None
        try:
            try:
                connection.request(method, path, data, {**sent, **(headers or {})})
                response = connection.getresponse()
            except (http.client.RemoteDisconnected, ConnectionError, ssl.SSLEOFError):
                if kept is None:
                    raise
                connection.close()  # it was closed while it was idle; this one opens another when it is used
                connection.request(method, path, data, {**sent, **(headers or {})})
                response = connection.getresponse()
            text = response.read().decode()
            warned = response.headers.get_all("Warning") or []
            json_said = "json" in (response.headers.get("Content-Type") or "")
        except BaseException:
            connection.close()
            raise
        if keeping:
            self._kept = connection
        else:
            connection.close()
        if check and response.status >= 400:
            raise ControlPlaneError(f"{method} {path}: {response.status} {text}")
        return Answer(
            response.status, json.loads(text) if json_said else text, tuple(_warning_text(value) for value in warned)
        )

    # -- what tests need in it

    def service_ip(self, number: int) -> str:
        """The address 127.X.0.`number` of this control plane's Services; a process can listen there (on Linux).

        1 is the API server's own; 2 to 255 are never given to a Service that does not ask for its address.
        """
        return str(self.service_cidr[number])

    def next_service_ip(self) -> str:
        """An address for Services that no other caller of this method gets."""
        return self.service_ip(next(self._counter))

    def create_namespace(self, name: str | None = None, labels: Mapping[str, str] | None = None) -> str:
        name = name or f"test-{secrets.token_hex(4)}"
        self.request("POST", "/api/v1/namespaces", {"metadata": {"name": name, "labels": {**(labels or {})}}})
        return name

    def date(self, url: str, created: dt.datetime) -> None:
        """Makes an object as old as nobody can by the API, which stamps what it makes: in etcd itself.

        Only of Namespaces and Services; watches tell of it as of any other change.

        Args:
            url: of the object.
            created: when it shall have been made.
        """
        found = self.request("GET", url).body
        for field in ("resourceVersion", "managedFields"):
            found["metadata"].pop(field, None)
        found["metadata"]["creationTimestamp"] = f"{created.astimezone(dt.UTC):%Y-%m-%dT%H:%M:%SZ}"
        name, namespace = found["metadata"]["name"], found["metadata"].get("namespace")
        key = f"/registry/services/specs/{namespace}/{name}" if namespace else f"/registry/namespaces/{name}"
        # The API server reads what is stored by what it is: protobuf, as it writes it, or JSON.
        pair = {"key": key, "value": json.dumps(found)}
        body = json.dumps({k: base64.b64encode(v.encode()).decode() for k, v in pair.items()})
        connection = http.client.HTTPConnection(self._etcd.removeprefix("http://"), timeout=10)
        try:
            connection.request("POST", "/v3/kv/put", body)
            response = connection.getresponse()
            text = response.read().decode()
        finally:
            connection.close()
        if response.status != 200:
            raise ControlPlaneError(f"etcd: {key}: {response.status} {text}")

    def delete_namespace(self, name: str) -> None:
        """Does what the namespace controller does, which is not there: empties it, then takes off its finalizer."""
        path = f"/api/v1/namespaces/{name}"
        found = self.request("DELETE", path, check=False)
        if found.status == 404:
            return
        for prefix in self._collections():
            url = f"{prefix.format(namespace=name)}?gracePeriodSeconds=0&propagationPolicy=Background"
            answer = self.request("DELETE", url, check=False)
            if answer.status not in (200, 202, 404):
                raise ControlPlaneError(f"DELETE {url}: {answer.status} {answer.body}")
        done = self.request(
            "PUT",
            f"{path}/finalize",
            {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}, "spec": {"finalizers": []}},
            check=False,
        )
        if done.status not in (200, 404):
            raise ControlPlaneError(f"namespace {name} cannot be finalized: {done.status} {done.body}")

    def _collections(self) -> Iterator[str]:
        accept = {"Accept": "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"}
        for root in ("/api", "/apis"):
            for group in self.request("GET", root, headers=accept).body["items"]:
                version = group["versions"][0]  # the preferred one: the others show the same objects
                base = "/".join(filter(None, [root, group["metadata"].get("name"), version["version"]]))
                for resource in version["resources"]:
                    if resource["scope"] == "Namespaced" and "deletecollection" in resource["verbs"]:
                        yield f"{base}/namespaces/{{namespace}}/{resource['resource']}"

    def run_pod(
        self,
        namespace: str,
        name: str,
        ip: str,
        *,
        labels: Mapping[str, str] | None = None,
        spec: Mapping[str, Any] | None = None,
        metadata: Mapping[str, Any] | None = None,
        ready: bool = True,
    ) -> dict[str, Any]:
        """Creates a pod and says that it runs; `spec` and `metadata` add to or replace the least that there must be."""
        pod = {
            "metadata": {"name": name, "labels": {**(labels or {})}, **(metadata or {})},
            "spec": {"containers": [{"name": "main", "image": "example/image"}], **(spec or {})},
        }
        self.request("POST", f"/api/v1/namespaces/{namespace}/pods", pod)
        return self.set_pod_running(namespace, name, ip, ready=ready)

    def set_pod_running(
        self, namespace: str, name: str, ip: str, *, ready: bool = True, host_ip: str = "192.0.2.10"
    ) -> dict[str, Any]:
        """Writes the status that a kubelet would: phase Running, the address, the conditions. Returns the pod."""
        now = dt.datetime.now(dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        states = {"PodScheduled": True, "Initialized": True, "ContainersReady": ready, "Ready": ready}
        status = {
            "phase": "Running",
            "podIP": ip,
            "podIPs": [{"ip": ip}],
            "hostIP": host_ip,
            "hostIPs": [{"ip": host_ip}],
            "startTime": now,
            "conditions": [
                {"type": kind, "status": "True" if is_so else "False", "lastTransitionTime": now}
                for kind, is_so in states.items()
            ],
        }
        path = f"/api/v1/namespaces/{namespace}/pods/{name}/status"
        pod: dict[str, Any] = self.request("PATCH", path, {"status": status}).body
        return pod


def _warning_text(header: str) -> str:
    found = re.match(r'299 \S+ "(.*)"$', header, re.DOTALL)
    return re.sub(r"\\(.)", r"\1", found[1]) if found else header


def _free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [int(one.getsockname()[1]) for one in sockets]


def _claim_service_cidr() -> tuple[socket.socket | None, ipaddress.IPv4Network]:
    """A 127.X.0.0/16 that no other control plane on this machine has: a bound socket (not listening) keeps it."""
    numbers = random.sample(range(10, 251), 241)
    for number in numbers:
        claim = socket.socket()
        try:
            claim.bind((f"127.{number}.255.254", 47001))
        except OSError:  # taken; or macOS, where only 127.0.0.1 can be bound, and chance has to do
            claim.close()
            continue
        return claim, ipaddress.IPv4Network(f"127.{number}.0.0/16")
    return None, ipaddress.IPv4Network(f"127.{numbers[0]}.0.0/16")


# --- make cluster -----------------------------------------------------------------------------------------------------


def main() -> int:
    parser = argparse.ArgumentParser(description="Starts a real control plane on loopback, until Ctrl-C.")
    parser.add_argument("--build-only", action="store_true", help="build the binaries, print their folder, and exit")
    options = parser.parse_args()
    try:
        binaries = build()
        if options.build_only:
            sys.stdout.write(f"{binaries}\n")
            return 0
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
        started = time.monotonic()
        with ControlPlane(binaries) as plane:
            _say(
                f"Kubernetes {KUBERNETES.version} is ready after {time.monotonic() - started:.1f} s. In another shell:"
            )
            sys.stdout.write(f"export KUBECONFIG={shlex.quote(str(plane.kubeconfig))}\n")
            sys.stdout.write(f"{shlex.quote(str(binaries / 'kubectl'))} get namespaces\n")
            sys.stdout.flush()
            _say(f"API server {plane.url}, Services in {plane.service_cidr}, logs in {plane.folder}")
            _say(
                f"Also {plane.kubeconfig_of(TENANT).name} and {plane.kubeconfig_of(RESTRICTED).name} beside that file,"
            )
            _say("who may do nothing until RBAC lets them. There is no kubelet and no controller. Ctrl-C stops it.")
            while plane.running:
                time.sleep(0.5)
            _say(f"netadmit: a process of the control plane ended by itself\n{plane.tails()}")
            return 1
    except KeyboardInterrupt:
        return 0
    except ControlPlaneError as error:
        _say(f"netadmit: {error}")
        return 1


if __name__ == "__main__":
    sys.exit(main())

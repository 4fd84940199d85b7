"""Deterministic folders of manifests as teams keep them for GitOps: thousands of files, written by people.

Unlike a snapshot (`bench.generate`) they hold no pods and nothing that a cluster adds, but what it leaves out:
comments, flow style, probes, resources, configuration in block scalars.
"""

import shutil
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Final

_TIERS: Final = (("web", 8080), ("api", 8081), ("worker", 9000), ("db", 5432))
_APPS: Final = ("shop", "billing", "search", "mail", "auth", "reports", "media", "chat")
_ENVIRONMENTS: Final = ("prod", "staging", "dev")


def write(folder: Path, files: int, *, per_file: bool = True, seed: int = 1) -> None:
    """Writes so many files, about twenty to a namespace.

    Args:
        folder: is emptied first; a folder a namespace is made in it.
        files: how many.
        per_file: each file has one object; otherwise from one to a dozen, some of them long.
        seed: other names, the same shape.
    """
    shutil.rmtree(folder, ignore_errors=True)
    random = Random(seed)  # noqa: S311 - a benchmark, not a secret
    written = number = 0
    while written < files:
        namespace = f"team-{number:03}"
        for name, texts in _files_of(namespace, number, random, per_file=per_file):
            if written == files:
                return
            file = folder / namespace / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text("---\n".join(texts))
            written += 1
        number += 1


def _files_of(namespace: str, number: int, random: Random, *, per_file: bool) -> Iterator[tuple[str, list[str]]]:
    app = _APPS[number % len(_APPS)]
    parts = list(_namespace(namespace, app, number, random))
    if per_file:
        yield from ((name, [text]) for name, text in parts)
        return
    # The same files, but now and then one that has much more in it: everything of a component, or of the next one too.
    for i in range(len(parts)):
        more = random.choice((0, 0, 0, 0, 0, 0, 1, 3, 11))
        variant = [(name, text) for name, text in _namespace(namespace, f"{app}-{i}", number, random)] if more else []
        yield parts[i][0], [parts[i][1], *(text for name, text in variant[1 : 1 + more])]


def _namespace(namespace: str, app: str, number: int, random: Random) -> Iterator[tuple[str, str]]:
    environment = _ENVIRONMENTS[number % len(_ENVIRONMENTS)]
    yield "namespace.yaml", _NAMESPACE.format(namespace=namespace, environment=environment)
    for tier, port in _TIERS:
        given = {
            "namespace": namespace,
            "app": app,
            "tier": tier,
            "port": port,
            "name": f"{app}-{tier}",
            "replicas": random.randint(1, 6),
            "version": f"{random.randint(1, 9)}.{random.randint(0, 20)}.{random.randint(0, 9)}",
        }
        yield f"{app}-{tier}-deployment.yaml", _DEPLOYMENT.format_map(given)
        if tier != "worker":
            yield f"{app}-{tier}-service.yaml", _SERVICE.format_map(given)
        if tier != "db":
            values = "".join(f"    {key} = {random.randint(1, 9999)}\n" for key in _SETTINGS)
            yield f"{app}-{tier}-config.yaml", _CONFIG.format_map({**given, "values": values})
        if tier == "web":
            yield f"{app}-ingress.yaml", _INGRESS.format_map(given)
    yield "default-deny.yaml", _DEFAULT_DENY.format(namespace=namespace, app=app)
    yield "allow-dns.yaml", _ALLOW_DNS.format(namespace=namespace, app=app)
    for tier, port, client in (("web", 8080, ""), ("api", 8081, "web"), ("db", 5432, "api")):
        given = {"namespace": namespace, "app": app, "tier": tier, "port": port, "client": client}
        yield f"allow-to-{app}-{tier}.yaml", (_ALLOW_FROM_TIER if client else _ALLOW_FROM_INGRESS).format_map(given)
    other = f"team-{random.randint(0, 99):03}"
    yield f"allow-{app}-to-partners.yaml", _ALLOW_OUT.format(namespace=namespace, app=app, other=other)


_SETTINGS: Final = ("listen.backlog", "pool.size", "pool.timeout", "cache.entries", "retry.limit", "trace.sample")
_NAMESPACE: Final = """\
apiVersion: v1
kind: Namespace
metadata:
  name: {namespace}
  labels:
    team: {namespace}
    env: {environment}
    pod-security.kubernetes.io/enforce: restricted
"""
_DEPLOYMENT: Final = """\
apiVersion: apps/v1
kind: Deployment
metadata:
  name: {name}
  namespace: {namespace}
  labels:
    app.kubernetes.io/name: {app}
    app.kubernetes.io/component: {tier}
    app.kubernetes.io/managed-by: gitops
spec:
  replicas: {replicas}
  revisionHistoryLimit: 3
  selector:
    matchLabels:
      app.kubernetes.io/name: {app}
      app.kubernetes.io/component: {tier}
  template:
    metadata:
      labels:
        app.kubernetes.io/name: {app}
        app.kubernetes.io/component: {tier}
        app.kubernetes.io/version: "{version}"
      annotations:
        prometheus.io/scrape: "true"
    spec:
      serviceAccountName: {name}
      securityContext:
        runAsNonRoot: true
        seccompProfile:
          type: RuntimeDefault
      containers:
        - name: {tier}
          image: registry.example.com/{app}/{tier}:{version}
          args: ["--config", "/etc/{app}/settings.ini", "--port={port}"]
          ports:
            - name: http
              containerPort: {port}
              protocol: TCP
            - name: metrics
              containerPort: 9090
          env:
            - name: LOG_LEVEL
              value: info
            - name: POD_NAME
              valueFrom:
                fieldRef:
                  fieldPath: metadata.name
          readinessProbe:
            httpGet: {{path: /healthz, port: http}}
            periodSeconds: 5
          livenessProbe:
            httpGet: {{path: /healthz, port: http}}
            # slow starters: the caches are read from disk
            initialDelaySeconds: 20
          resources:
            requests:
              cpu: 100m
              memory: 128Mi
            limits:
              memory: 256Mi
          securityContext:
            allowPrivilegeEscalation: false
            readOnlyRootFilesystem: true
            capabilities:
              drop: [ALL]
          volumeMounts:
            - name: config
              mountPath: /etc/{app}
      volumes:
        - name: config
          configMap:
            name: {name}
"""
_SERVICE: Final = """\
apiVersion: v1
kind: Service
metadata:
  name: {name}
  namespace: {namespace}
  labels:
    app.kubernetes.io/name: {app}
    app.kubernetes.io/component: {tier}
spec:
  selector:
    app.kubernetes.io/name: {app}
    app.kubernetes.io/component: {tier}
  ports:
    - name: http
      port: 80
      targetPort: http
      protocol: TCP
    - name: metrics
      port: 9090
      targetPort: metrics
"""
_CONFIG: Final = """\
apiVersion: v1
kind: ConfigMap
metadata:
  name: {name}
  namespace: {namespace}
data:
  settings.ini: |
    # see the handbook of {app}
    [{tier}]
    name = {name}
{values}  feature-flags: "beta=off,{tier}=on"
"""
_INGRESS: Final = """\
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata:
  name: {app}
  namespace: {namespace}
  annotations:
    cert-manager.io/cluster-issuer: letsencrypt
spec:
  ingressClassName: nginx
  tls:
    - hosts: ["{app}.{namespace}.example.com"]
      secretName: {app}-tls
  rules:
    - host: {app}.{namespace}.example.com
      http:
        paths:
          - path: /
            pathType: Prefix
            backend:
              service:
                name: {name}
                port:
                  name: http
"""
_DEFAULT_DENY: Final = """\
# Nothing gets in or out that is not allowed beside this.
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata:
  name: {app}-default-deny
  namespace: {namespace}
spec:
  podSelector: {{}}
  policyTypes: [Ingress, Egress]
"""
_ALLOW_DNS: Final = """\
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata:
  name: {app}-allow-dns
  namespace: {namespace}
spec:
  podSelector: {{}}
  policyTypes:
    - Egress
  egress:
    - to:
        - namespaceSelector:
            matchLabels:
              kubernetes.io/metadata.name: kube-system
          podSelector:
            matchLabels:
              k8s-app: kube-dns
      ports:
        - protocol: UDP
          port: 53
        - protocol: TCP
          port: 53
"""
_ALLOW_FROM_INGRESS: Final = """\
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata:
  name: {app}-{tier}-from-ingress
  namespace: {namespace}
spec:
  podSelector:
    matchLabels:
      app.kubernetes.io/name: {app}
      app.kubernetes.io/component: {tier}
  policyTypes: ["Ingress"]
  ingress:
    - from:
        - namespaceSelector:
            matchLabels:
              kubernetes.io/metadata.name: ingress-nginx
      ports:
        - protocol: TCP
          port: {port}
"""
_ALLOW_FROM_TIER: Final = """\
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata:
  name: {app}-{client}-to-{tier}
  namespace: {namespace}
  labels:
    app.kubernetes.io/name: {app}
spec:
  podSelector:
    matchLabels:
      app.kubernetes.io/name: {app}
      app.kubernetes.io/component: {tier}
  policyTypes: [Ingress]
  ingress:
    - from:
        - podSelector:
            matchExpressions:
              - {{key: app.kubernetes.io/component, operator: In, values: [{client}, worker]}}
      ports:
        - port: {port}   # the container's, not the Service's
"""
_ALLOW_OUT: Final = """\
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata:
  name: {app}-out
  namespace: {namespace}
spec:
  podSelector:
    matchLabels:
      app.kubernetes.io/name: {app}
  policyTypes:
    - Egress
  egress:
    # inside: our own tiers, and the API of those we work with
    - to:
        - podSelector:
            matchLabels:
              app.kubernetes.io/name: {app}
        - namespaceSelector:
            matchLabels:
              kubernetes.io/metadata.name: {other}
          podSelector:
            matchLabels:
              app.kubernetes.io/component: api
    - to:
        - ipBlock:
            cidr: 0.0.0.0/0
            except:
              - 10.0.0.0/8
              - 172.16.0.0/12
              - 192.168.0.0/16
      ports:
        - protocol: TCP
          port: 443
"""

"""An API server in memory, in the place of `webhook.kube.Credentials`: what `Writer` asks of it, and no more.

Versions, conflicts, names that are taken, merge patches, server-side apply, label selectors and pages are as
kube-apiserver has them (tests/cluster tries the same against a real one).
"""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs, urlsplit

Object = dict[str, Any]


class FakeAPI:
    """Holds objects by their path.

    Attributes:
        objects: path → object.
        asked: method and path of every request.
        fails: called with method and path before each request; returns a status to refuse it with, or raises.
    """

    def __init__(self, *served: str) -> None:
        self.objects: dict[str, Object] = {}
        self.asked: list[tuple[str, str]] = []
        self.fails: Callable[[str, str], int | None] = lambda *_: None
        self.served = {"/api/v1", "/apis/coordination.k8s.io/v1", *served}
        self._versions = itertools.count(1)

    async def send(
        self, method: str, path: str, body: Any = None, content_type: str = "application/json", **options: Any
    ) -> tuple[int, Any]:
        self.asked.append((method, path))
        if status := self.fails(method, path):
            return status, {"kind": "Status", "message": f"refused with {status}"}
        body = json.loads(json.dumps(body))  # only what JSON can hold, and nothing shared
        status, answer = self._answer(method, path, body, content_type)
        return status, json.loads(json.dumps(answer))

    def of(self, plural: str) -> list[Object]:
        """The objects of a kind, by path."""
        return [o for path, o in sorted(self.objects.items()) if path.split("/")[-2] == plural]

    # --- answering

    def _answer(self, method: str, path: str, body: Any, content_type: str) -> tuple[int, Any]:
        url = urlsplit(path)
        query = {key: values[0] for key, values in parse_qs(url.query).items()}
        group = re.match(r"/api/v1|/apis/[^/]+/[^/]+", url.path)
        if group is None or group.group() not in self.served:
            return 404, "404 page not found"  # no JSON
        if url.path == group.group():
            return 200, {"kind": "APIResourceList", "resources": [{"name": n} for n in ("policyreports", "reports")]}
        if method == "POST":
            return self._create(f"{url.path}/{body['metadata']['name']}", body)
        if content_type == "application/apply-patch+yaml":
            assert query == {"fieldManager": "netadmit", "force": "true"}
            return self._put(url.path, body) if url.path in self.objects else self._create(url.path, body)
        if method == "GET" and (listed := self._list(url.path, query)) is not None:
            return 200, listed
        if url.path not in self.objects:
            return 404, {"message": "not found"}
        return self._change(method, url.path, body)

    def _change(self, method: str, path: str, body: Any) -> tuple[int, Any]:
        if method == "GET":
            return 200, self.objects[path]
        if method == "DELETE":
            return 200, self.objects.pop(path)
        assert method == "PATCH"
        given = body.get("metadata", {}).get("resourceVersion")
        if given not in (None, self.objects[path]["metadata"]["resourceVersion"]):
            return 409, {"message": "the object has been modified"}
        return self._put(path, _merged(self.objects[path], body))

    def _create(self, path: str, body: Object) -> tuple[int, Any]:
        if path in self.objects:
            return 409, {"message": "already exists"}
        return 201, self._put(path, body)[1]

    def _put(self, path: str, body: Object) -> tuple[int, Any]:
        body["metadata"]["resourceVersion"] = str(next(self._versions))
        self.objects[path] = body
        return 200, body

    def _list(self, path: str, query: dict[str, str]) -> Object | None:
        plural = path.rpartition("/")[2]
        if plural not in ("policyreports", "reports"):
            return None
        group = path.removesuffix(plural)
        key, _, value = query["labelSelector"].partition("=")
        found = [
            p
            for p, o in sorted(self.objects.items())
            if p.startswith(group) and p.split("/")[-2] == plural and o["metadata"].get("labels", {}).get(key) == value
        ]
        start, size = int(query.get("continue", 0)), int(query["limit"])
        more = str(start + size) if len(found) > start + size else ""
        items = [{"metadata": self.objects[p]["metadata"]} for p in found[start : start + size]]
        return {"metadata": {"continue": more}, "items": items or None}  # so it is where metadata alone is asked for


def _merged(old: Object, change: Object) -> Object:
    new = dict(old)
    for key, value in change.items():
        if value is None:
            new.pop(key, None)
        elif isinstance(value, dict):
            new[key] = _merged(old.get(key) or {}, value)
        else:
            new[key] = value
    return new

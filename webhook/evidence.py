"""What speaks for a mistake when a selector matches nothing (CHECKS.md, conduct 1).

Absence alone is no evidence: Helm and kubectl send a NetworkPolicy before the Service and the Service before the
Deployment, and clients with opt-in labels come later by design.
"""

from collections.abc import Callable, Collection, Iterable
from datetime import datetime
from typing import Final
from weakref import WeakKeyDictionary

from msgspec import Struct

from webhook.check import CREATE, Context, Disclosure, Finding, Level, View, count
from webhook.model.cluster import Cluster, PodClass
from webhook.model.objects import HELM_RELEASE, NAME_LABEL, NAMESPACE, POD, NetworkPolicy, ObjectMeta, Service
from webhook.model.selectors import NearMiss, Selector, looks_misspelt, near_miss

_SETTLE_SECONDS: Final = 300
"""How long what belongs together may take to arrive (CHECKS.md, conduct 1)."""
_MOST_REMEMBERED: Final = 1000
"""Selectors whose nearest namespace is kept."""
_WITHOUT_N: Final = "default"
"""Where kubectl puts what names no namespace."""


class Evidence(Struct, frozen=True):
    """Why a selector that matches nothing is likely a mistake.

    Args:
        path: the term that misses, relative to the selector (``matchLabels.app``); empty when the whole is meant.
        seen: what speaks for it; a clause that follows "… matches no pod".
        remedy: what to write instead.
        namespace: where it would match, if that is one namespace and may be told.
    """

    path: str
    seen: str
    remedy: str
    namespace: str = ""


def of_misspelling(ctx: Context, selector: Selector, namespaces: Collection[str]) -> Evidence | None:
    """Rule (a): a pod or template of these namespaces misses the selector by one term, by a slip of the pen.

    On CREATE not for what a controller made, whose pen does not slip, nor where both are called by their labels: who
    writes a Service ``cart`` for ``app: cart`` beside a Deployment ``card`` of ``app: card`` is about to deploy another
    thing.
    """
    best: tuple[tuple[bool, int, str], NearMiss, PodClass] | None = None
    cost, compare = _cost(selector), _comparing(ctx)
    for pod_class in (c for namespace in namespaces for c in ctx.cluster.classes(namespace)):
        ctx.spend(cost)
        miss = near_miss(selector, pod_class.labels, compare)
        if miss is None:
            continue
        # The same key before another key, then the value that most pods carry.
        rank = (miss.key != miss.term.key, -len(pod_class.pods), str(miss))
        if best is None or rank < best[0]:
            best = rank, miss, pod_class
    if best is None:
        return None
    _, miss, pod_class = best
    bearers = [c for c in ctx.cluster.classes(pod_class.namespace) if _carries(c, miss)]
    if not ctx.sees_whole and ctx.judged is not None and _is_meant(ctx.judged.metadata, miss, bearers):
        return None
    told = ctx.may_name_all((kind, pod_class.namespace) for kind in _kinds_in(pod_class))
    bearer = describe_bearers(bearers)
    if not told:
        return Evidence(miss.term.path, f"{bearer} there nearly do", f"look at {miss.term.key}")
    has = "has" if bearer.startswith("1 ") else "have"
    return Evidence(miss.term.path, f"{bearer} {has} {miss}", f"write {miss.key}: {miss.value}")


def _is_meant(metadata: ObjectMeta, miss: NearMiss, bearers: Iterable[PodClass]) -> bool:
    """Whether a controller made the object, or it and those that nearly match are each called by what they say."""
    if metadata.owner_references or miss.key != miss.term.key:
        return bool(metadata.owner_references)
    workloads = (name.rpartition("/")[2] for c in bearers for name in c.workloads)
    return any(_called(metadata.name, value) for value in miss.term.values) and all(
        _called(name, miss.value) for name in workloads
    )


def _called(name: str, value: str) -> bool:
    """Whether a label's value is part of a name: ``api`` of ``api-headless``, and not of ``apis``."""
    words, written = name.split("-"), value.split("-")
    return any(words[i : i + len(written)] == written for i in range(len(words)))


def of_another_namespace(ctx: Context, selector: Selector, namespaces: Collection[str]) -> Evidence | None:
    """Rule (b): the very selector matches pods of another namespace.

    Not for what Helm rendered: its namespace is the release's, and the same chart in a second namespace is no slip. Nor
    for what a controller made: it follows its owner's namespace, and nobody forgot a ``-n``; nor for what is only given
    other labels.
    Nor where that namespace has its own object of this kind and name: then the same manifests were applied to both
    (staging and production), and here their pods are yet to come. Nor what is created in a namespace that has no pod
    and no template yet: somebody is setting it up, and ``app: web`` is in every other one. That does not speak for
    ``default``, which is where kubectl puts what was meant for elsewhere.
    """
    if selector.empty or ctx.judged is None:
        return None
    if rendered_by_helm(ctx.judged.metadata) or ctx.judged.metadata.owner_references or ctx.leaves_spec_alone:
        return None
    being_set_up = ctx.namespace != _WITHOUT_N and not any(ctx.cluster.classes(ctx.namespace))
    if being_set_up and not ctx.sees_whole:
        return None
    kind, name = ctx.judged.kind, ctx.judged.metadata.name
    found = [c for c in ctx.select(selector) if c.namespace not in namespaces and c.pods]
    if not found or any(ctx.cluster.get(kind, (c.namespace, name)) for c in found):
        return None
    every = {c.namespace for c in found}
    (only,) = every if len(every) == 1 else ("",)
    told = only if only and ctx.may_name(POD, only) else ""
    return Evidence(
        "",
        f"{sum(len(c.pods) for c in found)} in {ctx.name_namespaces(every, POD)}",
        f"use -n {told}" if told else "check -n",
        told,
    )


def slip_in_selector(ctx: Context, selector: Selector, path: str) -> Finding | None:
    """What is said of an object's own selector that matches nothing, where there is evidence of a slip (a, b).

    Args:
        ctx: the object.
        selector: its selector.
        path: where that stands, ``spec.podSelector``.
    """
    here, word, value = {ctx.namespace}, path.removeprefix("spec."), str(selector)
    if near := of_misspelling(ctx, selector, here):
        # A key with dots stands in brackets: spec.selector[app.kubernetes.io/name].
        at = f"{path}{near.path}" if near.path.startswith("[") else f"{path}.{near.path}"
        return Finding(at, f"{word} {selector} matches no pod", near.remedy, value=value, means=near.seen)
    if elsewhere := of_another_namespace(ctx, selector, here):
        seen = f"{word} {selector}: no pod here, {elsewhere.seen}"
        return Finding(path, seen, elsewhere.remedy, value=value)
    return None


def nothing_selected(
    ctx: Context, selector: Selector, path: str, means: str, *, is_expected: Callable[[], bool] = lambda: False
) -> Finding | None:
    """What is said of it without evidence: a note where its pods may only be yet to come; None where nobody knows.

    Args:
        ctx: the object.
        selector: its selector.
        path: where that stands.
        means: for the traffic.
        is_expected: whether something else tells that its pods come later.
    """
    if not ctx.cluster.pods_known:
        ctx.unknown.add("pods: not all are known, so what selects none of the known ones was not judged")
        return None
    told = ctx.sees_whole and not selects_as_before(ctx) and not is_expected()
    return Finding(
        path,
        f"{path.removeprefix('spec.')} {selector} matches no pod",
        "compare labels",
        Level.WARNING if told else Level.NOTE,
        str(selector),
        proven=False,
        means=means,
        detail=failing_term(ctx, selector, {ctx.namespace}),
    )


def selects_as_before(ctx: Context) -> bool:
    """Whether an UPDATE leaves alone what matched nothing before: where it still matches nothing, that is no news.

    Hooks leave policies behind for pods that have come to their end, agents and workers come when there is work, and
    pods label themselves (the leader of a database). A release changes labels, and with Helm also a rule or a port,
    and none of that; what is missing for good, `audit` tells.
    """
    old, judged = ctx.old, ctx.judged
    if ctx.leaves_spec_alone:
        return True
    if old is None or judged is None or not rendered_by_helm(judged.metadata):
        return False
    if isinstance(judged, NetworkPolicy):
        return isinstance(old, NetworkPolicy) and old.spec.pod_selector == judged.spec.pod_selector
    return isinstance(old, Service) and old.spec.selector == judged.spec.selector


def comes_before_its_pods(ctx: Context, *, said_before: bool) -> bool:
    """Whether pods that lack a port may only be yet to get it: Helm sends policies, then Services, then workloads.

    So it is when a release brings a port, or renames one: for a moment the policy and the Service are ahead of the
    templates. What the object said before this request has had its time; where the port never comes, `audit` tells.
    """
    helm = ctx.judged is not None and rendered_by_helm(ctx.judged.metadata)
    return helm and ctx.view is View.ADMISSION and not said_before


def comes_before_other_policies(ctx: Context, *, said_before: bool) -> bool:
    """Whether what a policy lacks may only be yet to come in another one: it is early, not wrong.

    A namespace that is a few minutes old is being filled, and Helm sends all policies of a release in a row, in the
    order of their names.
    """
    if comes_before_its_pods(ctx, said_before=said_before):
        return True
    return ctx.view is View.ADMISSION and ctx.operation is CREATE and _in_young_namespace(ctx)


def _in_young_namespace(ctx: Context) -> bool:
    """Told by the API server's own clock, if may be: it stamps a new object before it asks webhooks.

    Source: k8s.io/apiserver pkg/registry/rest/create.go BeforeCreate (FillObjectMetaSystemFields).
    """
    namespace = ctx.cluster.namespace(ctx.namespace)
    made = _seconds(namespace.created) if namespace else None
    now = _seconds(ctx.judged.metadata.creation_timestamp) if ctx.judged else None
    if now is None:
        now = ctx.now
    return made is not None and now is not None and now - made < _SETTLE_SECONDS


def _seconds(text: str | None) -> float | None:
    """Seconds since the epoch; None for what is no time."""
    try:
        found = datetime.fromisoformat(text) if text else None
    except ValueError:
        return None
    return found.timestamp() if found and found.tzinfo else None


def is_slip(name: str, near: str | None) -> bool:
    """Whether a port's name looks like one that is there, misspelt: ``https`` beside ``http`` is another port."""
    return near is not None and name != f"{near}s"


def rendered_by_helm(metadata: ObjectMeta) -> bool:
    return (
        metadata.labels.get("app.kubernetes.io/managed-by") == "Helm"
        or metadata.labels.get("heritage") in {"Helm", "Tiller"}
        or HELM_RELEASE in metadata.annotations
    )


def of_near_namespace(ctx: Context, selector: Selector) -> Evidence | None:
    """Rules (a) and (c) for a namespaceSelector: a value is a namespace's name, or nearly a label that one carries."""
    if ctx.disclosure is Disclosure.REQUESTER:
        return _of_near_namespace(ctx, selector)  # who asks is another each time
    kept = _near_namespaces.get(ctx.cluster)
    if kept is None or kept[0] != ctx.cluster.generation or len(kept[1]) > _MOST_REMEMBERED:
        kept = _near_namespaces[ctx.cluster] = ctx.cluster.generation, {}
    known = kept[1].get((selector, ctx.disclosure))
    if known is None:
        before = ctx.steps
        evidence = _of_near_namespace(ctx, selector)
        kept[1][selector, ctx.disclosure] = before - ctx.steps, evidence
        return evidence
    steps, evidence = known
    ctx.spend(steps)  # as if it were looked for anew: what one policy may cost must not depend on those before it
    return evidence


_near_namespaces: Final[
    WeakKeyDictionary[Cluster, tuple[int, dict[tuple[Selector, Disclosure], tuple[int, Evidence | None]]]]
] = WeakKeyDictionary()
"""Every namespace is compared: in files that are judged together, the same selectors stand in policy after policy."""


def _of_near_namespace(ctx: Context, selector: Selector) -> Evidence | None:
    for term in selector.terms:
        # A term that some namespace satisfies is not the one that fails.
        if term.operator != "In" or term.key == NAME_LABEL or ctx.namespaces_matching(Selector((term,))):
            continue
        for value in sorted(term.values):
            ctx.spend(4)
            if ctx.cluster.namespace_exists(value):
                return Evidence(term.path, "", f"write {NAME_LABEL}: {value}")
    cost, compare = _cost(selector), _comparing(ctx)
    for name in ctx.cluster.namespace_names():
        ctx.spend(cost)
        namespace = ctx.cluster.namespace(name)
        miss = near_miss(selector, namespace.labels, compare) if namespace else None
        if miss is None:
            continue
        if not ctx.may_name(NAMESPACE, ""):
            return Evidence(miss.term.path, "one has nearly that", "look at its spelling")
        key = "" if miss.key == miss.term.key == NAME_LABEL else f"{miss.key}: "
        return Evidence(miss.term.path, "", f"write {key}{miss.value}")
    return None


def of_pods_instead(ctx: Context, selector: Selector) -> Evidence | None:
    """Rule (b) for a namespaceSelector that matches no namespace: running pods are labelled so.

    Not where not all namespaces are known: a team's label stands on its pods and, out of sight, on its namespace. Nor
    for what Helm rendered: which namespaces its user labels is not the chart's to know.
    """
    if ctx.judged is None or rendered_by_helm(ctx.judged.metadata) or not ctx.cluster.complete(NAMESPACE):
        return None
    pods = sum(len(c.pods) for c in ctx.select(selector))
    if not pods:
        return None
    return Evidence("", f"{count(pods, 'pod')} {'has' if pods == 1 else 'have'} it", "write podSelector")


def failing_term(ctx: Context, selector: Selector, namespaces: Collection[str]) -> str:
    """Which term nothing satisfies on its own, as a sentence; empty where there is only one."""
    if len(selector.terms) < 2:
        return ""
    for term in selector.terms:
        if not ctx.select(Selector((term,)), namespaces):
            return f"no pod has {term}"
    return "no pod has all of it"


def describe_bearers(classes: Iterable[PodClass]) -> str:
    """``3 pods``, or the templates where no pod runs yet."""
    every = list(classes)
    pods = sum(len(c.pods) for c in every)
    return count(pods, "pod") if pods else count(sum(len(c.templates) for c in every), "pod template")


def _kinds_in(pod_class: PodClass) -> frozenset[str]:
    """The kinds of what a class is known by: pods, or templates where no pod runs yet."""
    return frozenset({POD} if pod_class.pods else (template.kind for template in pod_class.templates.values()))


def _cost(selector: Selector) -> int:
    """The steps of a `near_miss` but for its comparisons."""
    return 4 + sum(1 + (len(term.values) if len(term.values) > 1 else 0) for term in selector.terms)


def _comparing(ctx: Context) -> Callable[[str, str], bool]:
    """`looks_misspelt`, for which the same two texts are compared, and paid for, once."""
    known: dict[tuple[str, str], bool] = {}

    def compare(written: str, existing: str) -> bool:
        found = known.get((written, existing))
        if found is None:
            alike = abs(len(written) - len(existing)) <= 2
            ctx.spend(4 + (len(written) * len(existing) // 2 if alike else 0))
            found = known[written, existing] = looks_misspelt(written, existing)
        return found

    return compare


def _carries(pod_class: PodClass, miss: NearMiss) -> bool:
    return pod_class.labels.get(miss.key) == miss.value

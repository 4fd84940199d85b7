"""Selectors against an oracle so slow and plain that it is obviously right."""

import functools
import itertools
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from webhook.model.manifest import parse_path
from webhook.model.objects import NAME_LABEL, LabelSelector, LabelSelectorRequirement
from webhook.model.selectors import (
    Selector,
    Term,
    compile_selector,
    contradiction,
    edit_distance,
    equality_selector,
    looks_misspelt,
    near_miss,
    nearest,
)

KEYS = ("a", "b")
VALUES = ("1", "2", "3")
UNIVERSE = [
    {key: value for key, value in zip(KEYS, chosen, strict=True) if value is not None}
    for chosen in itertools.product((None, *VALUES, "outside"), repeat=len(KEYS))
]
"""Every label set that the selectors below could tell apart: ``outside`` stands for all other values."""

REQUIREMENTS = st.one_of(
    st.builds(
        LabelSelectorRequirement,
        st.sampled_from(KEYS),
        st.sampled_from(["In", "NotIn"]),
        st.lists(st.sampled_from(VALUES), min_size=1, max_size=3).map(tuple),
    ),
    st.builds(LabelSelectorRequirement, st.sampled_from(KEYS), st.sampled_from(["Exists", "DoesNotExist"])),
)
SELECTORS = st.builds(
    LabelSelector,
    st.dictionaries(st.sampled_from(KEYS), st.sampled_from(VALUES), max_size=2),
    st.lists(REQUIREMENTS, max_size=4).map(tuple),
)


def matches(selector: LabelSelector, labels: dict[str, str]) -> bool:
    """The API reference, word for word."""
    for key, value in selector.match_labels.items():
        if key not in labels or labels[key] != value:
            return False
    for wanted in selector.match_expressions:
        has = wanted.key in labels
        if wanted.operator == "In" and not (has and labels[wanted.key] in wanted.values):
            return False
        if wanted.operator == "NotIn" and has and labels[wanted.key] in wanted.values:
            return False
        if wanted.operator == "Exists" and not has:
            return False
        if wanted.operator == "DoesNotExist" and has:
            return False
    return True


@given(SELECTORS)
@settings(max_examples=300)
def test_matching_is_the_apis(selector: LabelSelector) -> None:
    compiled = compile_selector(selector)
    for labels in UNIVERSE:
        assert compiled.matches(labels) == matches(selector, labels)
        assert bool(compiled.misses(labels)) != compiled.matches(labels)
    assert compiled.empty == (selector == LabelSelector())


@given(SELECTORS)
@settings(max_examples=500)
def test_a_contradiction_is_told_exactly_when_no_labels_match(selector: LabelSelector) -> None:
    compiled = compile_selector(selector)
    terms = contradiction(compiled)
    assert bool(terms) == (not any(matches(selector, labels) for labels in UNIVERSE))
    assert set(terms) <= set(compiled.terms)
    if terms:
        assert len(terms) >= 2
        assert len({t.key for t in terms}) == 1
        assert not any(Selector(terms).matches(labels) for labels in UNIVERSE), "the terms shown explain it alone"


@given(SELECTORS)
@settings(max_examples=300)
def test_a_label_that_is_always_there_contradicts_whoever_forbids_it(selector: LabelSelector) -> None:
    possible = [labels for labels in UNIVERSE if "a" in labels]
    terms = contradiction(compile_selector(selector), {"a": ""})
    assert bool(terms) == (not any(matches(selector, labels) for labels in possible))


def test_the_path_of_a_term_leads_to_it() -> None:
    selector = compile_selector(
        LabelSelector({"app": "web", "app.kubernetes.io/name": "x"}, (LabelSelectorRequirement("tier", "Exists"),))
    )
    assert [parse_path(t.path) for t in selector.terms] == [
        ("matchLabels", "app"),
        ("matchLabels", "app.kubernetes.io/name"),
        ("matchExpressions", 0),
    ]
    assert str(selector) == "app=web,app.kubernetes.io/name=x,tier"
    assert [parse_path(t.path) for t in equality_selector({"a.b/c": "1"}).terms] == [("a.b/c",)]


# --- edit distance ----------------------------------------------------------------------------------------------------


def plain_distance(one: str, other: str) -> int:
    """Optimal string alignment, from its definition."""

    @functools.cache
    def distance(i: int, j: int) -> int:
        if not i or not j:
            return i + j
        found = min(
            distance(i - 1, j) + 1,
            distance(i, j - 1) + 1,
            distance(i - 1, j - 1) + (one[i - 1] != other[j - 1]),
        )
        if i > 1 and j > 1 and one[i - 1] == other[j - 2] and one[i - 2] == other[j - 1]:
            found = min(found, distance(i - 2, j - 2) + 1)
        return found

    return distance(len(one), len(other))


@given(st.text("abc", max_size=8), st.text("abc", max_size=8), st.integers(0, 4))
@settings(max_examples=500)
def test_the_edit_distance_is_the_plain_one_up_to_its_limit(one: str, other: str, most: int) -> None:
    assert edit_distance(one, other, most) == min(plain_distance(one, other), most + 1)


@given(st.text("abcd-12", max_size=9), st.text("abcd-12", max_size=9))
def test_misspelling_is_symmetric_and_near(one: str, other: str) -> None:
    assert looks_misspelt(one, other) == looks_misspelt(other, one)
    if looks_misspelt(one, other):
        assert plain_distance(one.lower(), other.lower()) <= 2
        assert one != other


@pytest.mark.parametrize(
    ("written", "existing"),
    [
        ("apii", "api"), ("apj", "api"), ("fronted", "frontend"), ("promethues", "prometheus"), ("Web", "web"),
        ("postgress", "postgres"), ("monitorng", "monitoring"), ("kube-systme", "kube-system"), ("bakc", "back"),
        ("orders-bd", "orders-db-"), ("backend-internl", "backend-internal"),
    ],
)  # fmt: skip
def test_slips_of_the_pen(written: str, existing: str) -> None:
    assert looks_misspelt(written, existing)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("web-1", "web-2"), ("web1", "web12"), ("app", "app2"), ("v1", "v2"), ("v1.2.3", "v1.3.0"), ("db", "dc"),
        ("team-a", "team-b"), ("team-a-web", "team-b-web"), ("eu-west-1", "eu-west-2"), ("shop-eu", "shop-us"),
        ("us-east", "us-west"), ("us-east-1", "us-west-2"), ("zone-north", "zone-south"), ("api", "web"),
        ("api-internal", "api-external"), ("gateway-internal", "gateway-external"), ("csv-import", "csv-export"),
        ("importer", "exporter"), ("istio-ingressgateway", "istio-egressgateway"), ("ingress", "egress"),
        ("encoder", "decoder"), ("http", "https"), ("sync", "async"), ("x", "y"), ("", "a"), ("same", "same"),
        ("2024-01-01", "2025-02-02"), ("blue", "green"), ("minio", "mimir"), ("kong", "mongo"), ("store", "core"),
        ("ceph-mon", "ceph-mgr"), ("router", "ruler"), ("broker", "worker"), ("brokers", "workers"),
        ("leader", "reader"), ("api", "app"), ("api-gateway", "app-gateway"), ("calico", "falco"),
    ],
)  # fmt: skip
def test_siblings_are_no_slips(one: str, other: str) -> None:
    assert not looks_misspelt(one, other)
    assert not looks_misspelt(other, one)


def test_the_nearest_is_the_closest_then_the_first() -> None:
    assert nearest("selector-matches-nothin", ["peer-matches-nothing", "selector-matches-nothing"]) == (
        "selector-matches-nothing"
    )
    assert nearest("webb", ["webc", "web", "weba"]) in {"web", "weba", "webc"}
    assert nearest("frontnd", ["frontends", "frontend"]) == "frontend"
    assert nearest("zebra", ["api", "web"]) is None
    assert nearest("x", []) is None


# --- near misses ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wanted", "labels", "nearest_label"),
    [
        ({"app": "apii"}, {"app": "api"}, "app=api"),
        ({"app": "api", "tier": "bakc"}, {"app": "api", "tier": "back"}, "tier=back"),
        ({"name": "api"}, {"app": "api"}, "app=api"),
        ({"app": "frontend"}, {"app.kubernetes.io/name": "frontend", "tier": "web"}, "app.kubernetes.io/name=frontend"),
        ({"teir": "x"}, {"tier": "x"}, "tier=x"),
        ({"k": "x"}, {"l": "x"}, None),
        ({"accses": "true"}, {"access": "true"}, "access=true"),
    ],
)
def test_near_misses(wanted: dict[str, str], labels: dict[str, str], nearest_label: str | None) -> None:
    miss = near_miss(equality_selector(wanted), labels)
    assert (str(miss) if miss else None) == nearest_label


@pytest.mark.parametrize(
    ("wanted", "labels"),
    [
        pytest.param({"app": "api"}, {"app": "api"}, id="it matches"),
        pytest.param({"app": "apii", "tier": "bakc"}, {"app": "api", "tier": "back"}, id="two terms miss"),
        pytest.param({"app": "web-2"}, {"app": "web-1"}, id="numbered siblings"),
        pytest.param({"app": "api-external"}, {"app": "api-internal"}, id="counterparts"),
        pytest.param({"app.kubernetes.io/instance": "shop"}, {"app.kubernetes.io/instance": "shops"}, id="releases"),
        pytest.param({"release": "blue"}, {"release": "blues"}, id="releases, as old charts write them"),
        pytest.param({"version": "stable"}, {"version": "stables"}, id="versions"),
        pytest.param({"probe": "true"}, {"inject": "true"}, id="a boolean under another key"),
        pytest.param({"monitoring": "enabled"}, {"istio-injection": "enabled"}, id="enabled under another key"),
        pytest.param(
            {"access": "restricted"}, {"pod-security.kubernetes.io/enforce": "restricted"}, id="a level of Pod Security"
        ),
        pytest.param({"slot": "a"}, {"zone": "a"}, id="one letter under another key"),
        pytest.param(
            {"app.kubernetes.io/name": "api", "app.kubernetes.io/instance": "api"},
            {"app.kubernetes.io/name": "api"},
            id="the value stands under a key that the selector names, too",
        ),
        pytest.param({"app": "web", "component": "web"}, {"app": "web", "tier": "front"}, id="likewise"),
        pytest.param({"app": "web"}, {}, id="no labels"),
        pytest.param({}, {"app": "web"}, id="everything matches"),
    ],
)
def test_no_near_misses(wanted: dict[str, str], labels: dict[str, str]) -> None:
    assert near_miss(equality_selector(wanted), labels) is None


@pytest.mark.parametrize("operator", ["NotIn", "Exists", "DoesNotExist", "Gt"])
def test_only_wanted_values_can_be_misspelt(operator: str) -> None:
    term = Term("app", operator, frozenset({"api"}))
    assert near_miss(Selector((term,)), {"app": "apii"}) is None
    assert near_miss(Selector((term,)), {"name": "api"}) is None


def test_one_of_several_values() -> None:
    term = Term("app", "In", frozenset({"web", "apii"}))
    miss = near_miss(Selector((term,)), {"app": "api"})
    assert miss is not None
    assert str(miss) == "app=api"


@given(
    st.dictionaries(st.sampled_from("abc"), st.sampled_from(["web", "webb", "api"]), max_size=3),
    st.dictionaries(st.sampled_from("abc"), st.sampled_from(["web", "webb", "api"]), max_size=3),
)
def test_a_near_miss_would_match_if_it_were_mended(wanted: dict[str, str], labels: dict[str, str]) -> None:
    selector = equality_selector(wanted)
    miss = near_miss(selector, labels)
    if miss is None:
        return
    assert not selector.matches(labels)
    mended = {key: value for key, value in wanted.items() if key != miss.term.key} | {miss.key: miss.value}
    assert equality_selector(mended).matches(labels)
    assert len(mended) == len(wanted)


def terms() -> Iterator[Term]:
    yield Term("app", "In", frozenset({"web"}))
    yield Term("env", "In", frozenset({"test", "dev"}))
    yield Term("env", "NotIn", frozenset({"dev"}))
    yield Term("env", "NotIn", frozenset({"test", "dev"}))
    yield Term("tier", "Exists", frozenset())
    yield Term("tier", "DoesNotExist", frozenset())


def test_terms_are_written_as_kubectl_writes_them() -> None:
    assert [str(t) for t in terms()] == [
        "app=web", "env in (dev, test)", "env!=dev", "env notin (dev, test)", "tier", "!tier",
    ]  # fmt: skip
    assert str(Selector()) == "everything"
    assert contradiction(Selector((Term(NAME_LABEL, "DoesNotExist", frozenset()),)), {NAME_LABEL: ""})


def test_selectors_of_thousands_of_labels_are_not_kept() -> None:
    few, many = ({f"key-{i}": "value" for i in range(n)} for n in (3, 1000))
    assert equality_selector(few) is equality_selector(dict(few))
    assert equality_selector(many) is not equality_selector(many)
    assert equality_selector(many) == equality_selector(many)

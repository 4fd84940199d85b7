"""The vocabulary of judging: what a check is, what it is given, and what it says.

A check is one file in ``webhook/checks``: a module-level ``CHECK`` whose ``run`` looks at a `Context` and yields
`Finding`s. It does no I/O and knows no clock, so the same check serves the webhook, the command line and the tests.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from enum import IntEnum, StrEnum
from functools import cached_property
from typing import Final, NamedTuple, TypeAlias
from weakref import ref

from msgspec import Struct

from webhook.enforcement import Enforcement, Pin, enforcement_of
from webhook.model.cluster import Cluster, PodClass
from webhook.model.manifest import Manifest
from webhook.model.objects import NAMESPACE, Labels, LabelSelector, Namespace, NetworkPolicy, Service
from webhook.model.schema import Decoding, decode
from webhook.model.selectors import Selector, compile_selector, equality_selector
from webhook.terminal import count as count  # noqa: PLC0414 - every check counts
from webhook.terminal import enumerate_some as enumerate_some  # noqa: PLC0414

Judged: TypeAlias = NetworkPolicy | Service
"""The kinds that are judged; everything else is state."""


class Level(IntEnum):
    """How sure a check is that something is wrong (CONTRACT.md, words)."""

    NOTE = 1
    WARNING = 2
    ERROR = 3

    def __str__(self) -> str:
        return self.name.lower()


class Operation(StrEnum):
    CREATE = "CREATE"
    UPDATE = "UPDATE"
    DELETE = "DELETE"


class View(StrEnum):
    """From where an object is judged: it decides what the absence of something means (CHECKS.md, conduct 1)."""

    ADMISSION = "admission"
    CHECK = "check"
    AUDIT = "audit"


class Disclosure(StrEnum):
    """What a message may say about namespaces other than the object's own (CONTRACT.md, disclosure)."""

    NAMESPACE = "namespace"
    """Yes or no, and how many."""
    CLUSTER = "cluster"
    """Everything by name."""
    REQUESTER = "requester"
    """By name what the requesting user may list; to everybody else as ``namespace``."""


class Listing(NamedTuple):
    """A right in the API server: to list the objects of a kind is to know their names.

    Args:
        kind: one of `webhook.model.objects.KINDS`.
        namespace: where they are; empty for all namespaces, and for what is in none.
    """

    kind: str
    namespace: str


class Finding(Struct, frozen=True):
    """One statement about one object.

    Args:
        path: the field it is about, ``spec.ingress[0].from[1].podSelector``.
        message: what was seen; no full stop, no line break. Short: with the object's name and the check's id it goes
            on one line of kubectl's, of `webhook.verdict.SHORT` characters.
        remedy: what to write instead; goes behind the message on one line.
        level: the check's own level unless said otherwise.
        value: the offending value as text: on UPDATE the same finding about the same value is an old one.
        proven: it rests on evidence, not on absence alone (CHECKS.md, conduct 1): ``profile: strict`` denies it.
        causes: of what is cut, or adds nothing: the rules, by path, whose own mistakes explain it. What is said of
            these comes first, and mending them mends this (CHECKS.md, precedence). None: those that ``path`` holds.
        lost: of what is cut: each Service with the direction in which it is lost, ``Ingress shop/web``. Of those who
            speak of the same the more specific one has the voice.
        means: what that means for the traffic; goes behind what was seen, and is what a line without room leaves out.
        detail: the rest of the story, a sentence without full stop: names, evidence, why; told where there is room
            (``check``, ``audit``, reports), never in kubectl's line.
    """

    path: str
    message: str
    remedy: str = ""
    level: Level | None = None
    value: str = ""
    proven: bool = True
    causes: tuple[str, ...] | None = None
    lost: tuple[str, ...] = ()
    means: str = ""
    detail: str = ""

    @property
    def told(self) -> str:
        """What was seen, and what it means."""
        return f"{self.message}: {self.means}" if self.means else self.message

    @property
    def line(self) -> str:
        """What was seen, what it means, and what to write instead, as one line."""
        return f"{self.told}; {self.remedy}" if self.remedy else self.told

    @property
    def brief(self) -> str:
        """The line without what it means: what to write instead is of more use."""
        return f"{self.message}; {self.remedy}" if self.remedy else self.message

    @property
    def story(self) -> str:
        """The line, and the rest of the story behind it."""
        return f"{self.line} ({self.detail})" if self.detail else self.line


MOST_STEPS: Final = 600_000
"""What one judgement may cost; a step takes up to a microsecond, and all other admissions wait meanwhile."""


class TooLargeError(Exception):
    """The object, or what it must be compared with, takes more steps than a check may spend."""


class Context:
    """What a check may know about the object under review and the cluster around it.

    A check that loops over what users write, or over the state, says so with `spend`: the API server takes policies of
    100,000 peers, and answers come from one thread. What is not looked at for that reason is said to be unknown. Steps
    are counted, not seconds: the same object in the same state gets the same answer on every machine.

    Args:
        operation: what is done to the object.
        judged: the object as it will be, on DELETE as it was; None where only the text of some other kind, or of an
            object that cannot be decoded, is looked at.
        old: the object as it was; None on CREATE.
        cluster: the state, with the objects that arrive in the same run.
        view: from where it is judged.
        disclosure: what may be said of other namespaces.
        listable: with ``Disclosure.REQUESTER``, what the requesting user is known to be allowed to list.
        manifest: the text it comes from, where there is one.
        check_ids: the ids of all checks, which waivers may name.
        now: seconds since the epoch; None where nobody says: then nothing is known to be old.
        pin: what the configuration says of enforcement.
    """

    def __init__(
        self,
        operation: Operation,
        judged: Judged | None,
        cluster: Cluster,
        *,
        old: Judged | None = None,
        view: View = View.ADMISSION,
        disclosure: Disclosure = Disclosure.CLUSTER,
        listable: Collection[Listing] = frozenset(),
        manifest: Manifest | None = None,
        check_ids: frozenset[str] = frozenset(),
        now: float | None = None,
        pin: Pin = Pin.AUTO,
    ) -> None:
        self.operation = operation
        self.judged = judged
        self.old = old
        self.cluster = cluster
        self.view = view
        self.disclosure = disclosure
        self.listable = listable
        self.manifest = manifest
        self.check_ids = check_ids
        self.now = now
        self.pin = pin
        self.unknown: set[str] = set()
        """Questions that could not be answered; a check adds to it (CHECKS.md, conduct 7)."""
        self.steps = MOST_STEPS
        """What is left to spend."""
        self.wished: dict[Listing, None] = {}
        """What would have been named to a requester who may list it, in the order in which it came up."""

    # --- what costs steps

    def spend(self, steps: int = 1) -> None:
        """Takes note of what the next piece of work costs.

        Raises:
            TooLargeError: more than is left.
        """
        self.steps -= steps
        if self.steps < 0:
            raise TooLargeError

    def compile(self, selector: LabelSelector | None) -> Selector:
        """`compile_selector`; a selector that is left out matches everything."""
        if selector is None:
            return Selector()
        steps = 2 + 8 * len(selector.match_labels)
        for expression in selector.match_expressions:
            steps += 8 + len(expression.values)
        self.spend(steps)
        return compile_selector(selector)

    def compile_labels(self, labels: Labels) -> Selector:
        """`equality_selector`."""
        self.spend(2 + 8 * len(labels))
        return equality_selector(labels)

    def select(self, selector: Selector, namespaces: Collection[str] | None = None) -> list[PodClass]:
        """`Cluster.select`."""
        self.spend(2 + len(selector.terms))
        candidates = self.cluster.candidates(selector, namespaces)
        self.spend(len(candidates) * (1 + len(selector.terms)))
        return self.cluster.matching(candidates, selector, namespaces)

    def namespaces_matching(self, selector: Selector) -> list[Namespace]:
        """`Cluster.namespaces_matching`."""
        values = sum(len(term.values) for term in selector.terms)
        # The index answers terms with values; others are tried on every namespace.
        tried = 0 if any(term.operator == "In" for term in selector.terms) else len(self.cluster.keys(NAMESPACE))
        self.spend(2 + 4 * values + 2 * tried * (1 + len(selector.terms)))
        found = self.cluster.namespaces_matching(selector)
        self.spend(2 * len(found))
        return found

    # --- what there is

    @property
    def namespace(self) -> str:
        """The object's namespace."""
        return self.judged.metadata.namespace if self.judged else ""

    @property
    def policy(self) -> NetworkPolicy:
        """The object under review; only for checks that judge NetworkPolicies."""
        assert isinstance(self.judged, NetworkPolicy)  # noqa: S101 - the pipeline runs a check only on what it judges
        return self.judged

    @property
    def service(self) -> Service:
        """The object under review; only for checks that judge Services."""
        assert isinstance(self.judged, Service)  # noqa: S101
        return self.judged

    @cached_property
    def selected(self) -> Sequence[PodClass]:
        """The pods and templates that the policy under review selects; all checks of one review share them."""
        return self.select(self.compile(self.policy.spec.pod_selector), (self.namespace,))

    @cached_property
    def decoding(self) -> Decoding | None:
        """What the API server makes of the text that the object comes from; None where there is none."""
        return decode(self.manifest.data) if self.manifest else None

    @property
    def sees_whole(self) -> bool:
        """Whether the rest of what belongs to the object has had its time to arrive (CHECKS.md, conduct 1)."""
        return self.view is not View.ADMISSION or self.operation is Operation.UPDATE

    @cached_property
    def leaves_spec_alone(self) -> bool:
        """Whether it is an UPDATE of metadata or status, as every release brings them: it says nothing anew."""
        return self.old is not None and self.judged is not None and self.old.spec == self.judged.spec

    @cached_property
    def enforcement(self) -> Enforcement:
        """Which engine enforces NetworkPolicies here."""
        return enforcement_of(self.cluster, self.pin)

    # --- what may be told (CONTRACT.md, disclosure)

    def may_name(self, kind: str, namespace: str) -> bool:
        """Whether an object may be named; what a requester was not known to be allowed to list is noted in `wished`.

        Args:
            kind: of the object.
            namespace: where it is; empty when it is in none.
        """
        if namespace and namespace == self.namespace:
            return True
        if self.disclosure is not Disclosure.REQUESTER:
            return self.disclosure is Disclosure.CLUSTER
        if Listing(kind, "") in self.listable or Listing(kind, namespace) in self.listable:
            return True
        self.wished[Listing(kind, namespace)] = None
        return False

    @contextmanager
    def aside(self) -> Iterator[None]:
        """For what goes into a `Finding.detail`: a requester never reads it, so nothing is wished for meanwhile."""
        kept, self.wished = self.wished, {}
        try:
            yield
        finally:
            self.wished = kept

    def may_name_all(self, objects: Iterable[tuple[str, str]]) -> bool:
        """Whether objects of all these kinds and namespaces may be named; all are asked about, whatever the first says.

        Otherwise a requester's rights would come to be asked for one by one.
        """
        return False not in [self.may_name(kind, namespace) for kind, namespace in objects]

    def name_namespaces(self, names: Collection[str], *kinds: str) -> str:
        """Says which namespaces, as far as may be told: ``namespace shop``, or ``another namespace``.

        Args:
            names: of the namespaces.
            kinds: of what is said to be there: who may not list these does not learn in which namespaces they are.
        """
        told: list[str] = []
        untold = 0
        for name in sorted(set(names)):
            if self.may_name_all((kind, name) for kind in kinds):
                told.append(name)
            else:
                untold += 1
        parts = []
        if told:
            more = f" and {len(told) - 3} more" if len(told) > 3 else ""
            parts.append(f"namespace{'s' if len(told) > 1 else ''} {', '.join(told[:3])}{more}")
        if untold:
            parts.append("another namespace" if untold == 1 else f"{untold} other namespaces")
        return " and ".join(parts)


class OfReview:
    """What is found out for one review, and kept for as long as that is there: so it must not keep the review.

    Args:
        ctx: the review.
    """

    def __init__(self, ctx: Context) -> None:
        self._review = ref(ctx)

    @property
    def _ctx(self) -> Context:
        ctx = self._review()
        assert ctx is not None  # noqa: S101 - who asks has it
        return ctx


class Example(Struct, frozen=True, kw_only=True):
    """A case that a check must speak on, or be silent on: test and documentation at once.

    Args:
        title: what is special about it.
        cluster: the cluster's state, as YAML documents; taken as complete unless ``partial``.
        object: the object applied, as YAML.
        old: the object as it was before: makes it an UPDATE. With ``object`` empty: a DELETE.
        says: words that the finding's `Finding.story` must contain.
        view: from where it is judged.
        level: the level that the finding must have; the check's own by default.
    """

    title: str
    object: str
    cluster: str = ""
    old: str = ""
    says: str = ""
    view: View = View.ADMISSION
    level: Level | None = None
    partial: bool = False


class Check(Struct, frozen=True, kw_only=True):
    """One check, whole: what it says, why, and the examples that prove it.

    Args:
        id: names the bad thing; the file's name with ``-`` for ``_``.
        level: the highest level it speaks at.
        summary: one line, for lists.
        rationale: why it matters and how it comes about; where the rule stands.
        remedy: what to do.
        run: yields findings; must not wait, write, or keep state.
        judges: the kinds it looks at (``NetworkPolicy.kind``, ``Service.kind``).
        operations: the operations it looks at.
        rests_on: the kinds whose absence a finding rests on: before such a finding is returned on CREATE, the live
            state is given a moment to see what was sent just before (CHECKS.md, conduct 6).
        files_only: looks at the text; runs in ``check`` only.
        bad: examples that it must speak on.
        good: examples that it must be silent on.
    """

    id: str
    level: Level
    summary: str
    rationale: str
    remedy: str
    run: Callable[[Context], Iterator[Finding]]
    judges: tuple[str, ...]
    operations: tuple[Operation, ...] = (Operation.CREATE, Operation.UPDATE)
    rests_on: tuple[str, ...] = ()
    files_only: bool = False
    bad: tuple[Example, ...] = ()
    good: tuple[Example, ...] = ()


CREATE: Final = Operation.CREATE
UPDATE: Final = Operation.UPDATE
DELETE: Final = Operation.DELETE

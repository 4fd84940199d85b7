"""From a review to a verdict: every check over one object, precedence, waivers, configuration, what is never denied.

The pipeline is the one judge behind the webhook and the command line. It keeps no state but its configuration and
waits for nothing; the shell around it decides when to ask again (`Judgement.rests_on`).
"""

import contextlib
from collections.abc import Callable, Collection, Iterator, Sequence
from typing import Final, NamedTuple

import msgspec
from msgspec import Struct

from webhook.aftermath import REVEALED, Connections, Survey, alike_in_numbers, in_numbers, in_words, traffic_lines
from webhook.check import (
    MOST_STEPS,
    Check,
    Context,
    Disclosure,
    Finding,
    Judged,
    Level,
    Listing,
    Operation,
    TooLargeError,
    View,
)
from webhook.checks import all_checks
from webhook.config import Config, Effects, Mode, Waivers
from webhook.dependents import Change, change_of, dependents, outlook
from webhook.effects import MOST_LINES, MOST_STEPS_OF_FILES, effect_lines
from webhook.model.cluster import Cluster
from webhook.model.manifest import Manifest, value_at
from webhook.model.objects import (
    MODE_LABEL,
    NETWORK_POLICY,
    POD,
    SERVICE,
    WAIVER_PREFIX,
    Key,
    Labels,
    Namespace,
    NetworkPolicy,
    Service,
)
from webhook.model.review import Request
from webhook.precedence import Statement, silence
from webhook.reach.graph import tidy
from webhook.verdict import SHORT, Action, ObjectReference, Ruling, Verdict, line_about

_EFFECT: Final = "effect"
"""What stands at the end of a line about traffic, where a check's id stands else."""
_WATCH: Final = "watchKinds"
"""In place of a check's id, where what depends on a watched object could not be found out."""
_SERVICE_ACCOUNTS: Final = "system:serviceaccount:"
ANYTHING: Final = "*"
_STEPS_OF_A_FINDING: Final = 100
"""What it costs to settle who speaks, to configure, waive, sort and log a finding."""


class Crash(Struct, frozen=True):
    """A check that raised: it says nothing about this object, and the others still do."""

    check: str
    error: Exception


class Judgement(Struct, frozen=True):
    """A verdict, and what one must know to trust it.

    Args:
        verdict: what is answered.
        crashes: the checks that raised.
        unknown: the questions that could not be answered.
        rests_on: the kinds whose news may take a warning or denial back: what was sent just before a CREATE, or
            deleted just before a DELETE, may not have arrived; empty on UPDATE.
        wished: what its lines would have named if the requester was known to be allowed to list it, the lines that
            matter most first; only with ``disclose: requester``.
    """

    verdict: Verdict
    crashes: tuple[Crash, ...] = ()
    unknown: tuple[str, ...] = ()
    rests_on: frozenset[str] = frozenset()
    wished: tuple[Listing, ...] = ()


class Deletions:
    """The NetworkPolicies and Services that were deleted a short while ago (CHECKS.md, conduct 5).

    ``kubectl replace --force`` deletes an object and creates it anew: what is denied then would leave its pods open.

    Args:
        clock: seconds, only ever compared with each other.
    """

    SECONDS: Final = 600.0
    MOST: Final = 10_000

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._deleted: dict[tuple[str, Key], tuple[float, Judged]] = {}

    def remember(self, record: object) -> None:
        """Takes note of a deleted object; other kinds than the judged ones are nothing to remember."""
        if not isinstance(record, NetworkPolicy | Service):
            return
        self._deleted.pop((record.kind, record.key), None)  # so that the dictionary is in the order of time
        self._deleted[record.kind, record.key] = self._clock(), record
        while len(self._deleted) > self.MOST:
            del self._deleted[next(iter(self._deleted))]

    def recent(self, kind: str, key: Key) -> Judged | None:
        """The object of this name as it was when it was deleted, within ten minutes."""
        for each, (at, _) in list(self._deleted.items()):
            if self._clock() - at <= self.SECONDS:
                break
            del self._deleted[each]
        found = self._deleted.get((kind, key))
        return found[1] if found else None


class _Found:
    """What came up while dependents were looked at.

    Args:
        tells_effects: whether what the change does to traffic is asked for, too.
    """

    def __init__(self, *, tells_effects: bool) -> None:
        self.tells_effects = tells_effects
        self.crashes: list[Crash] = []
        self.unknown: set[str] = set()
        self.wished: dict[Listing, None] = {}
        self.effects: list[str] = []


class _Lost(NamedTuple):
    """What a dependent loses, and what would have been named in it."""

    survey: Survey
    ruling: Ruling
    wished: tuple[Listing, ...]


class Judge:
    """Judges objects with a set of checks and a configuration.

    Args:
        config: what is denied, warned about, or ignored.
        checks: the checks; all that are shipped by default.
        on_crash: called with every crash, so that it is counted and logged.
        deletions: what was deleted a short while ago.
        clock: seconds since the epoch; without one, nothing is known to be old.
    """

    def __init__(
        self,
        config: Config | None = None,
        checks: Sequence[Check] | None = None,
        on_crash: Callable[[Crash], None] = lambda _: None,
        deletions: Deletions | None = None,
        clock: Callable[[], float | None] = lambda: None,
    ) -> None:
        self.config = config or Config()
        self.checks = tuple(all_checks() if checks is None else checks)
        self.check_ids = frozenset(check.id for check in self.checks)
        self._checks_of: dict[tuple[str, bool, Operation], Sequence[Check]] = {}
        self._on_crash = on_crash
        self._clock = clock
        self.deletions = deletions

    # --- the ways in

    def admit(
        self, request: Request, cluster: Cluster, *, synced: bool = True, listable: Collection[Listing] = frozenset()
    ) -> Judgement:
        """Judges an admission request.

        Args:
            request: the decoded request; kinds that are not judged are allowed.
            cluster: the state.
            synced: whether the state has been read at least once: until then nothing is denied, and that something
                is not there proves nothing: it may be on the next page of a list.
            listable: with ``disclose: requester``, what who asks is known to be allowed to list; what else would have
                been named, is in `Judgement.wished`.
        """
        tidy(cluster)
        if request.shown is not None and request.kind in self.config.watched:
            return self._admit_watched(request, cluster, listable, synced=synced)
        judged = request.old if request.operation == Operation.DELETE else request.new
        if judged is None or request.operation == "CONNECT":
            return Judgement(Verdict())
        before = request.old
        if self.deletions is not None and request.operation == Operation.DELETE and not request.dry_run:
            self.deletions.remember(judged)
        elif self.deletions is not None and request.operation == Operation.CREATE:
            before = self.deletions.recent(request.kind, (request.namespace, request.name))
        ctx = self._context(
            Operation(request.operation),
            judged,
            cluster,
            View.ADMISSION,
            self.config.disclose,
            old=request.old,
            listable=listable,
        )
        may_deny = (
            synced
            and ctx.operation is not Operation.DELETE
            and not request.deleting
            and not request.metadata_only
            and not _terminating(cluster, request.namespace)
        )
        reference = _reference(request.kind, request.namespace, request.name)
        judgement = self._judge(ctx, reference, may_deny=may_deny, synced=synced, before=before)
        if synced and self._tells_effects(request) and self._mode(ctx) is not Mode.OFF:
            return self._with_effects(judgement, ctx, reference)
        return judgement

    # --- what is watched

    def _admit_watched(
        self, request: Request, cluster: Cluster, listable: Collection[Listing], *, synced: bool
    ) -> Judgement:
        """Judges what a Namespace's or workload's change does to the policies and Services that depend on it.

        It is never denied: whoever changes it may well be about to change these, too.
        """
        update = request.operation == Operation.UPDATE
        if not update and request.operation != Operation.DELETE:
            return Judgement(Verdict())
        change = change_of(request.shown, request.becomes if update else None)
        if change is None:
            return Judgement(Verdict())
        name = change.before.name
        reference = _reference(request.kind, "" if isinstance(change.before, Namespace) else change.namespace, name)
        if not synced:
            return Judgement(Verdict(), unknown=(f"{reference}: the state has not been read yet",))
        found = _Found(tells_effects=self._tells_effects(request))
        try:
            told = self._broken_by(change, cluster, listable, found)
        except TooLargeError:
            told = []
            found.unknown.add(f"what depends on {reference} is too much to be looked at")
        except Exception as error:  # noqa: BLE001 - as with a check
            told = []
            found.crashes.append(Crash(_WATCH, error))
        for crash in found.crashes:
            self._on_crash(crash)
        rulings = [msgspec.structs.replace(r, object=reference) for r in told]
        rulings.sort(key=lambda r: (r.action is Action.IGNORE, -r.level))
        waits = any(r.action is not Action.IGNORE for r in rulings)
        return Judgement(
            Verdict(tuple(rulings), _told_effects(reference, found.effects, "and {} more") if waits else ()),
            tuple(found.crashes),
            tuple(sorted(found.unknown)),
            # Helm and kubectl send a Service or policy a moment before: conduct 6.
            frozenset((SERVICE, NETWORK_POLICY)) if waits else frozenset(),
            tuple(found.wished),
        )

    def _broken_by(
        self, change: Change, cluster: Cluster, listable: Collection[Listing], found: _Found
    ) -> list[Ruling]:
        """What stands against dependents after a change and did not before, as it is told to whoever makes it.

        Raises:
            TooLargeError: there is too much to find out who depends on it.
        """

        def looking(judged: Judged | None, steps: int) -> Context:
            ctx = self._context(Operation.CREATE, judged, cluster, View.AUDIT, self.config.disclose, listable=listable)
            ctx.steps = steps
            return ctx

        with cluster.supposing((change.before,)):
            if _terminating(cluster, change.namespace):
                return []
            reader = looking(None, MOST_STEPS // 2)
            will = outlook(reader, change)
            every = dependents(reader, change, will)
            found.unknown |= reader.unknown
            if not every:
                return []
            left, surveyed, now = MOST_STEPS // 2, [], Connections(cluster)
            for dependent in every:
                ctx = looking(dependent.judged, left // 2)
                left -= left // 2
                with contextlib.suppress(TooLargeError):
                    surveyed.append(Survey(ctx, change, will, dependent, now))
                left += max(ctx.steps, 0)
                found.unknown |= ctx.unknown
            if missed := len(every) - len(surveyed):
                found.unknown.add(f"{missed} of {len(every)} that depend on {change} were too much to look at")
            told: list[_Lost] = []
            with cluster.supposing(will.puts, will.removals, without=will.without):
                if self._mode(reader, change.namespace) is Mode.OFF:
                    return []
                then = Connections(cluster)
                for survey in surveyed:
                    ctx = looking(survey.dependent.judged, left // 2)
                    left -= left // 2
                    told += self._lost(ctx, survey, then, found)
                    left += max(ctx.steps, 0)
                    found.unknown |= ctx.unknown
            stood: dict[Survey, frozenset[tuple[str, str]]] = {}
            for survey in dict.fromkeys(lost.survey for lost in told if lost.ruling.check in REVEALED):
                ctx = looking(survey.dependent.judged, left // 2)
                left -= left // 2
                statements, _ = self._statements(ctx, found.crashes, ctx.steps, REVEALED)
                left += max(ctx.steps, 0)
                stood[survey] = frozenset((s.check.id, s.finding.path) for s in statements if s.level > Level.NOTE)
            news = [
                lost for lost in told if (lost.ruling.check, lost.ruling.finding.path) not in stood.get(lost.survey, ())
            ]
            if found.tells_effects:
                found.effects = traffic_lines(reader, change, dict.fromkeys(lost.survey for lost in news))
        return self._as_told(change, news, reader, found)

    def _lost(self, ctx: Context, survey: Survey, then: Connections, found: _Found) -> Iterator[_Lost]:
        """What stands against a dependent after the change: as warnings, or waived."""
        config, mode = self.config.of(ctx.namespace), self._mode(ctx)
        checks = {check.id: check for check in self.checks}
        statements: list[Statement] = []
        try:
            for id_, loss in survey.losses(ctx, then):
                if (check := checks.get(id_)) is not None:
                    level = config.level(id_, check.level if loss.level is None else loss.level)
                    wished = tuple(dict.fromkeys((*survey.wished, *ctx.wished)))
                    statements.append(Statement.of(check, loss, level, wished))
        except TooLargeError:
            ctx.unknown.add("some that depend on it were too much to look at in full")
        said, _ = self._statements(ctx, found.crashes, max(ctx.steps, 0), REVEALED)
        statements += (s for s in said if not survey.explains(s.finding))
        silence(statements)
        reference = _reference(survey.dependent.judged.kind, *survey.dependent.judged.key)
        for one in statements:
            if one.silenced or one.level is Level.NOTE:
                continue
            ruling = _rule(ctx, reference, one, config, mode)
            if ruling.action is Action.DENY:
                ruling = msgspec.structs.replace(ruling, action=Action.WARN)
            if ruling.action is Action.WARN or ruling.waived:
                yield _Lost(survey, ruling, one.wished)

    def _as_told(self, change: Change, news: Sequence[_Lost], reader: Context, found: _Found) -> list[Ruling]:
        """The rulings in the words of who makes the change; those about objects that may not be named are counted.

        What is said of an object tells of the pods around it, too: of another namespace it is for who may list both.
        """
        rulings: list[Ruling] = []
        counted: dict[tuple[str, ...], tuple[Ruling, dict[tuple[str, Key], Judged]]] = {}
        for survey, ruling, wished in news:
            judged = survey.dependent.judged
            namespace = judged.metadata.namespace
            if ruling.action is Action.IGNORE:
                rulings.append(ruling)
                continue
            found.wished.update(dict.fromkeys(wished))
            if namespace == change.namespace or reader.may_name_all((kind, namespace) for kind in (judged.kind, POD)):
                finding = in_words(survey.dependent, ruling.finding, own=change.namespace)
                rulings.append(msgspec.structs.replace(ruling, finding=finding))
            else:
                alike = (ruling.check, *alike_in_numbers(ruling.finding))
                counted.setdefault(alike, (ruling, {}))[1][judged.kind, judged.key] = judged
        found.wished.update(reader.wished)
        summaries = {check.id: check.summary for check in self.checks}
        for ruling, every in counted.values():
            finding = in_numbers(ruling.finding, list(every.values()), summaries[ruling.check])
            rulings.append(msgspec.structs.replace(ruling, finding=finding))
        return rulings

    def _tells_effects(self, request: Request) -> bool:
        """Whether the person who asks is told what the policy does to traffic (CONTRACT.md, effects)."""
        if self.config.effects is not Effects.DRY_RUN:
            return self.config.effects is Effects.ALWAYS
        return request.dry_run and not request.user.startswith(_SERVICE_ACCOUNTS)

    def _with_effects(self, judgement: Judgement, ctx: Context, reference: ObjectReference) -> Judgement:
        """The judgement with the effects of the change; what goes wrong in finding them denies and hides nothing."""
        ctx.steps, ctx.wished = MOST_STEPS, {}
        try:
            told = effect_lines(ctx, SHORT - len(line_about(reference, "", _EFFECT)))
        except TooLargeError:
            unknown = f"{reference} is too large to say what it does to traffic"
            return msgspec.structs.replace(judgement, unknown=(*judgement.unknown, unknown))
        except Exception as error:  # noqa: BLE001 - as with a check
            crash = Crash(_EFFECT, error)
            self._on_crash(crash)
            return msgspec.structs.replace(judgement, crashes=(*judgement.crashes, crash))
        lines = _told_effects(reference, told, "and {} more: netadmit diff --live --apply FILE")
        return msgspec.structs.replace(
            judgement,
            verdict=Verdict(judgement.verdict.rulings, lines),
            wished=tuple(dict.fromkeys((*judgement.wished, *ctx.wished))),
        )

    def check(self, manifest: Manifest, judged: Judged | None, cluster: Cluster) -> Judgement:
        """Judges one object of a file, as if all files were applied together (CONTRACT.md, ``check``).

        Args:
            manifest: the object's text.
            judged: the decoded object; None for kinds that are only looked at as text, and for what cannot be decoded.
            cluster: the state with all objects of the files in it.
        """
        ctx = self._context(Operation.CREATE, judged, cluster, View.CHECK, Disclosure.CLUSTER, manifest=manifest)
        name = value_at(manifest.data, ("metadata", "name")) or value_at(manifest.data, ("metadata", "generateName"))
        namespace = judged.metadata.namespace if judged else value_at(manifest.data, ("metadata", "namespace"))
        reference = ObjectReference(manifest.api_version, manifest.kind, str(namespace or ""), str(name or ""))
        return self._judge(ctx, reference, may_deny=True)

    def audit(
        self,
        judged: Judged,
        cluster: Cluster,
        *,
        disclosure: Disclosure = Disclosure.CLUSTER,
        most: int | None = None,
    ) -> Judgement:
        """Judges an object that is in the cluster already, with all that belongs to it.

        Args:
            judged: the object.
            cluster: the state.
            disclosure: what may be said of other namespaces, to whoever reads the answer.
            most: the steps that it may cost; by default as many as files, for which only one person waits.
        """
        ctx = self._context(Operation.CREATE, judged, cluster, View.AUDIT, disclosure)
        return self._judge(ctx, _reference(judged.kind, *judged.key), may_deny=True, most=most)

    # --- the way through

    def _context(
        self,
        operation: Operation,
        judged: Judged | None,
        cluster: Cluster,
        view: View,
        disclosure: Disclosure,
        *,
        old: Judged | None = None,
        listable: Collection[Listing] = frozenset(),
        manifest: Manifest | None = None,
    ) -> Context:
        return Context(
            operation,
            judged,
            cluster,
            old=old,
            view=view,
            disclosure=disclosure,
            listable=listable,
            manifest=manifest,
            check_ids=self.check_ids,
            now=self._clock(),
            pin=self.config.enforcement,
        )

    def _judge(
        self,
        ctx: Context,
        reference: ObjectReference,
        *,
        may_deny: bool,
        synced: bool = True,
        before: Judged | None = None,
        most: int | None = None,
    ) -> Judgement:
        crashes: list[Crash] = []
        statements, unfinished = self._statements(ctx, crashes, most)
        if unfinished:
            ctx.unknown.add(f"{reference} is too large to be judged in full: {', '.join(unfinished)} gave up")
        for crash in crashes:
            self._on_crash(crash)
        if not statements:  # of most objects
            return Judgement(Verdict(), tuple(crashes), tuple(sorted(ctx.unknown)))
        if not synced:
            for statement in statements:
                if statement.check.rests_on:
                    statement.level = Level.NOTE
        silence(statements)
        spoken = [s for s in statements if not s.silenced]
        config, mode = self.config.of(ctx.namespace), self._mode(ctx)
        rulings = [_rule(ctx, reference, s, config, mode) for s in spoken]
        wished = {
            w: None for s, r in zip(spoken, rulings, strict=True) if r.action is not Action.IGNORE for w in s.wished
        }
        if any(r.action is Action.DENY for r in rulings) and (not may_deny or before is not None):
            said_before = self._said_of(before, ctx) if may_deny and before is not None else None
            rulings = [_lowered(r, said_before) for r in rulings]
        rulings.sort(key=lambda r: (r.action is not Action.DENY, r.action is Action.IGNORE, -r.level))
        return Judgement(
            Verdict(tuple(rulings)),
            tuple(crashes),
            tuple(sorted(ctx.unknown)),
            frozenset(
                kind
                for s in spoken
                if s.level > Level.NOTE and ctx.operation is not Operation.UPDATE
                for kind in s.check.rests_on
            ),
            tuple(wished),
        )

    def _statements(
        self, ctx: Context, crashes: list[Crash], most: int | None = None, only: Collection[str] | None = None
    ) -> tuple[list[Statement], list[str]]:
        """What the checks say, and the ids of those that found too much to look at.

        Each may spend half of the steps that are left: none takes them all from those that come after it.
        """
        statements: list[Statement] = []
        unfinished: list[str] = []
        left = most if most is not None else MOST_STEPS if ctx.view is View.ADMISSION else MOST_STEPS_OF_FILES
        config = self.config.of(ctx.namespace)
        for check in self._applicable(ctx):
            if only is not None and check.id not in only:
                continue
            ctx.steps = share = left // 2
            findings: list[tuple[Finding, tuple[Listing, ...]]] = []
            ctx.wished = {}
            try:
                for finding in check.run(ctx):
                    findings.append((finding, tuple(ctx.wished)))
                    ctx.spend(_STEPS_OF_A_FINDING)
            except TooLargeError:  # what it said until then is true all the same
                unfinished.append(check.id)
            except Exception as error:  # noqa: BLE001 - whatever a check does wrong, the others still speak
                crashes.append(Crash(check.id, error))
                findings = []
            left -= share - max(ctx.steps, 0)
            for finding, wished in findings:
                level = config.level(check.id, check.level if finding.level is None else finding.level)
                statements.append(Statement.of(check, finding, level, wished))
        ctx.steps = left
        return statements, unfinished

    def _applicable(self, ctx: Context) -> Sequence[Check]:
        """The checks that look at such an object; found once for all that are of one sort."""
        kind = ctx.judged.kind if ctx.judged else ""
        sort = kind, ctx.manifest is not None and ctx.view is View.CHECK, ctx.operation
        found = self._checks_of.get(sort)
        if found is None:
            found = self._checks_of[sort] = [
                check
                for check in self.checks
                if (sort[1] if check.files_only else kind in check.judges) and ctx.operation in check.operations
            ]
        return found

    def _mode(self, ctx: Context, of: str | None = None) -> Mode:
        """The mode of the object's namespace, or of another one."""
        name = ctx.namespace if of is None else of
        own = self.config.settings_of(name)
        if own is not None and own.mode is not None:
            return own.mode
        namespace = ctx.cluster.namespace(name) if name else None
        label = namespace.labels.get(MODE_LABEL) if namespace else None
        return Mode(label) if label in set(Mode) else self.config.mode

    def _said_of(self, old: Judged, ctx: Context) -> frozenset[tuple[str, str]]:
        """What would be said of the old object today: a change that does not make it worse is not denied.

        A check that crashes on the old object, or finds it too large, counts as having said whatever it says now: a
        bug denies nothing.
        """
        crashes: list[Crash] = []
        before = self._context(ctx.operation, old, ctx.cluster, ctx.view, ctx.disclosure, listable=ctx.listable)
        statements, unfinished = self._statements(before, crashes)
        said = {(s.check.id, s.finding.value) for s in statements}
        return frozenset(said | {(id_, ANYTHING) for id_ in (*(crash.check for crash in crashes), *unfinished)})


def _told_effects(reference: ObjectReference, told: Sequence[str], more: str) -> tuple[str, ...]:
    """The first lines about traffic, and how many more there are."""
    shown = list(told[:MOST_LINES])
    if len(told) > MOST_LINES:
        shown.append(more.format(len(told) - MOST_LINES))
    return tuple(line_about(reference, line, _EFFECT) for line in shown)


def _rule(ctx: Context, reference: ObjectReference, said: Statement, config: Config, mode: Mode) -> Ruling:
    action = config.action(said.check.id, said.level, proven=said.finding.proven)
    if said.level is Level.NOTE < said.check.level:
        action = Action.IGNORE  # the check found no evidence: what is set for the check is about what it can prove
    waived = _waiver(ctx, said.check.id, action, config.waivers(said.check.id))
    if waived or mode is Mode.OFF:
        action = Action.IGNORE
    elif action is Action.DENY and mode is Mode.WARN:
        action = Action.WARN
    return Ruling(said.check.id, said.level, action, reference, said.finding, tuple(said.also), waived)


def _waiver(ctx: Context, check: str, action: Action, waivers: Waivers) -> str:
    """The reason for which this finding is waived, empty when it is not; a denial is waived by its Namespace only."""
    if waivers is Waivers.NONE:
        return ""
    namespace = ctx.cluster.namespace(ctx.namespace) if ctx.namespace else None
    holders: list[Labels] = [namespace.annotations] if namespace else []
    if action is not Action.DENY and waivers is Waivers.OBJECT and ctx.judged is not None:
        holders.append(ctx.judged.metadata.annotations)
    key = WAIVER_PREFIX + check
    return next((reason for h in holders if (reason := str(h.get(key, "")).strip())), "")


def _lowered(ruling: Ruling, said_before: frozenset[tuple[str, str]] | None) -> Ruling:
    """The ruling without its denial: always when nothing may be denied, else where the old object had it too."""
    if ruling.action is not Action.DENY:
        return ruling
    same = {(ruling.check, ruling.finding.value), (ruling.check, ANYTHING)}
    if said_before is not None and not same & said_before:
        return ruling
    return Ruling(ruling.check, ruling.level, Action.WARN, ruling.object, ruling.finding, ruling.also, ruling.waived)


def _terminating(cluster: Cluster, namespace: str) -> bool:
    found = cluster.namespace(namespace) if namespace else None
    return found is not None and found.terminating


def _reference(kind: str, namespace: str, name: str) -> ObjectReference:
    api_version, _, word = kind.rpartition("/")
    return ObjectReference(api_version, word, namespace, name)

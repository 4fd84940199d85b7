"""Says whether SRC may reach DST, and which policy and rule on each side says so.

SRC and DST are namespace/name, namespace/Kind/name or ip:ADDRESS; a workload stands for all of its pods. Any other DST
is what a person types in that pod: a Service's name, name.namespace, name:port, an address, a URL. Then the answer goes
as the traffic does: the lookup of the name, the Service and its endpoints, egress, ingress; the first step that fails
is the answer. (dnsPolicy is taken to be ClusterFirst: no state tells it.) Exit code: 0 once answered, 1 with --expect
when it is not so, 2 some input could not be read.
"""

import argparse
import gc
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import msgspec

from webhook.cli import DENIED, OK, UNUSABLE, UsageError
from webhook.cli.flow_options import say_what_is_empty, say_what_is_not_counted
from webhook.cli.state_options import add_state_arguments, load_state, report_problems, standard_input, wants_live
from webhook.model.objects import SERVICE
from webhook.terminal import clean, elide

if TYPE_CHECKING:
    from webhook.lookup.traffic import Explanation, Guide
    from webhook.reach.explain import Answer, Explainer, Query
    from webhook.report.paint import Paint

    _Answered: TypeAlias = tuple[Any, Answer | str]

EXAMPLE = """examples:
  netadmit explain shop/Deployment/web shop/Deployment/api --port 8080 --cluster snapshot.yaml
  netadmit explain shop/web http://api.backend:8080/health --live
  netadmit explain shop/web ip:203.0.113.7 --port 443 --cluster manifests/ --expect deny
  netadmit explain --queries queries.json -o json --cluster snapshot.yaml

$ netadmit explain remote/remotebox interginx:80 --cluster cluster.yaml
denied: remote/remotebox -> interginx:80, at lookup
  lookup   fails  interginx does not resolve: looked up as interginx.remote.svc.cluster.local, which is not there; \
Service interginx is in default
                  no policy keeps remote/remotebox from asking the cluster's DNS
  = needed: write interginx.default, or in full interginx.default.svc.cluster.local
"""
_ALLOWED: Final = "1;32"
_DENIED: Final = "1;31"
_PARTLY: Final = "1;33"
_UNKNOWN: Final = "1;36"
_LONGEST: Final = 400
"""Characters of a line: a rule may list thousands of addresses."""
_CHUNK: Final = 2_000
"""Answers that are written at once."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "src", nargs="?", metavar="SRC", help="who connects: namespace/name, namespace/Kind/name, ip:ADDRESS"
    )
    parser.add_argument(
        "dst", nargs="?", metavar="DST", help="where to: the same, or what is typed in SRC, as api:8080"
    )
    parser.add_argument("--port", metavar="PORT", help="8080, 8080/TCP, 53/UDP; without, all ports are asked for")
    parser.add_argument("--expect", choices=("allow", "deny"), help="exit code 1 when it is not so")
    parser.add_argument("-o", "--output", choices=("text", "json"), default="text")
    parser.add_argument(
        "--queries", metavar="FILE", help='many questions: a JSON array of {"src", "dst", "protocol", "port"}'
    )
    add_state_arguments(parser)


def run(args: argparse.Namespace) -> int:
    from webhook.lookup.traffic import Guide  # noqa: PLC0415 - `--help` does without
    from webhook.reach.explain import Explainer  # noqa: PLC0415
    from webhook.reach.graph import graph_of  # noqa: PLC0415

    _check(args)
    entries = _queries(args.queries) if args.queries else None
    state = load_state(args)
    lost = report_problems(state.problems)
    say_what_is_empty(state.cluster)
    say_what_is_not_counted(state.cluster)
    for question in state.unknown:
        sys.stderr.write(f"netadmit: not known: {_text(question)}\n")
    explainer = Explainer(graph_of(state.cluster))
    if entries is not None:
        as_expected = _answer_all(explainer, entries, args)
    else:
        known = not wants_live(args) or state.cluster.complete(SERVICE)
        as_expected = _answer_one(Guide(explainer, services_known=known), explainer, args)
    if lost:
        return UNUSABLE
    return OK if as_expected else DENIED


def _check(args: argparse.Namespace) -> None:
    """What of the arguments does not go together.

    Raises:
        UsageError: it does not.
    """
    if args.queries:
        if args.src or args.port:
            raise UsageError("--queries has the questions: SRC, DST and --port go without it")
        if args.queries == "-" and "-" in args.cluster:
            raise UsageError("standard input can be the queries or the state, not both")
    elif not args.dst:
        raise UsageError("name SRC and DST, or --queries FILE")
    if not args.cluster and not wants_live(args):
        raise UsageError("name the cluster's state: --cluster PATH, or a live cluster (--live …)")


# --- one question -----------------------------------------------------------------------------------------------------


def _answer_one(guide: "Guide", explainer: "Explainer", args: argparse.Namespace) -> bool:
    """Answers one question; says whether the answer is as expected.

    Raises:
        UsageError: the question cannot be asked.
    """
    found = _explain(guide, explainer, args)
    if args.output == "json":
        sys.stdout.buffer.write(msgspec.json.format(msgspec.json.encode(_as_object(found))) + b"\n")
    else:
        for line in _lines(found):
            print(line)
    return _as_expected(args.expect, found.allowed, nothing=not found.partly and not found.ports)


def _explain(guide: "Guide", explainer: "Explainer", args: argparse.Namespace) -> "Explanation":
    from webhook.lookup.typed import TypedError, is_exact, parse_port, parse_typed  # noqa: PLC0415
    from webhook.reach.explain import UnknownNameError  # noqa: PLC0415

    try:
        port, protocol = parse_port(args.port) if args.port else (None, "TCP")
        if is_exact(args.dst):
            return guide.exact(args.src, args.dst, protocol, port)
        typed = parse_typed(args.dst)
        if port is not None:
            if typed.port not in (None, port):
                raise UsageError(f"{args.dst} says port {typed.port}, --port {port}")
            typed = msgspec.structs.replace(typed, port=port, protocol=protocol)
        return guide.typed(args.src, args.dst, typed)
    except TypedError as error:
        raise UsageError(str(error)) from None
    except UnknownNameError as error:
        raise UsageError(_with_hint(explainer, str(error), error.absent)) from None


def _with_hint(explainer: "Explainer", message: str, absent: str) -> str:
    """What was wrong with a name, and the one that was probably meant."""
    if not absent:
        return message
    if explainer.has_finished(absent):
        return f"{absent} has finished: it has no network any more"
    namespace, _, own = absent.partition("/")
    if explainer.graph.cluster.get(SERVICE, (namespace, own)) is not None:
        return f"{message}; for the Service write {namespace}/Service/{own}, as DST"
    near = explainer.near(absent)
    return f"{message}, did you mean {near}?" if near else message


def _as_object(found: "Explanation") -> dict[str, Any]:
    answer: dict[str, Any] = {"src": clean(found.src), "dst": clean(found.dst), "protocol": found.protocol}
    if found.port is not None:
        answer["port"] = found.port
    answer["allowed"] = found.allowed
    if found.partly:
        answer["partly"] = True
    if found.ports is not None:
        answer["ports"] = found.ports
    answer |= {"egress": found.egress, "ingress": found.ingress}
    answer["steps"] = [
        {"step": s.step, "ok": s.ok, "says": s.says}
        | ({"details": s.details} if s.details else {})
        | ({"needed": s.needed} if s.needed else {})
        for s in found.steps
    ]
    return answer


def _lines(found: "Explanation") -> Iterator[str]:
    from webhook.report.paint import Paint  # noqa: PLC0415

    paint = Paint(sys.stdout)
    yield _head(found, paint)
    words = {True: (_ALLOWED, "ok"), False: (_DENIED, "fails"), None: (_UNKNOWN, "not known")}
    width = max(len(words[step.ok][1]) for step in found.steps)
    for step in found.steps:
        colour, word = words[step.ok]
        yield f"  {step.step:<8} {paint(colour, f'{word:<{width}}')}  {_text(step.says)}"
        for detail in step.details:
            yield f"  {'':<8} {'':<{width}}  {paint('2', _text(detail))}"
    failing = next((s for s in found.steps if s.ok is False), None) or next((s for s in found.steps if s.needed), None)
    if failing is not None and failing.needed:
        yield paint("34", "  = ") + paint("1;32", "needed") + f": {_text(failing.needed)}"


def _head(found: "Explanation", paint: "Paint") -> str:
    """Whether it is allowed, first of all; of what fails, the first step."""
    failing = next((step.step for step in found.steps if step.ok is False), None)
    at = f", at {failing}" if failing else ""
    return _line(paint, found, found.allowed, partly=found.partly, ports=found.ports, at=at)


def _line(
    paint: "Paint",
    question: "Explanation | Query",
    allowed: bool | None,
    *,
    partly: bool,
    ports: Sequence[str] | None,
    at: str,
) -> str:
    told = question.port is None or str(question.port) in question.dst
    port = "" if told else f" {question.protocol} {question.port}"
    what = paint("1", f"{_text(question.src)} -> {_text(question.dst)}{port}")
    if allowed:
        return f"{paint(_ALLOWED, 'allowed')}: {what}"
    if partly:
        return f"{paint(_PARTLY, 'partly')}: {what}, not between all pods"
    if ports:
        return f"{paint(_PARTLY, 'partly')}: {what}, on {', '.join(ports)} only"
    if allowed is None:
        return f"{paint(_UNKNOWN, 'not known')}: {what}"
    return f"{paint(_DENIED, 'denied')}: {what}{at}"


def _text(text: str) -> str:
    return clean(elide(text, _LONGEST))


def _as_expected(expected: str | None, allowed: bool | None, *, nothing: bool) -> bool:
    """Whether all is let through, or nothing is."""
    if expected is None:
        return True
    return allowed is True if expected == "allow" else allowed is False and nothing


# --- many questions ---------------------------------------------------------------------------------------------------


def _queries(path: str) -> list[Any]:
    """The questions of a file.

    Raises:
        UsageError: it cannot be read, or is no JSON array.
    """
    try:
        raw = standard_input().read() if path == "-" else Path(path).read_bytes()
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}") from None
    try:
        entries = msgspec.json.decode(raw)
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        raise UsageError(f"{path}: not JSON: {error}") from None
    if not isinstance(entries, list):
        raise UsageError(f'{path}: expected an array of {{"src": …, "dst": …, "protocol": "TCP", "port": 80}}')
    return entries


def _answer_all(explainer: "Explainer", entries: list[Any], args: argparse.Namespace) -> bool:
    """Answers many questions, in their order; says whether all answers are as expected."""
    from webhook.reach.explain import Query  # noqa: PLC0415

    write = _write_json if args.output == "json" else _write_text
    as_expected = True
    # What was read stays: to look again and again for what of it could be freed would take most of the time.
    gc.freeze()
    try:
        for start in range(0, len(entries), _CHUNK):
            answered: list[_Answered] = [
                (entry, _answer(explainer, Query, entry)) for entry in entries[start : start + _CHUNK]
            ]
            if args.expect and as_expected:
                as_expected = all(_is_expected(args.expect, answer) for _, answer in answered)
            write(answered, first=start == 0)
    finally:
        gc.unfreeze()
    if args.output == "json":
        sys.stdout.buffer.write(b"\n]\n" if entries else b"[]\n")
    return as_expected


def _answer(explainer: "Explainer", ask: "Callable[..., Query]", entry: Any) -> "Answer | str":
    """The answer to one question; what is wrong with one that cannot be asked."""
    if not isinstance(entry, dict):
        return "expected an object with src and dst"
    src, dst, protocol, port = entry.get("src"), entry.get("dst"), entry.get("protocol", "TCP"), entry.get("port")
    if not (isinstance(src, str) and isinstance(dst, str) and isinstance(protocol, str)):
        field = next(
            f for f in ("src", "dst", "protocol") if not isinstance(entry.get(f, "" if f == "protocol" else None), str)
        )
        return f"{field}: " + ("expected a text" if field in entry else "missing")
    if port is not None and (not isinstance(port, int) or isinstance(port, bool)):
        return "port: expected a number"
    answer = explainer.answer(ask(src, dst, protocol, port))
    return answer.error or answer


def _is_expected(expected: str, answer: "Answer | str") -> bool:
    if isinstance(answer, str):
        return False
    return _as_expected(expected, answer.allowed, nothing=not answer.partly and not answer.ports)


def _write_json(answered: "Sequence[_Answered]", *, first: bool) -> None:
    """One answer a line."""
    encode = msgspec.json.Encoder().encode
    lines: list[bytes] = []
    for entry, answer in answered:
        try:
            lines.append(encode({"error": answer} if isinstance(answer, str) else _with_answer(entry, answer)))
        except RecursionError:  # in what else the question has
            lines.append(encode({"error": "nested too deeply"}))
    sys.stdout.buffer.write((b"[\n" if first else b",\n") + b",\n".join(lines))


def _with_answer(entry: Mapping[str, Any], answer: "Answer") -> dict[str, Any]:
    """The question, and the answer to it."""
    found = {**entry, "protocol": answer.query.protocol, "allowed": answer.allowed}
    if answer.partly:
        found["partly"] = True
    if answer.ports is not None:
        found["ports"] = answer.ports
    found["egress"] = answer.egress
    found["ingress"] = answer.ingress
    return found


def _write_text(answered: "Sequence[_Answered]", *, first: bool) -> None:
    from webhook.report.paint import Paint  # noqa: PLC0415

    del first
    paint = Paint(sys.stdout)
    for _, answer in answered:
        if isinstance(answer, str):
            print(f"{paint(_UNKNOWN, 'error')}: {_text(answer)}")
            continue
        at = ", at egress" if not answer.egress.allowed else ", at ingress"
        print(_line(paint, answer.query, answer.allowed, partly=answer.partly, ports=answer.ports, at=at))

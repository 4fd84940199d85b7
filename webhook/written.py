"""What a person wrote of a policy: decoding drops what it does not know, and forgets how something was left out.

Sources: facts 2.1.5 (``from: []``, null and absent are one after decoding), 2.1.10 (unknown fields are dropped).
"""

from collections.abc import Mapping
from typing import Any, Final
from weakref import WeakKeyDictionary

import msgspec
from msgspec import Struct

from webhook.check import Context, View
from webhook.model.objects import LAST_APPLIED, LONGEST_APPLIED, NetworkPolicy, NetworkPolicySpec
from webhook.model.parse import DecodeError, convert
from webhook.model.schema import Decoding, decode


class Written(Struct, frozen=True):
    """A text and what it decodes to.

    Args:
        text: the object as it was written.
        decoding: what is left of it, and what was dropped.
        stored: the policy that it means: but for defaults, the one under review.
    """

    text: Mapping[str, Any]
    decoding: Decoding
    stored: NetworkPolicy


def written_of(ctx: Context) -> Written | None:
    """The text of the policy under review: the file, or what kubectl apply recorded in this request.

    None where there is none, where the API server refuses it, and where the object is not what it decodes to: then the
    object was changed on the way, or since.
    """
    if ctx not in _memory:
        _memory[ctx] = _look(ctx)
    return _memory[ctx]


_memory: Final[WeakKeyDictionary[Context, Written | None]] = WeakKeyDictionary()


def _look(ctx: Context) -> Written | None:
    text = _text(ctx)
    if text is None:
        return None
    decoding = ctx.decoding if ctx.view is View.CHECK else decode(text)
    # A wrong type is refused by the API server, in every mode of validation.
    if decoding is None or decoding.mistyped:
        return None
    if ctx.view is View.CHECK and decoding.data is text:  # nothing was dropped: the policy was made of all of it
        return Written(text, decoding, ctx.policy)
    try:
        stored = convert(NetworkPolicy.kind, decoding.data)
    except DecodeError:
        return None
    if not isinstance(stored, NetworkPolicy) or _defaulted(stored) != _defaulted(ctx.policy):
        return None
    return Written(text, decoding, stored)


def _text(ctx: Context) -> Mapping[str, Any] | None:
    if ctx.view is View.CHECK:
        return ctx.manifest.data if ctx.manifest else None
    recorded = ctx.policy.metadata.annotations.get(LAST_APPLIED, "")
    if not recorded or len(recorded) > LONGEST_APPLIED:
        return None
    # kubectl edit, a controller or an older apply left it as it was: it says nothing about this change.
    if ctx.view is View.ADMISSION and ctx.old and ctx.old.metadata.annotations.get(LAST_APPLIED) == recorded:
        return None
    try:
        text = msgspec.json.decode(recorded)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return None
    return text if isinstance(text, dict) else None


def _defaulted(policy: NetworkPolicy) -> NetworkPolicySpec:
    return msgspec.structs.replace(policy.spec, policy_types=policy.spec.policy_types or policy.directions)

"""The shapes of policies in engines' own APIs, as far as they are kept: whom they are about, and what they may do.

Sources: cilium pkg/policy/api (rule.go, rule_validation.go), calico api/pkg/apis/projectcalico/v3 (networkpolicy.go,
globalnetworkpolicy.go), antrea pkg/apis/crd/v1beta1/types.go. Fields are left out on purpose: peers, ports, and what is
said of layer 7.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from msgspec import field

from webhook.model.objects import (
    APIStruct,
    Direction,
    EnginePolicy,
    EngineRules,
    EngineSubject,
    LabelSelector,
)

_BOTH: Final[tuple[Direction, ...]] = ("Ingress", "Egress")


class _Meta(APIStruct, frozen=True):
    name: str = ""
    namespace: str = ""


# --- Cilium


class _DefaultDeny(APIStruct, frozen=True):
    ingress: bool | None = None
    egress: bool | None = None


class _CiliumRule(APIStruct, frozen=True):
    """``ingress`` and the like are only asked for what is in them at all: ``{}`` lets nobody in."""

    endpoint_selector: LabelSelector | None = None
    node_selector: LabelSelector | None = None
    ingress: tuple[dict[str, Any], ...] = ()
    ingress_deny: tuple[dict[str, Any], ...] = ()
    egress: tuple[dict[str, Any], ...] = ()
    egress_deny: tuple[dict[str, Any], ...] = ()
    enable_default_deny: _DefaultDeny = _DefaultDeny()

    def reduce(self) -> EngineRules:
        deny = self.enable_default_deny
        closes = {
            "Ingress": bool(self.ingress or self.ingress_deny) if deny.ingress is None else deny.ingress,
            "Egress": bool(self.egress or self.egress_deny) if deny.egress is None else deny.egress,
        }
        subject = EngineSubject(pods=self.endpoint_selector)
        return EngineRules(
            # What has a nodeSelector is about nodes.
            () if self.endpoint_selector is None else (subject,),
            _cilium_actions(self.ingress, self.ingress_deny),
            _cilium_actions(self.egress, self.egress_deny),
            tuple(d for d in _BOTH if closes[d]),
        )


def _cilium_actions(allow: Iterable[Mapping[str, Any]], deny: Iterable[Mapping[str, Any]]) -> tuple[str, ...]:
    return (*(("Allow",) if any(allow) else ()), *(("Deny",) if any(True for _ in deny) else ()))


class WireCiliumPolicy(APIStruct, frozen=True):
    """A CiliumNetworkPolicy or CiliumClusterwideNetworkPolicy."""

    metadata: _Meta = _Meta()
    spec: _CiliumRule | None = None
    specs: tuple[_CiliumRule, ...] = ()

    def reduce(self, kind: str) -> EnginePolicy:
        every = (*((self.spec,) if self.spec is not None else ()), *self.specs)
        return EnginePolicy(kind, self.metadata.namespace, self.metadata.name, tuple(rule.reduce() for rule in every))


# --- Calico


class _CalicoRule(APIStruct, frozen=True):
    action: str = "Allow"


class _CalicoSpec(APIStruct, frozen=True):
    tier: str = ""
    order: float | None = None
    selector: str = ""
    namespace_selector: str = ""
    service_account_selector: str = ""
    types: tuple[str, ...] = ()
    ingress: tuple[_CalicoRule, ...] = ()
    egress: tuple[_CalicoRule, ...] = ()
    do_not_track: bool = False
    pre_dnat: bool = field(default=False, name="preDNAT")

    @property
    def directions(self) -> tuple[Direction, ...]:
        """As libcalico-go clientv3 defaultPolicyTypesField has it."""
        if self.types:
            return tuple(d for d in _BOTH if d in self.types)
        if self.egress:
            return _BOTH if self.ingress else ("Egress",)
        return ("Ingress",)


class WireCalicoPolicy(APIStruct, frozen=True):
    """A NetworkPolicy or GlobalNetworkPolicy of Calico."""

    metadata: _Meta = _Meta()
    spec: _CalicoSpec = _CalicoSpec()

    def reduce(self, kind: str) -> EnginePolicy:
        spec = self.spec
        rules: tuple[EngineRules, ...] = ()
        if not spec.do_not_track and not spec.pre_dnat:  # these are for hosts alone
            narrowed = ("serviceAccountSelector",) if spec.service_account_selector else ()
            subject = EngineSubject(spec.namespace_selector or None, spec.selector or None, narrowed)
            ingress, egress = _distinct(r.action for r in spec.ingress), _distinct(r.action for r in spec.egress)
            rules = (EngineRules((subject,), ingress, egress, spec.directions),)
        return EnginePolicy(kind, self.metadata.namespace, self.metadata.name, rules, spec.tier, spec.order)


# --- Antrea


class _AppliedTo(APIStruct, frozen=True):
    pod_selector: LabelSelector | None = None
    namespace_selector: LabelSelector | None = None
    external_entity_selector: dict[str, Any] | None = None
    node_selector: dict[str, Any] | None = None
    service_account: dict[str, Any] | None = None
    service: dict[str, Any] | None = None
    group: str = ""

    def reduce(self) -> EngineSubject:
        others = {
            "externalEntitySelector": self.external_entity_selector is not None,
            "nodeSelector": self.node_selector is not None,
            "serviceAccount": self.service_account is not None,
            "service": self.service is not None,
            "group": bool(self.group),
        }
        return EngineSubject(
            self.namespace_selector, self.pod_selector, tuple(k for k, there in others.items() if there)
        )


class _AntreaRule(APIStruct, frozen=True):
    action: str = "Allow"
    applied_to: tuple[_AppliedTo, ...] = ()


class _AntreaSpec(APIStruct, frozen=True):
    tier: str = ""
    applied_to: tuple[_AppliedTo, ...] = ()
    ingress: tuple[_AntreaRule, ...] = ()
    egress: tuple[_AntreaRule, ...] = ()

    def rules(self) -> Iterator[EngineRules]:
        if self.applied_to:
            subjects = tuple(one.reduce() for one in self.applied_to)
            yield EngineRules(
                subjects, _distinct(r.action for r in self.ingress), _distinct(r.action for r in self.egress)
            )
            return
        for direction, rules in zip(_BOTH, (self.ingress, self.egress), strict=True):
            for rule in rules:
                subjects = tuple(one.reduce() for one in rule.applied_to)
                actions = (rule.action,)
                if direction == "Ingress":
                    yield EngineRules(subjects, ingress=actions)
                else:
                    yield EngineRules(subjects, egress=actions)


class WireAntreaPolicy(APIStruct, frozen=True):
    """A NetworkPolicy or ClusterNetworkPolicy of Antrea."""

    metadata: _Meta = _Meta()
    spec: _AntreaSpec = _AntreaSpec()

    def reduce(self, kind: str) -> EnginePolicy:
        return EnginePolicy(kind, self.metadata.namespace, self.metadata.name, tuple(self.spec.rules()), self.spec.tier)


def _distinct(actions: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(actions))

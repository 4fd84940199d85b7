"""NetworkPolicies and Services that kube-apiserver 1.37 refuses, with how its words begin, and ones that it accepts.

tests/test_validation.py holds our validation to this table, tests/cluster/test_yaml_as_kubectl.py the real server.
"""
# ruff: noqa: E501 - tables with a case a line

import io
from typing import Any

from webhook.model.manifest import Manifest
from webhook.model.schema import Decoding, decode
from webhook.state.manifests import read_manifests

POLICY = "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: a}\n"
SERVICE = "apiVersion: v1\nkind: Service\nmetadata: {name: a}\n"

LONG = "a" * 64


def read(text: str) -> dict[str, Any]:
    """The one object of a text, as kubectl would send it."""
    (manifest,) = read_manifests(["-"], stdin=io.BytesIO(text.encode()))
    assert isinstance(manifest, Manifest), manifest
    return manifest.data


def decoded(data: dict[str, Any]) -> Decoding:
    """What strict decoding makes of an object of these tables."""
    found = decode(data)
    assert found is not None
    return found


def policy(spec: str) -> str:
    return f"{POLICY}spec: {spec}\n"


def rule(ingress: str) -> str:
    return policy(f"{{podSelector: {{}}, ingress: [{ingress}]}}")


def port(text: str) -> str:
    return rule(f"{{ports: [{text}]}}")


def peer(text: str) -> str:
    return rule(f"{{from: [{text}]}}")


def service(spec: str) -> str:
    return f"{SERVICE}spec: {{{spec}}}\n"


def one_port(text: str, spec: str = "") -> str:
    return service(f"ports: [{text}]{', ' + spec if spec else ''}")


PORT, FROM, BLOCK = "spec.ingress[0].ports[0]", "spec.ingress[0].from[0]", "spec.ingress[0].from[0].ipBlock"

REFUSED: dict[str, tuple[str, list[str]]] = {
    "port 0": (port("{port: 0}"), [f"{PORT}.port: Invalid value: 0: must be between 1 and 65535, inclusive"]),
    "port 65536": (port("{port: 65536}"), [f"{PORT}.port: Invalid value: 65536: must be between 1 and 65535, inclusive"]),
    "port -1": (port("{port: -1}"), [f"{PORT}.port: Invalid value: -1: must be between 1"]),
    "port in quotes": (port("{port: '80'}"), [f'{PORT}.port: Invalid value: "80": must contain at least one letter']),
    "long port name": (port("{port: sixteen-letters-}"), [f"{PORT}.port: Invalid value: ", f"{PORT}.port: Invalid value: "]),
    "upper case port name": (
        port("{port: HTTP}"),
        [f'{PORT}.port: Invalid value: "HTTP": must contain only', f'{PORT}.port: Invalid value: "HTTP": must contain at least'],
    ),
    "hyphens in a port name": (port("{port: a--b}"), [f'{PORT}.port: Invalid value: "a--b": must not contain consecutive']),
    "empty port name": (port('{port: ""}'), [f"{PORT}.port: Invalid value: ", f"{PORT}.port: Invalid value: "]),
    "endPort alone": (port("{endPort: 80}"), [f"{PORT}.endPort: Invalid value: 80: may not be specified when `port` is not specified"]),
    "endPort with a name": (port("{port: http, endPort: 80}"), [f"{PORT}.endPort: Invalid value: 80: may not be specified when `port` is non-numeric"]),
    "endPort below port": (port("{port: 80, endPort: 79}"), [f"{PORT}.endPort: Invalid value: 79: must be greater than or equal to `port`"]),
    "endPort 65536": (port("{port: 80, endPort: 65536}"), [f"{PORT}.endPort: Invalid value: 65536: must be between"]),
    "endPort 0": (port("{port: 80, endPort: 0}"), [f"{PORT}.endPort: Invalid value: 0: must be greater", f"{PORT}.endPort: Invalid value: 0: must be between"]),
    "protocol in lower case": (port("{protocol: tcp}"), [f'{PORT}.protocol: Unsupported value: "tcp": supported values: "TCP", "UDP", "SCTP"']),
    "protocol ICMP": (port("{protocol: ICMP}"), [f'{PORT}.protocol: Unsupported value: "ICMP"']),
    "empty protocol": (port("{protocol: ''}"), [f'{PORT}.protocol: Unsupported value: ""']),
    "two bad ports": (
        port("{port: 0}, {port: 70000}"),
        [f"{PORT}.port: Invalid value: 0", "spec.ingress[0].ports[1].port: Invalid value: 70000"],
    ),
    "empty peer": (peer("{}"), [f"{FROM}: Required value: must specify a peer"]),
    "null peer": (peer("null"), [f"{FROM}: Required value: must specify a peer"]),
    "peer with null selector": (peer("{podSelector: null}"), [f"{FROM}: Required value: must specify a peer"]),
    "ipBlock beside a selector": (
        peer("{podSelector: {}, ipBlock: {cidr: 10.0.0.0/8}}"),
        [f"{FROM}: Forbidden: may not specify both ipBlock and another peer"],
    ),
    "empty ipBlock": (peer("{ipBlock: {}}"), [f"{BLOCK}.cidr: Required value"]),
    "empty cidr": (peer("{ipBlock: {cidr: '', except: [x]}}"), [f"{BLOCK}.cidr: Required value"]),
    "no mask": (peer("{ipBlock: {cidr: 10.0.0.1}}"), [f'{BLOCK}.cidr: Invalid value: "10.0.0.1": must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)']),
    "rubbish for a cidr": (peer("{ipBlock: {cidr: all}}"), [f'{BLOCK}.cidr: Invalid value: "all": must be a valid CIDR']),
    "mask 33": (peer("{ipBlock: {cidr: 10.0.0.0/33}}"), [f"{BLOCK}.cidr: Invalid value: "]),
    "netmask": (peer("{ipBlock: {cidr: 10.0.0.0/255.0.0.0}}"), [f"{BLOCK}.cidr: Invalid value: "]),
    "blank in a cidr": (peer("{ipBlock: {cidr: '10.0.0.0/8 '}}"), [f"{BLOCK}.cidr: Invalid value: "]),
    "zone": (peer("{ipBlock: {cidr: 'fe80::%eth0/64'}}"), [f"{BLOCK}.cidr: Invalid value: "]),
    "host bits": (peer("{ipBlock: {cidr: 10.0.0.1/8}}"), [f'{BLOCK}.cidr: Invalid value: "10.0.0.1/8": must not have bits set beyond the prefix length']),
    "host bits, IPv6": (peer("{ipBlock: {cidr: 'fd00::1/64'}}"), [f'{BLOCK}.cidr: Invalid value: "fd00::1/64": must not have bits set']),
    "leading zeros": (peer("{ipBlock: {cidr: 010.0.0.0/8}}"), [f'{BLOCK}.cidr: Invalid value: "010.0.0.0/8": must not have leading 0s in IP or prefix length']),
    "leading zero in the mask": (peer("{ipBlock: {cidr: 10.0.0.0/08}}"), [f'{BLOCK}.cidr: Invalid value: "10.0.0.0/08": must not have leading 0s']),
    "leading zeros, IPv6": (peer("{ipBlock: {cidr: '00fd0::/64'}}"), [f"{BLOCK}.cidr: Invalid value: "]),
    "IPv4-mapped": (peer("{ipBlock: {cidr: '::ffff:10.0.0.0/104'}}"), [f"{BLOCK}.cidr: Invalid value: "]),
    "except equal": (peer("{ipBlock: {cidr: 10.0.0.0/8, except: [10.0.0.0/8]}}"), [f'{BLOCK}.except[0]: Invalid value: "10.0.0.0/8": must be a strict subset of `cidr`']),
    "except outside": (peer("{ipBlock: {cidr: 10.0.0.0/8, except: [10.1.0.0/16, 11.0.0.0/16]}}"), [f"{BLOCK}.except[1]: Invalid value: "]),
    "except larger": (peer("{ipBlock: {cidr: 10.0.0.0/8, except: [0.0.0.0/0]}}"), [f"{BLOCK}.except[0]: Invalid value: "]),
    "except of the other family": (peer("{ipBlock: {cidr: 0.0.0.0/0, except: ['fd00::/8']}}"), [f"{BLOCK}.except[0]: Invalid value: "]),
    "except with host bits": (peer("{ipBlock: {cidr: 10.0.0.0/8, except: [10.1.0.1/16]}}"), [f"{BLOCK}.except[0]: Invalid value: "]),
    "null in except": (peer("{ipBlock: {cidr: 10.0.0.0/8, except: [null]}}"), [f"{BLOCK}.except[0]: Invalid value: "]),
    "In without values": (policy("{podSelector: {matchExpressions: [{key: a, operator: In}]}}"), ["spec.podSelector.matchExpressions[0].values: Required value: must be specified when `operator` is 'In' or 'NotIn'"]),
    "Exists with values": (policy("{podSelector: {matchExpressions: [{key: a, operator: Exists, values: [b]}]}}"), ["spec.podSelector.matchExpressions[0].values: Forbidden: may not be"]),
    "operator Equals": (policy("{podSelector: {matchExpressions: [{key: a, operator: Equals, values: [b]}]}}"), ['spec.podSelector.matchExpressions[0].operator: Invalid value: "Equals": not a valid selector operator']),
    "no operator, no key": (
        policy("{podSelector: {matchExpressions: [{}]}}"),
        ['spec.podSelector.matchExpressions[0].operator: Invalid value: ""', *["spec.podSelector.matchExpressions[0].key: Invalid value: "] * 2],
    ),
    "bad value in an expression": (policy("{podSelector: {matchExpressions: [{key: a, operator: In, values: [b, 'c d']}]}}"), ["spec.podSelector.matchExpressions[0].values[1]: Invalid value: "]),
    "bad label value": (policy("{podSelector: {matchLabels: {app: 'a b'}}}"), ['spec.podSelector.matchLabels.app: Invalid value: "a b": a valid label must be an empty string or consist of']),
    "long label value": (policy(f"{{podSelector: {{matchLabels: {{app: {LONG}}}}}}}"), [f'spec.podSelector.matchLabels.app: Invalid value: "{LONG}": must be no more than 63 bytes']),
    "bad label keys": (
        policy(f"{{podSelector: {{matchLabels: {{'a b': x, a/b/c: x, /a: x, a/: x, A/b: x, {LONG}: x}}}}}}"),
        [
            'spec.podSelector.matchLabels.a b: Invalid value: "a b": name part must consist of alphanumeric characters',
            'spec.podSelector.matchLabels[a/b/c]: Invalid value: "a/b/c": a valid label key must consist of',
            'spec.podSelector.matchLabels[/a]: Invalid value: "/a": prefix part must be non-empty',
            'spec.podSelector.matchLabels[a/]: Invalid value: "a/": name part must be non-empty',
            'spec.podSelector.matchLabels[a/]: Invalid value: "a/": name part must consist of',
            'spec.podSelector.matchLabels[A/b]: Invalid value: "A/b": prefix part a lowercase RFC 1123 subdomain',
            f'spec.podSelector.matchLabels.{LONG}: Invalid value: "{LONG}": name part must be no more than 63 bytes',
        ],
    ),
    "bad peer selectors": (
        peer("{podSelector: {matchLabels: {a: -}}, namespaceSelector: {matchLabels: {a: '?'}}}"),
        [f"{FROM}.podSelector.matchLabels.a: Invalid value: ", f"{FROM}.namespaceSelector.matchLabels.a: Invalid value: "],
    ),
    "policyType in lower case": (policy("{podSelector: {}, policyTypes: [ingress]}"), ['spec.policyTypes[0]: Unsupported value: "ingress": supported values: "Ingress", "Egress"']),
    "three policyTypes": (policy("{podSelector: {}, policyTypes: [Ingress, Egress, Ingress]}"), ["spec.policyTypes: Invalid value: "]),
    "egress too": (policy("{podSelector: {}, egress: [{to: [{}], ports: [{port: 0}]}]}"), ["spec.egress[0].ports[0].port: Invalid value: 0", "spec.egress[0].to[0]: Required value"]),
    "no name": (POLICY.replace("name: a", "labels: {}"), ["metadata.name: Required value: name or generateName is required"]),
    "upper case name": (POLICY.replace("name: a", "name: A"), ['metadata.name: Invalid value: "A": a lowercase RFC 1123 subdomain must consist of']),
    "slash in a name": (POLICY.replace("name: a", "name: a/b"), ["metadata.name: Invalid value: "]),
    "long name": (POLICY.replace("name: a", f"name: {'a' * 254}"), ["metadata.name: Invalid value: "]),
    "bad labels of its own": (POLICY.replace("name: a", "name: a, labels: {a: 'b c', 'd e': f}"), ["metadata.labels.a: Invalid value: ", "metadata.labels.d e: Invalid value: "]),
    "bad annotation": (POLICY.replace("name: a", "name: a, annotations: {a/b/c: d}"), ["metadata.annotations[a/b/c]: Invalid value: "]),
    "huge annotation": (POLICY.replace("name: a", f"name: a, annotations: {{a: {'b' * 270000}}}"), ["metadata.annotations: Too long: may not be more than 262144 bytes"]),
    "bad finalizer": (POLICY.replace("name: a", "name: a, finalizers: [x]"), ['metadata.finalizers[0]: Invalid value: "x": name is neither a standard finalizer name nor is it fully qualified']),
    "bad owner": (POLICY.replace("name: a", "name: a, ownerReferences: [{apiVersion: v1, kind: Pod}]"), ["metadata.ownerReferences[0].name: Required value: must not be empty", "metadata.ownerReferences[0].uid: Required value: must not be empty"]),
    "owners": (
        POLICY.replace("name: a", "name: a, ownerReferences: [{apiVersion: a/b/c, kind: A, name: a, uid: a, controller: true}, {apiVersion: v1, kind: B, name: b, uid: b, controller: true}]"),
        ['metadata.ownerReferences[0].apiVersion: Invalid value: "a/b/c": must be <group>/<version> or <version>', "metadata.ownerReferences: Invalid value: "],
    ),
    "an event as the owner": (POLICY.replace("name: a", "name: a, ownerReferences: [{apiVersion: v1, kind: Event, name: a, uid: a}]"), ["metadata.ownerReferences[0]: Invalid value: "]),
    "two ways to delete": (POLICY.replace("name: a", "name: a, finalizers: [orphan, foregroundDeletion]"), ['metadata.finalizers: Invalid value: ["orphan","foregroundDeletion"]: finalizer orphan and foregroundDeletion cannot be both set']),
    "bad name for a finalizer": (POLICY.replace("name: a", "name: a, finalizers: [a/b/c]"), ['metadata.finalizers[0]: Invalid value: "a/b/c": a valid label key must']),
    "boolean as a label value": (
        policy("{podSelector: {matchLabels: {access: yes}}}"),
        ["spec.podSelector.matchLabels.access: cannot unmarshal bool into a field of type string: this is the boolean true"],
    ),
    "number as a label value": (policy("{podSelector: {matchLabels: {v: 1.10}}}"), ["spec.podSelector.matchLabels.v: cannot unmarshal number 1.1 into a field of type string"]),
    "list of labels": (policy("{podSelector: {matchLabels: [a]}}"), ["spec.podSelector.matchLabels: cannot unmarshal array into"]),
    "rule that is no list": (policy("{podSelector: {}, ingress: {from: []}}"), ["spec.ingress: cannot unmarshal object into a field of type []v1.NetworkPolicyIngressRule"]),
    "endPort in quotes": (port("{port: 1, endPort: '2'}"), [f"{PORT}.endPort: cannot unmarshal string into a field of type int32"]),
    "port as a boolean": (port("{port: yes}"), [f"{PORT}.port: cannot unmarshal bool into a field of type int32"]),
    "port as a fraction": (port("{port: 80.5}"), [f"{PORT}.port: cannot unmarshal number 80.5 into a field of type int32"]),
    "port beyond 32 bits": (port("{port: 4294967296}"), [f"{PORT}.port: cannot unmarshal number 4294967296 into a field of type int32: the number is too large"]),
    "name as a number": (POLICY.replace("name: a", "name: 1"), ["metadata.name: cannot unmarshal number 1 into a field of type string"]),
    "annotation as a boolean": (POLICY.replace("name: a", "name: a, annotations: {x: on}"), ["metadata.annotations.x: cannot unmarshal bool into"]),
    "bad time": (POLICY.replace("name: a", "name: a, creationTimestamp: today"), ['metadata.creationTimestamp: parsing time "today"']),
    "policyTypes as a string": (policy("{podSelector: {}, policyTypes: Ingress}"), ["spec.policyTypes: cannot unmarshal string into a field of type []string"]),
    # Services
    "no ports": (service("selector: {a: b}"), ["spec.ports: Required value"]),
    "no spec": (SERVICE, ["spec.ports: Required value"]),
    "ports without names": (one_port("{port: 1}, {port: 2}"), ["spec.ports[0].name: Required value", "spec.ports[1].name: Required value"]),
    "the same port twice": (
        one_port("{port: 1, name: a}, {port: 1, name: b}"),
        ['spec.ports[1]: Duplicate value: {"Name":"","Protocol":"TCP","AppProtocol":null,"Port":1,"TargetPort":0,"NodePort":0}'],
    ),
    "the same port name twice": (one_port("{port: 1, name: a}, {port: 2, name: a}"), ['spec.ports[1].name: Duplicate value: "a"']),
    "port name with dots": (one_port("{port: 1, name: a.b}"), ['spec.ports[0].name: Invalid value: "a.b": must not contain dots']),
    "Service port 0": (one_port("{port: 0, targetPort: 1}"), ["spec.ports[0].port: Invalid value: 0"]),
    "Service port missing": (one_port("{targetPort: 1}"), ["spec.ports[0].port: Invalid value: 0"]),
    "target port in quotes": (one_port("{port: 1, targetPort: '8080'}"), ['spec.ports[0].targetPort: Invalid value: "8080": must contain at least one letter (a-z)']),
    "target port 70000": (one_port("{port: 1, targetPort: 70000}"), ["spec.ports[0].targetPort: Invalid value: 70000: must be between"]),
    "Service protocol": (one_port("{port: 1, protocol: udp}"), ['spec.ports[0].protocol: Unsupported value: "udp": supported values: "SCTP", "TCP", "UDP"']),
    "app protocol": (one_port("{port: 1, appProtocol: 'a b'}"), ['spec.ports[0].appProtocol: Invalid value: "a b": name part']),
    "Service type": (one_port("{port: 1}", "type: nodeport"), ['spec.type: Unsupported value: "nodeport": supported values: "ClusterIP", "ExternalName", "LoadBalancer", "NodePort"']),
    "no external name": (service("type: ExternalName"), ["spec.externalName: Required value"]),
    "upper case external name": (service("type: ExternalName, externalName: Example.com"), ["spec.externalName: Invalid value: "]),
    "URL": (service("type: ExternalName, externalName: 'https://example.com'"), ["spec.externalName: Invalid value: "]),
    "external name with a port": (service("type: ExternalName, externalName: 'example.com:80'"), ["spec.externalName: Invalid value: "]),
    "underscore": (service("type: ExternalName, externalName: _x.example.com"), ["spec.externalName: Invalid value: "]),
    "IPv6 external name": (service("type: ExternalName, externalName: 'fd00::1'"), ["spec.externalName: Invalid value: "]),
    "ExternalName with an address": (service("type: ExternalName, externalName: a.b, clusterIP: None"), ["spec.clusterIP: Forbidden: may not be set for ExternalName services"]),
    "ExternalName with families": (
        service("type: ExternalName, externalName: a.b, ipFamilies: [IPv4], ipFamilyPolicy: SingleStack"),
        ["spec.ipFamilies: Forbidden: ", "spec.ipFamilyPolicy: Forbidden: "],
    ),
    "headless NodePort": (one_port("{port: 1}", "type: NodePort, clusterIP: None"), ["spec.clusterIP: Invalid value: \"None\": may not be set to 'None' for NodePort services"]),
    "headless LoadBalancer": (one_port("{port: 1}", "type: LoadBalancer, clusterIP: None"), ["spec.clusterIP: Invalid value: \"None\": may not be set to 'None' for LoadBalancer services"]),
    "node port on ClusterIP": (one_port("{port: 1, nodePort: 30000}"), ["spec.ports[0].nodePort: Forbidden: may not be used when `type` is 'ClusterIP'"]),
    "the same node port twice": (
        one_port("{port: 1, name: a, nodePort: 30100}, {port: 2, name: b, nodePort: 30100}", "type: NodePort"),
        ["spec.ports[1].nodePort: Duplicate value: 30100"],
    ),
    "address that is none": (one_port("{port: 1}", "clusterIP: none"), ['spec.clusterIP: Invalid value: "none": must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)']),
    "plural without singular": (one_port("{port: 1}", "clusterIPs: [None]"), ['spec.clusterIPs: Invalid value: ["None"]: must be empty when `clusterIP` is not specified']),
    "plural not as singular": (one_port("{port: 1}", "clusterIP: None, clusterIPs: [10.96.0.9]"), ['spec.clusterIPs: Invalid value: ["10.96.0.9"]: first value must match `clusterIP`']),
    "three addresses": (
        one_port("{port: 1}", "clusterIP: 10.96.0.9, clusterIPs: [10.96.0.9, 'fd00::1', 10.96.0.10]"),
        ['spec.clusterIPs: Invalid value: ["10.96.0.9","fd00::1","10.96.0.10"]: may only hold up to 2 values'],
    ),
    "three addresses of one family": (
        one_port("{port: 1}", "clusterIP: 10.96.0.9, clusterIPs: [10.96.0.9, 10.96.0.10, 10.96.0.11]"),
        ["spec.clusterIPs: Invalid value: ", "spec.clusterIPs: Invalid value: "],
    ),
    "two addresses of one family": (
        one_port("{port: 1}", "ipFamilyPolicy: PreferDualStack, clusterIP: 10.96.0.9, clusterIPs: [10.96.0.9, 10.96.0.10]"),
        ['spec.clusterIPs: Invalid value: ["10.96.0.9","10.96.0.10"]: may specify no more than one IP for each IP family'],
    ),
    "address of the other family": (
        one_port("{port: 1}", "clusterIP: 10.96.0.9, ipFamilies: [IPv6]"),
        ['spec.clusterIPs[0]: Invalid value: "10.96.0.9": expected an IPv6 value as indicated by `ipFamilies[0]`'],
    ),
    "SingleStack with two addresses": (
        one_port("{port: 1}", "ipFamilyPolicy: SingleStack, clusterIP: 10.96.0.9, clusterIPs: [10.96.0.9, 'fd00::1']"),
        ["spec.ipFamilyPolicy: Invalid value: \"SingleStack\": must be 'RequireDualStack' or 'PreferDualStack' when multiple cluster IPs are specified"],
    ),
    "None and more": (one_port("{port: 1}", "clusterIP: None, clusterIPs: [None, 10.96.0.9]"), ["spec.clusterIPs: Invalid value: [\"None\",\"10.96.0.9\"]: 'None' must be the first and only value"]),
    "ipFamilies": (one_port("{port: 1}", "ipFamilies: [ipv4]"), ['spec.ipFamilies[0]: Unsupported value: "ipv4": supported values: "IPv4", "IPv6"']),
    "ipFamilies twice": (one_port("{port: 1}", "ipFamilies: [IPv4, IPv4]"), ['spec.ipFamilies[1]: Duplicate value: "IPv4"']),
    "ipFamilyPolicy": (one_port("{port: 1}", "ipFamilyPolicy: Dual"), ['spec.ipFamilyPolicy: Unsupported value: "Dual": supported values: "PreferDualStack"']),
    "SingleStack with two families": (one_port("{port: 1}", "ipFamilyPolicy: SingleStack, ipFamilies: [IPv4, IPv6]"), ["spec.ipFamilyPolicy: Invalid value: \"SingleStack\": must be 'RequireDualStack' or 'PreferDualStack' when multiple IP families"]),
    "affinity": (one_port("{port: 1}", "sessionAffinity: clientIP"), ['spec.sessionAffinity: Unsupported value: "clientIP": supported values: "ClientIP", "None"']),
    "affinity for two days": (
        one_port("{port: 1}", "sessionAffinity: ClientIP, sessionAffinityConfig: {clientIP: {timeoutSeconds: 172800}}"),
        ["spec.sessionAffinityConfig.clientIP.timeoutSeconds: Invalid value: 172800: must be greater than 0 and less than 86400"],
    ),
    "affinity for no time": (one_port("{port: 1}", "sessionAffinity: ClientIP, sessionAffinityConfig: {clientIP: {timeoutSeconds: 0}}"), ["spec.sessionAffinityConfig.clientIP.timeoutSeconds: Invalid value: 0"]),
    "external addresses": (
        one_port("{port: 1}", "externalIPs: [127.0.0.1, 0.0.0.0, 169.254.1.1, 224.0.0.1, x, 010.0.0.1, '::ffff:1.2.3.4', '::1', 'ff02::1']"),
        [
            'spec.externalIPs[0]: Invalid value: "127.0.0.1": may not be in the loopback range (127.0.0.0/8, ::1/128)',
            'spec.externalIPs[1]: Invalid value: "0.0.0.0": may not be unspecified (0.0.0.0)',
            'spec.externalIPs[2]: Invalid value: "169.254.1.1": may not be in the link-local range',
            'spec.externalIPs[3]: Invalid value: "224.0.0.1": may not be in the link-local multicast range',
            'spec.externalIPs[4]: Invalid value: "x": must be a valid IP address',
            'spec.externalIPs[5]: Invalid value: "010.0.0.1": must not have leading 0s',
            'spec.externalIPs[6]: Invalid value: "::ffff:1.2.3.4": must not be an IPv4-mapped IPv6 address',
            'spec.externalIPs[7]: Invalid value: "::1": may not be in the loopback range',
            'spec.externalIPs[8]: Invalid value: "ff02::1": may not be in the link-local multicast range',
        ],
    ),
    "externalTrafficPolicy inside": (one_port("{port: 1}", "externalTrafficPolicy: Local"), ['spec.externalTrafficPolicy: Invalid value: "Local": may only be set for externally-accessible services']),
    "externalTrafficPolicy": (one_port("{port: 1}", "type: NodePort, externalTrafficPolicy: local"), ['spec.externalTrafficPolicy: Unsupported value: "local": supported values: "Cluster", "Local"']),
    "internalTrafficPolicy": (one_port("{port: 1}", "internalTrafficPolicy: None"), ['spec.internalTrafficPolicy: Unsupported value: "None"']),
    "healthCheckNodePort": (one_port("{port: 1}", "healthCheckNodePort: 30101"), ["spec.healthCheckNodePort: Invalid value: 30101: may only be set when `type` is 'LoadBalancer'"]),
    "trafficDistribution": (one_port("{port: 1}", "trafficDistribution: Close"), ['spec.trafficDistribution: Unsupported value: "Close": supported values: "PreferClose", "PreferSameZone", "PreferSameNode"']),
    "source ranges on ClusterIP": (one_port("{port: 1}", "loadBalancerSourceRanges: [10.0.0.0/8]"), ["spec.loadBalancerSourceRanges: Forbidden: may only be used when `type` is 'LoadBalancer'"]),
    "source ranges": (
        one_port("{port: 1}", "type: LoadBalancer, loadBalancerSourceRanges: [' 10.0.0.0/8 ', 10.0.0.1/8, x]"),
        ['spec.loadBalancerSourceRanges[1]: Invalid value: "10.0.0.1/8": must not have bits set', 'spec.loadBalancerSourceRanges[2]: Invalid value: "x": must be a valid CIDR'],
    ),
    "source ranges in the annotation": (
        one_port("{port: 1}", "type: LoadBalancer").replace("name: a", "name: a, annotations: {service.beta.kubernetes.io/load-balancer-source-ranges: '10.0.0.0/8, x'}"),
        ['metadata.annotations[service.beta.kubernetes.io/load-balancer-source-ranges]: Invalid value: "x"'],
    ),
    "source ranges annotation on ClusterIP": (
        one_port("{port: 1}").replace("name: a", "name: a, annotations: {service.beta.kubernetes.io/load-balancer-source-ranges: ''}"),
        ["metadata.annotations[service.beta.kubernetes.io/load-balancer-source-ranges]: Forbidden: may only be used when `type` is 'LoadBalancer'"],
    ),
    "class on ClusterIP": (one_port("{port: 1}", "loadBalancerClass: a"), ["spec.loadBalancerClass: Forbidden: may only be used"]),
    "class": (one_port("{port: 1}", "type: LoadBalancer, loadBalancerClass: 'a b'"), ['spec.loadBalancerClass: Invalid value: "a b"']),
    "node ports of a ClusterIP": (one_port("{port: 1}", "allocateLoadBalancerNodePorts: false"), ["spec.allocateLoadBalancerNodePorts: Forbidden: may only be used"]),
    "Service selector": (one_port("{port: 1}", "selector: {a: 'b c'}"), ['spec.selector.a: Invalid value: "b c"']),
    "Service selector with a boolean": (one_port("{port: 1}", "selector: {a: true}"), ["spec.selector.a: cannot unmarshal bool into a field of type string"]),
    "Service name with dots": (one_port("{port: 1}").replace("name: a", "name: a.b"), ['metadata.name: Invalid value: "a.b": must not contain dots']),
    "long Service name": (one_port("{port: 1}").replace("name: a", f"name: {LONG}"), ["metadata.name: Invalid value: "]),
    "topology annotations": (
        one_port("{port: 1}").replace("name: a", "name: a, annotations: {service.kubernetes.io/topology-mode: Auto, service.kubernetes.io/topology-aware-hints: Disabled}"),
        ['metadata.annotations[service.kubernetes.io/topology-mode]: Invalid value: "Auto": must match annotations[service.kubernetes.io/topology-aware-hints]'],
    ),
    "Service port in quotes": (one_port("{port: '80'}"), ["spec.ports[0].port: cannot unmarshal string into a field of type int32"]),
    "ports as a mapping": (service("ports: {port: 80}"), ["spec.ports: cannot unmarshal object into a field of type []v1.ServicePort"]),
    "selector as a string": (one_port("{port: 1}", "selector: a=b"), ["spec.selector: cannot unmarshal string into a field of type map[string]string"]),
    "publishNotReadyAddresses in quotes": (one_port("{port: 1}", "publishNotReadyAddresses: 'true'"), ["spec.publishNotReadyAddresses: cannot unmarshal string into a field of type bool"]),
    "spec as a list": (f"{SERVICE}spec: [a]\n", ["spec: cannot unmarshal array into a field of type v1.ServiceSpec"]),
}  # fmt: skip

ACCEPTED: dict[str, str] = {
    "no spec": POLICY,
    "null spec": f"{POLICY}spec: null\n",
    "selects all": policy("{podSelector: {}}"),
    "null podSelector": policy("{podSelector: null, ingress: null, policyTypes: null}"),
    "null rule": rule("null"),
    "empty lists": rule("{from: [], ports: []}"),
    "empty port": port("{}"),
    "null port": port("null"),
    "port and endPort": port("{port: 80, endPort: 80}, {port: 1, endPort: 65535, protocol: UDP}, {protocol: SCTP}, {port: http-metrics}"),
    "number written with an exponent": port("{port: 8e3}"),
    "port in octal": port("{port: 0o17}"),
    "rules without the policy type": policy("{podSelector: {}, policyTypes: [Ingress], egress: [{}]}"),
    "policy type twice": policy("{podSelector: {}, policyTypes: [Ingress, Ingress]}"),
    "peers": peer("{podSelector: {}}, {namespaceSelector: {}}, {podSelector: {}, namespaceSelector: {}}"),
    "blocks": peer("{ipBlock: {cidr: 0.0.0.0/0, except: [10.0.0.0/8, 10.0.0.0/8, 10.1.0.0/16]}}, {ipBlock: {cidr: '::/0', except: ['fd00::/8']}}"),
    "except that leaves nothing": peer("{ipBlock: {cidr: 10.0.0.0/8, except: [10.0.0.0/9, 10.128.0.0/9]}}"),
    "one address": peer("{ipBlock: {cidr: 10.0.0.1/32}}, {ipBlock: {cidr: 'fd00::1/128'}}"),
    "IPv6 not in its short form": peer("{ipBlock: {cidr: 'FD00:0::/64'}}"),
    "contradiction": policy("{podSelector: {matchLabels: {a: b}, matchExpressions: [{key: a, operator: DoesNotExist}]}}"),
    "expressions": policy("{podSelector: {matchExpressions: [{key: a.b/c, operator: In, values: ['', A_b.c]}, {key: x, operator: NotIn, values: [v]}, {key: z, operator: Exists, values: []}]}}"),
    "null label value": policy("{podSelector: {matchLabels: {a: null}}}"),
    "quoted": policy("{podSelector: {matchLabels: {a: 'yes', b: '1', c: ''}}}"),
    "generated name": POLICY.replace("name: a", "generateName: a-"),
    "name with dots": POLICY.replace("name: a", "name: 1.a-b.c"),
    "meta": POLICY.replace("name: a", "name: a, annotations: {A/b: '', x: 'any thing'}, labels: {a.b/c: d}, creationTimestamp: null, generation: 3, uid: x, finalizers: [a.b/c]"),
    "status of an exported Service": f"{one_port('{port: 1}')}status: {{loadBalancer: {{}}}}\n",
    "Service": one_port("{port: 80, targetPort: http}", "selector: {app: a}"),
    "headless without ports": service("clusterIP: None"),
    "headless in the plural": service("clusterIP: None, clusterIPs: [None]"),
    "ports of several protocols": one_port("{port: 53, name: a}, {port: 53, protocol: UDP, name: b}, {port: 53, protocol: SCTP, name: c}"),
    "target port 0 is the port": one_port("{port: 1, targetPort: 0}"),
    "no selector": one_port("{port: 1}", "selector: {}"),
    "ExternalName": service("type: ExternalName, externalName: example.com."),
    "ExternalName that is an IPv4 address": service("type: ExternalName, externalName: 10.0.0.1, ports: [{port: 1}], selector: {a: b}"),
    "ExternalName with a node port": service("type: ExternalName, externalName: a, ports: [{port: 1, nodePort: 30000}]"),
    "NodePort": one_port("{port: 1}", "type: NodePort, externalTrafficPolicy: Local"),
    "LoadBalancer": one_port("{port: 1, appProtocol: kubernetes.io/h2c}", "type: LoadBalancer, loadBalancerClass: a.b/c, allocateLoadBalancerNodePorts: false, loadBalancerSourceRanges: [' 10.0.0.0/8'], loadBalancerIP: x"),
    "affinity": one_port("{port: 1}", "sessionAffinity: ClientIP, sessionAffinityConfig: {clientIP: {}}"),
    "configuration of no affinity": one_port("{port: 1}", "sessionAffinityConfig: {clientIP: {timeoutSeconds: 0}}"),
    "external address": one_port("{port: 1}", "externalIPs: [192.0.2.1, '2001:db8::1'], externalTrafficPolicy: Local"),
    "name that starts with a digit": one_port("{port: 1}").replace("name: a", "name: 1a"),
    "name of digits": one_port("{port: 1}").replace("name: a", "name: '123'"),
    "traffic distribution": one_port("{port: 1}", "trafficDistribution: PreferSameNode, internalTrafficPolicy: Local"),
    "empty words": one_port("{port: 1, name: '', protocol: ''}", "type: '', sessionAffinity: '', clusterIP: ''"),
}  # fmt: skip

UNKNOWN: dict[str, tuple[str, list[str]]] = {
    "podSelector without matchLabels": (policy("{podSelector: {app: x}}"), ["spec.podSelector.app"]),
    "misspelt": (policy("{podSelector: {}, ingres: []}"), ["spec.ingres"]),
    "wrong case": (policy("{podselector: {}}"), ["spec.podselector"]),
    "one level too high": (policy("{podSelector: {}, from: []}"), ["spec.from"]),
    "deep": (rule("{from: [{ipBlock: {cidr: 10.0.0.0/8, excepts: []}}], port: 1}"), ["spec.ingress[0].from[0].ipBlock.excepts", "spec.ingress[0].port"]),
    "root": (f"{POLICY}specs: {{}}\n", ["specs"]),
    "metadata": (POLICY.replace("name: a", "name: a, label: {a: b}"), ["metadata.label"]),
    "status of a policy": (f"{POLICY}status: {{}}\n", ["status"]),
    "Service": (one_port("{port: 1, targetport: 2}", "selectors: {a: b}"), ["spec.ports[0].targetport", "spec.selectors"]),
}  # fmt: skip

"""The graph: every endpoint there is, numbered, and whom each reaches by the policies in force.

Pods that no policy can tell apart share one `Cell`: the same namespace and labels, the same named ports, the same kind
of network, and addresses between the same borders of ipBlocks. The outside is cut into `Atom`s by those borders. Cells
and atoms have numbers, sets of them are the bits of an int, so a selector is looked up once and a rule is a set of
ports and a set of bits (DESIGN.md, the reachability engine).

A `Graph` follows its `Cluster`: changes are noted as they happen and taken up when somebody asks next, so a review pays
for what changed since the last one and for the rows that it looks at, never for the whole.
"""

from bisect import bisect_right
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from typing import Final, NamedTuple, TypeAlias, TypeVar

from webhook.model.cluster import Cluster, PodClass
from webhook.model.objects import (
    ADMIN_POLICIES,
    NAME_LABEL,
    NAMESPACE,
    NETWORK_POLICY,
    NODE,
    OTHER_CONTROLLERS,
    POD,
    WORKLOADS,
    AdminPolicy,
    ContainerPort,
    Direction,
    Key,
    Labels,
    NetworkPolicy,
    Pod,
    Record,
    Workload,
)
from webhook.model.selectors import Selector
from webhook.reach.cidr import END, IPV6, Range, merged, parse_address
from webhook.reach.policy import (
    INGRESS,
    BlockPeer,
    NodePeer,
    Peer,
    PeerTable,
    PodPeer,
    Policy,
    PolicyIndex,
    compile_admin_policy,
    compile_policy,
)
from webhook.reach.relation import bits_of

NamedPorts: TypeAlias = tuple[tuple[str, str, int], ...]
"""Name, protocol and number of every container port that has a name, sorted."""

_FOLLOWED: Final = (NAMESPACE, NODE, POD, *WORKLOADS, *OTHER_CONTROLLERS, NETWORK_POLICY, *ADMIN_POLICIES)
"""In an order of its own: numbers, and with them the order of answers, are the same in every run."""
StackOf: TypeAlias = Callable[["Cell", Direction], "Stack"]
_NO_POLICIES: Final = PolicyIndex()
_MOST_ASKED: Final = 100
"""Namespaces of which is kept who may let their pods through."""
_MOST_STALE_ATOMS: Final = 5_000
"""Borders that only hypothetical policies have drawn; beyond that the outside is cut anew."""


class Atom:
    """Outside addresses that no ipBlock in use tells apart; the pods whose address lies there are its ``cells``."""

    __slots__ = ("cells", "first", "last", "number")

    def __init__(self, first: int, last: int, number: int) -> None:
        self.first = first
        self.last = last
        self.number = number
        self.cells: dict[Cell, None] = {}


class Stack(NamedTuple):
    """The policies that one cell is under in one direction, in the order in which they are asked."""

    admin: tuple[Policy, ...] = ()
    own: tuple[Policy, ...] = ()
    baseline: tuple[Policy, ...] = ()

    @property
    def restricts(self) -> bool:
        return bool(self.admin or self.own or self.baseline)


class Cell:
    """Pods, and templates of pods to come, that no policy can tell apart.

    Args:
        number: its place in every set of bits.
        of: their namespace and labels.
        named: their named ports.
        host_network: no policy binds them and no selector finds them; to an ipBlock they are their address.
        atoms: where their addresses lie, by family: IPv4 (or IPv6, when they have no other), and IPv6.
    """

    __slots__ = (
        "atoms",
        "host_network",
        "named",
        "namespace",
        "number",
        "of",
        "pods",
        "spans",
        "stacks",
        "stamp",
        "templates",
    )

    def __init__(
        self, number: int, of: PodClass, named: NamedPorts, atoms: tuple[tuple[Atom, ...], ...], *, host_network: bool
    ) -> None:
        self.number = number
        self.of = of
        self.namespace = of.namespace
        self.named = named
        self.host_network = host_network
        self.atoms = atoms
        self.pods: dict[Key, None] = {}
        self.templates: dict[tuple[str, Key], None] = {}
        self.spans: dict[Atom, Range] = {}
        """Per atom, between what addresses its pods lie."""
        self.stamp: tuple[int, int] = (-1, -1)
        self.stacks: Mapping[Direction, Stack] = {}

    @property
    def has_second_family(self) -> bool:
        """Whether IPv6 may lead there beside IPv4; so it may where no address is known."""
        return bool(self.atoms[1]) or not self.atoms[0]

    @property
    def dual(self) -> bool:
        """Whether it has addresses of both families."""
        return bool(self.atoms[1]) and self.atoms[0] != self.atoms[1]

    @property
    def of_ipv6_alone(self) -> bool:
        return bool(self.atoms[1]) and self.atoms[0] == self.atoms[1]


class Graph:
    """All endpoints of a cluster.

    Args:
        cluster: its later changes are followed, too.
    """

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster
        self.version = 0
        """Grows when a cell comes or goes, or a namespace's labels change: what was looked up is then stale."""
        self.cells: dict[int, Cell] = {}
        self.everyone = 0
        """All cells and atoms."""
        self.outside = 0
        """All atoms."""
        self.selectable = 0
        """The cells that selectors can find: all but those of the host network."""
        self.dual = 0
        """How many cells have addresses of both families."""
        self.peers = PeerTable()
        """What the policies of the graph, and those of scenarios, are about: each looked up once."""
        self._atoms: list[Atom] = []
        self._starts: list[int] = []
        self._atom_of: dict[int, Atom] = {}
        self._free: list[int] = []
        self._next = 0
        self._by_identity: dict[tuple[object, ...], Cell] = {}
        self._cells_of: dict[PodClass, dict[Cell, None]] = {}
        self._cells_in: dict[str, dict[Cell, None]] = {}
        self._cell_of: dict[tuple[str, Key], Cell] = {}
        self._named: dict[tuple[str, str], dict[int, dict[Cell, None]]] = {}
        self._policies: dict[str, PolicyIndex] = {}
        self._stamps: dict[str, int] = {}
        self._admin: dict[tuple[str, Key], Policy] = {}
        self._admin_stamp = 0
        self.policies_version = 0
        """Grows with every change of a policy."""
        self._populated: dict[str, int] = {}
        """Per namespace, grows when a cell of it comes or goes."""
        self._bound: dict[tuple[str, Direction], tuple[tuple[int, ...], list[Bound], int]] = {}
        self._about: dict[tuple[str, Direction], tuple[tuple[int, int], Sequence[Bound]]] = {}
        self._all_bound: dict[Direction, tuple[tuple[int, int], int]] = {}
        self._ordered: tuple[int, Sequence[Policy]] = (0, ())
        self.kept: dict[object, tuple[int, object]] = {}
        """What others have worked out from it, and at which generation of the cluster."""
        self._borders = 0
        """Borders drawn for policies that are not in the state."""
        self._changed: dict[tuple[str, Key], None] = {}
        self._in_namespace: dict[str, tuple[int, int]] = {}
        self._cut([0, IPV6])
        for kind in _FOLLOWED:
            for key in cluster.keys(kind):
                self._changed[kind, key] = None
        cluster.followers.append(self._note)

    # --- following the cluster

    def _note(self, record: Record) -> None:
        if record.kind in _FOLLOWED:
            self._changed[record.kind, record.key] = None

    def refresh(self) -> None:
        """Takes up what has changed in the cluster since the last time."""
        if not self._changed:
            return
        changed, self._changed = self._changed, {}
        if self._borders > _MOST_STALE_ATOMS:
            changed.update(dict.fromkeys(self._cell_of))
            self._forget_cells()
        pods: list[tuple[str, Key]] = []
        for kind, key in changed:
            if kind == NETWORK_POLICY:
                self._take_policy(key)
            elif kind in ADMIN_POLICIES:
                self._take_admin_policy(kind, key)
            elif kind == NAMESPACE:
                self.version += 1
                self._admin_stamp += 1
                self.policies_version += 1
            elif kind == NODE:
                self._take_node(key)
                pods += ((POD, k) for k in self._on_host_of(key))
            else:
                pods.append((kind, key))
        for kind, key in pods:  # after the policies, so that the borders are drawn once
            self._take_pod(kind, key)

    def tidy(self) -> None:
        """Forgets the borders of policies that are not in the state, where they are many; cells become other ones."""
        if self._borders > _MOST_STALE_ATOMS:
            self.kept.clear()
            self._changed.update(dict.fromkeys(self._cell_of))
            self.refresh()

    def _take_policy(self, key: Key) -> None:
        namespace, name = key
        record = self.cluster.get(NETWORK_POLICY, key)
        here = self._policies.setdefault(namespace, PolicyIndex())
        if isinstance(record, NetworkPolicy):
            compiled = compile_policy(record, self.peers)
            here.put(compiled)
            self._draw(compiled)
        else:
            here.remove(f"{namespace}/{name}")
            if not here.by_name:
                del self._policies[namespace]
        self._stamps[namespace] = self._stamps.get(namespace, 0) + 1
        self.policies_version += 1

    def _take_admin_policy(self, kind: str, key: Key) -> None:
        record = self.cluster.get(kind, key)
        if isinstance(record, AdminPolicy):
            compiled = self._admin[kind, key] = compile_admin_policy(record, self.peers)
            self._draw(compiled)
        else:
            self._admin.pop((kind, key), None)
        self._admin_stamp += 1
        self.policies_version += 1

    def _take_node(self, key: Key) -> None:
        """A node's addresses are borders only where a policy speaks of nodes."""
        if any(self._speaks_of_nodes(p) for p in self._admin.values()):
            self._draw_nodes()
        self.version += 1
        del key

    @staticmethod
    def _speaks_of_nodes(policy: Policy) -> bool:
        return any(isinstance(p, NodePeer) for r in policy.egress or () for p in r.peers or ())

    def _on_host_of(self, node: Key) -> list[Key]:
        """The pods of the host network that have no address but their node's."""
        return [
            key
            for cell in self.cells.values()
            if cell.host_network
            for key in cell.pods
            if isinstance(pod := self.cluster.get(POD, key), Pod) and pod.node == node[1] and not pod.ips
        ]

    def _take_pod(self, kind: str, key: Key) -> None:
        identity = (kind, key)
        of = self.cluster.class_of(kind, key)
        before = self._cell_of.get(identity)
        record = self.cluster.get(kind, key) if of is not None else None
        if of is None or not isinstance(record, Pod | Workload):
            if before is not None:
                self._leave(before, identity)
            return
        found = self._cell(of, record)
        if found is before:
            return
        if before is not None:
            self._leave(before, identity)
        self._cell_of[identity] = found
        if kind == POD:
            found.pods[key] = None
        else:
            found.templates[identity] = None

    def _cell(self, of: PodClass, record: Pod | Workload) -> Cell:
        named = named_ports(record.ports)
        numbers = self._addresses_of(record)
        atoms = self._atoms_of(numbers)
        identity = (of, named, record.host_network, atoms)
        found = self._by_identity.get(identity)
        if found is None:
            found = Cell(self._number(), of, named, atoms, host_network=record.host_network)
            self._by_identity[identity] = found
            self._enter(found)
        for number in numbers:
            atom = self._at(number)
            first, last = found.spans.get(atom, (number, number))
            found.spans[atom] = min(first, number), max(last, number)
        return found

    def _enter(self, cell: Cell) -> None:
        bit = 1 << cell.number
        self.cells[cell.number] = cell
        self.everyone |= bit
        self._cells_of.setdefault(cell.of, {})[cell] = None
        self._cells_in.setdefault(cell.namespace, {})[cell] = None
        for family in cell.atoms:
            for atom in family:
                atom.cells[cell] = None
        self.dual += cell.dual
        self._populated[cell.namespace] = self._populated.get(cell.namespace, 0) + 1
        if not cell.host_network:
            self.selectable |= bit
            for name, protocol, number in cell.named:
                self._named.setdefault((name, protocol), {}).setdefault(number, {})[cell] = None
        self.version += 1

    def _leave(self, cell: Cell, identity: tuple[str, Key]) -> None:
        del self._cell_of[identity]
        if identity[0] == POD:
            cell.pods.pop(identity[1], None)
        else:
            cell.templates.pop(identity, None)
        if not cell.pods and not cell.templates:
            self._drop(cell)

    def _drop(self, cell: Cell) -> None:
        bit = 1 << cell.number
        del self.cells[cell.number]
        del self._by_identity[cell.of, cell.named, cell.host_network, cell.atoms]
        self.everyone &= ~bit
        self.selectable &= ~bit
        self.dual -= cell.dual
        self._populated[cell.namespace] += 1
        _discard(self._cells_of, cell.of, cell)
        _discard(self._cells_in, cell.namespace, cell)
        for family in cell.atoms:
            for atom in family:
                atom.cells.pop(cell, None)
        if not cell.host_network:
            for name, protocol, number in cell.named:
                numbers = self._named[name, protocol]
                _discard(numbers, number, cell)
                if not numbers:
                    del self._named[name, protocol]
        self._free.append(cell.number)
        self.version += 1

    def _number(self) -> int:
        if self._free:
            return self._free.pop()
        self._next += 1
        return self._next - 1

    # --- addresses

    def _addresses_of(self, record: Pod | Workload) -> list[int]:
        if isinstance(record, Workload):
            return []
        addresses: Sequence[str] = record.ips
        if not addresses and record.host_network and record.node:
            addresses = self.cluster.addresses_of(record.node)
        return [n for a in addresses if (n := parse_address(a)) is not None]

    def _atoms_of(self, addresses: Sequence[int]) -> tuple[tuple[Atom, ...], ...]:
        """Where addresses lie: of IPv4 (of IPv6 where there is no other), and of IPv6."""
        if len(addresses) == 1:
            atom = (self._at(addresses[0]),)
            return atom, atom if addresses[0] >= IPV6 else ()
        first = tuple(dict.fromkeys(self._at(n) for n in addresses if n < IPV6))
        second = tuple(dict.fromkeys(self._at(n) for n in addresses if n >= IPV6))
        return first or second, second

    def _at(self, address: int) -> Atom:
        return self._atoms[bisect_right(self._starts, address) - 1]

    def _cut(self, starts: Sequence[int]) -> None:
        """Cuts the outside at these addresses, which are sorted."""
        for first, after in zip(starts, (*starts[1:], END), strict=True):
            atom = Atom(first, after - 1, self._number())
            self._atoms.append(atom)
            self._starts.append(first)
            self._enter_atom(atom)

    def _enter_atom(self, atom: Atom) -> None:
        bit = 1 << atom.number
        self._atom_of[atom.number] = atom
        self.everyone |= bit
        self.outside |= bit

    def _forget_cells(self) -> None:
        """Empties the graph of cells, and the outside of borders that no policy in the state has."""
        for cell in list(self.cells.values()):
            self._drop(cell)
        self._cell_of.clear()
        for atom in self._atoms:
            self.everyone &= ~(1 << atom.number)
            self._free.append(atom.number)
        self.outside = self._borders = 0
        self._atoms, self._starts, self._atom_of = [], [], {}
        self._cut([0, IPV6])
        for policy in (*self._admin.values(), *(p for here in self._policies.values() for p in here.by_name.values())):
            self._draw(policy)

    def _draw(self, policy: Policy) -> None:
        """Draws the borders of a policy's blocks."""
        self._draw_borders(border for block in policy.blocks() for r in block.ranges for border in (r[0], r[1] + 1))
        if policy.tier != "NetworkPolicy" and self._speaks_of_nodes(policy):
            self._draw_nodes()

    def _draw_nodes(self) -> None:
        addresses = [n for node in self.cluster.nodes for a in node.addresses if (n := parse_address(a)) is not None]
        self._draw_borders(border for a in addresses for border in (a, a + 1))

    def _draw_borders(self, borders: Iterable[int]) -> None:
        for border in sorted(set(borders)):
            i = bisect_right(self._starts, border) - 1
            if border < END and self._starts[i] != border:
                self._split(i, border)

    def _split(self, i: int, border: int) -> None:
        """Cuts an atom in two; the pods whose addresses lie above the border move to the upper one."""
        lower = self._atoms[i]
        upper = Atom(border, lower.last, self._number())
        lower.last = border - 1
        self._atoms.insert(i + 1, upper)
        self._starts.insert(i + 1, border)
        self._enter_atom(upper)
        self.version += 1
        for cell in list(lower.cells):
            first, last = cell.spans[lower]
            if last < border:
                continue
            if first >= border:
                self._move(cell, lower, upper)
            else:
                for key in list(cell.pods):
                    self._take_pod(POD, key)

    def _move(self, cell: Cell, lower: Atom, upper: Atom) -> None:
        """All pods of a cell are above a new border: no need to look at them one by one."""
        del self._by_identity[cell.of, cell.named, cell.host_network, cell.atoms]
        cell.atoms = tuple(tuple(upper if atom is lower else atom for atom in family) for family in cell.atoms)
        self._by_identity[cell.of, cell.named, cell.host_network, cell.atoms] = cell
        cell.spans[upper] = cell.spans.pop(lower)
        del lower.cells[cell]
        upper.cells[cell] = None

    # --- what is looked up

    def cell_of(self, kind: str, key: Key) -> Cell | None:
        """The cell of a pod or template; None for one that is not there, or has finished."""
        return self._cell_of.get((kind, key))

    def cells_in(self, namespace: str) -> Collection[Cell]:
        return self._cells_in.get(namespace, {})

    def cells_of(self, classes: Iterable[PodClass]) -> list[Cell]:
        """The cells of these classes."""
        return [cell for c in classes for cell in self._cells_of.get(c, ())]

    def atom(self, number: int) -> Atom | None:
        """The atom of that number; None where it is a cell's."""
        return self._atom_of.get(number)

    def atom_at(self, address: int) -> Atom:
        """The atom that an address lies in."""
        return self._at(address)

    @property
    def atoms(self) -> Sequence[Atom]:
        """All of the outside, by address."""
        return self._atoms

    @property
    def has_ipv6(self) -> bool:
        """Whether any pod or policy has an address of IPv6."""
        if any(atom.cells for atom in self._atoms if atom.first >= IPV6):
            return True
        policies = (*self._admin.values(), *(p for here in self._policies.values() for p in here.by_name.values()))
        return any(r[1] >= IPV6 for policy in policies for block in policy.blocks() for r in block.ranges)

    def own_policies(self, namespace: str) -> PolicyIndex:
        """The NetworkPolicies of a namespace."""
        return self._policies.get(namespace, _NO_POLICIES)

    def admin_policies(self) -> Sequence[Policy]:
        """The policies of administrators, in the order in which they are asked."""
        if self._ordered[0] != self._admin_stamp:
            ordered = sorted(self._admin.values(), key=lambda p: (p.priority, p.name, p.kind))
            self._ordered = self._admin_stamp, ordered
        return self._ordered[1]

    def stamp(self, namespace: str) -> tuple[int, int]:
        """Another one when the policies that its pods may be under are others."""
        return self._stamps.get(namespace, 0), self._admin_stamp

    def draw_for(self, policy: Policy) -> None:
        """Draws the borders of a policy that is not in the state."""
        before = len(self._atoms)
        self._draw(policy)
        self._borders += len(self._atoms) - before

    def groups(self, direction: Direction, stack: StackOf, *, except_in: Collection[str]) -> Iterator["Bound"]:
        """The cells that some policy selects in a direction, those under the same policies together.

        Args:
            direction: the direction.
            stack: the policies on a cell.
            except_in: namespaces that are left out.
        """
        self.bound(direction, stack, except_in=())
        for (namespace, of), (_, groups, _) in self._bound.items():
            if of == direction and namespace not in except_in:
                yield from groups

    def groups_about(
        self, namespace: str, direction: Direction, stack: StackOf, *, except_in: Collection[str]
    ) -> Iterator["Bound"]:
        """Those `groups` whose policies may let through any pod of a namespace: few of many."""
        key = (self.version, self.policies_version)
        known = self._about.get((namespace, direction))
        if known is None or known[0] != key:
            if len(self._about) > _MOST_ASKED:
                self._about.clear()
            labels = self.labels_of(namespace)
            every = self.groups(direction, stack, except_in=())
            known = self._about[namespace, direction] = key, [g for g in every if g.may_be_about(namespace, labels)]
        return (group for group in known[1] if group.cell.namespace not in except_in)

    def bound(self, direction: Direction, stack: StackOf, *, except_in: Collection[str]) -> int:
        """All cells that some policy selects in a direction, but for those of some namespaces."""
        key = (self.version, self.policies_version)
        known = self._all_bound.get(direction)
        if known is None or known[0] != key:
            found = 0
            for namespace, cells in self._cells_in.items():
                found |= self._bound_in(namespace, cells, direction, stack)
            for namespace in [n for n, of in self._bound if of == direction and n not in self._cells_in]:
                del self._bound[namespace, direction]
            known = self._all_bound[direction] = key, found
        found = known[1]
        for namespace in except_in:
            if (namespace, direction) in self._bound:
                found &= ~self._bound[namespace, direction][2]
        return found

    def _bound_in(self, namespace: str, cells: Iterable[Cell], direction: Direction, stack: StackOf) -> int:
        if not (self._admin or namespace in self._policies):
            self._bound.pop((namespace, direction), None)
            return 0
        key = (*self.stamp(namespace), self._populated.get(namespace, 0))
        known = self._bound.get((namespace, direction))
        if known is None or known[0] != key:
            groups = together(cells, direction, stack)
            every = 0
            for group in groups:
                every |= group.cells
            known = self._bound[namespace, direction] = key, groups, every
        return known[2]

    def without_common_ipv4(self, cell: Cell) -> int:
        """The cells that IPv4 does not connect with one that has IPv6: those with IPv6 alone with those with both."""
        if cell.dual:
            return bits_of([c.number for c in self.cells.values() if c.of_ipv6_alone])
        return bits_of([c.number for c in self.cells.values() if c.dual]) if cell.of_ipv6_alone else 0

    def labels_of(self, namespace: str) -> Labels:
        """A namespace's labels; of one that nothing is known of, those that it certainly has."""
        found = self.cluster.namespace(namespace)
        return found.labels if found is not None else {NAME_LABEL: namespace}

    def matches(self, peer: Peer, cell: Cell, plane: int) -> bool:
        """Whether a peer matches a cell, by its labels, or by its address of a family."""
        if isinstance(peer, PodPeer):
            if cell.host_network:
                return False
            if peer.namespaces is None:
                if peer.home != cell.namespace:
                    return False
            elif not peer.namespaces.matches(self.labels_of(cell.namespace)):
                return False
            return cell.of.matched_by(peer.pods)
        return any(self.holds(peer, atom) for atom in cell.atoms[plane])

    def holds(self, peer: Peer, atom: Atom) -> bool:
        """Whether a peer matches outside addresses."""
        return any(first <= atom.first and atom.last <= last for first, last in self._ranges(peer))

    def _ranges(self, peer: Peer) -> Sequence[Range]:
        if isinstance(peer, BlockPeer):
            return peer.ranges
        if isinstance(peer, NodePeer):
            found = [
                n
                for node in self.cluster.nodes
                if peer.nodes.matches(node.labels)
                for a in node.addresses
                if (n := parse_address(a)) is not None
            ]
            return merged((n, n) for n in found)
        return ()

    def bits(self, peer: Peer, plane: int) -> int:
        """All that a peer matches, the outside included; by addresses of one family."""
        if peer.version != self.version:
            peer.kept.clear()
            peer.version = self.version
        found = peer.kept.get(plane)
        if found is None:
            found = peer.kept[plane] = (
                self._by_labels(peer) if isinstance(peer, PodPeer) else self._by_address(peer, plane)
            )
            if isinstance(peer, PodPeer):
                peer.kept[1 - plane] = found
        return found

    def _by_address(self, peer: Peer, plane: int) -> int:
        found: list[int] = []
        for first, last in self._ranges(peer):
            for i in range(bisect_right(self._starts, first) - 1, len(self._atoms)):
                atom = self._atoms[i]
                if atom.first > last:
                    break
                if plane == 0:
                    found.append(atom.number)
                found += [cell.number for cell in atom.cells if atom in cell.atoms[plane]]
        return bits_of(found)

    def _by_labels(self, peer: PodPeer) -> int:
        names: Collection[str] | None = (peer.home,)
        if peer.namespaces is not None:
            names = None if peer.namespaces.empty else self._namespaces(peer.namespaces)
        if peer.pods.empty:
            if names is None:
                return self.selectable
            found = 0
            for name in names:
                found |= self._all_in(name)
            return found
        candidates = self.cluster.candidates(peer.pods, names)
        if names is not None and len(names) > 1 and len(candidates) > sum(len(self.cluster.classes(n)) for n in names):
            candidates = [c for name in names for c in self.cluster.classes(name)]
        classes = self.cluster.matching(candidates, peer.pods, names)
        return bits_of([cell.number for c in classes for cell in self._cells_of.get(c, ()) if not cell.host_network])

    def _namespaces(self, selector: Selector) -> Collection[str]:
        """The namespaces that a selector matches, and of which there is a cell."""
        found = {n.name for n in self.cluster.namespaces_matching(selector)}
        # A pod that is only about to be applied does not prove its namespace, and is one to reckon with all the same.
        for name in self._cells_in:
            if self.cluster.namespace(name) is None and selector.matches(self.labels_of(name)):
                found.add(name)
        return found

    def _all_in(self, namespace: str) -> int:
        known = self._in_namespace.get(namespace)
        if known is None or known[0] != self.version:
            cells = self._cells_in.get(namespace, ())
            known = self.version, bits_of([cell.number for cell in cells if not cell.host_network])
            self._in_namespace[namespace] = known
        return known[1]

    def named(self, name: str, protocol: str) -> Iterator[tuple[int, int]]:
        """The numbers that a named port has, each with the cells that have it."""
        for number, cells in self._named.get((name, protocol), {}).items():
            yield number, bits_of([cell.number for cell in cells])


def named_ports(ports: Sequence[ContainerPort]) -> NamedPorts:
    """The ports that have names: numbers alone bind nobody (facts 3.2)."""
    if not ports:
        return ()
    return tuple(sorted({(p.name, p.protocol, p.number) for p in ports if p.name}))


_K = TypeVar("_K")


def _discard(index: dict[_K, dict[Cell, None]], key: _K, cell: Cell) -> None:
    cells = index[key]
    del cells[cell]
    if not cells:
        del index[key]


class Bound(NamedTuple):
    """Cells under the same policies in one direction.

    Args:
        stack: the policies.
        cell: one of them: what the policies say of any single other, they say for all.
        cells: all of them.
        peers: whom the rules of the policies name; None where that does not settle who may be let through: a rule
            for everybody, or a policy of an administrator.
    """

    stack: Stack
    cell: Cell
    cells: int
    peers: Collection[Peer] | None

    def may_be_about(self, namespace: str, labels: Labels) -> bool:
        """Whether the policies may let through any pod of a namespace that has these labels."""
        return self.peers is None or any(
            not isinstance(peer, PodPeer)
            or (peer.home == namespace if peer.namespaces is None else peer.namespaces.matches(labels))
            for peer in self.peers
        )


def together(cells: Iterable[Cell], direction: Direction, stack: Callable[[Cell, Direction], Stack]) -> list[Bound]:
    """The cells that some policy selects, put together by their policies; by their named ports, too, for ingress."""
    found: dict[tuple[object, ...], list[Cell]] = {}
    for cell in cells:
        policies = stack(cell, direction)
        if policies.restricts:
            found.setdefault((policies, cell.named if direction == INGRESS else ()), []).append(cell)
    return [
        Bound(of, c[0], bits_of([cell.number for cell in c]), _peers_of(of, direction))
        for c in found.values()
        for of in (stack(c[0], direction),)
    ]


def _peers_of(stack: Stack, direction: Direction) -> Collection[Peer] | None:
    if stack.admin or stack.baseline:
        return None
    found: dict[Peer, None] = {}
    for policy in stack.own:
        for rule in policy.rules(direction) or ():
            if rule.peers is None:
                return None
            found.update(dict.fromkeys(rule.peers))
    return tuple(found)


def _existing(cluster: Cluster) -> Graph | None:
    return next((g for f in cluster.followers if isinstance(g := getattr(f, "__self__", None), Graph)), None)


def tidy(cluster: Cluster) -> None:
    """Between reviews: forgets the borders that only earlier ones have drawn, where they have become many."""
    graph = _existing(cluster)
    if graph is not None:
        graph.tidy()


def graph_of(cluster: Cluster) -> Graph:
    """The graph that follows this cluster, as it is now."""
    graph = _existing(cluster) or Graph(cluster)
    graph.refresh()
    return graph

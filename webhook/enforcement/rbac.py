"""Who may read NetworkPolicies: the hint that knows no engine, for agents that no family knows (facts 1.0.7).

An agent that enforces must list or watch NetworkPolicies, or have a controller that does. A ClusterRole that names them
is rare among DaemonSets, so it tells of an enforcer; rights to everything (``*``, cluster-admin) tell nothing. Security
and monitoring agents have it too: it makes "not enforced" unknown, and "enforced" only of what is named like a CNI.

It speaks only where ClusterRoles are known: files may hold them, the live state follows them when it is asked to
(``rbacHint`` of the configuration).
"""

from webhook.model.cluster import Cluster
from webhook.model.objects import CLUSTER_ROLE, CLUSTER_ROLE_BINDING, EVERY, ClusterRole, Key, RoleBinding


def policy_readers(cluster: Cluster) -> frozenset[Key]:
    """The ServiceAccounts that a ClusterRoleBinding lets list or watch NetworkPolicies by name; empty if none known."""
    roles = {
        role.name
        for key in cluster.keys(CLUSTER_ROLE)
        if isinstance(role := cluster.get(CLUSTER_ROLE, key), ClusterRole) and role.reads_policies
    }
    if not roles:
        return frozenset()
    return frozenset(
        account
        for key in cluster.keys(CLUSTER_ROLE_BINDING)
        if isinstance(binding := cluster.get(CLUSTER_ROLE_BINDING, key), RoleBinding)
        and binding.of_cluster
        and binding.role in roles
        for account in binding.accounts
        if account[1] != EVERY
    )


def readers_known(cluster: Cluster) -> bool:
    """Whether an account that is not among `policy_readers` certainly may not read NetworkPolicies by name."""
    return cluster.complete(CLUSTER_ROLE, CLUSTER_ROLE_BINDING)

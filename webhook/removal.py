"""What is on its way out: what happens to its traffic matters to nobody."""

from webhook.check import DELETE, Context
from webhook.enforcement import State
from webhook.evidence import rendered_by_helm
from webhook.model.objects import (
    CONTROLLERS,
    Pod,
    Workload,
)


def nothing_to_lose(ctx: Context) -> bool:
    """Whether everything goes, or no policy is enforced anyway: then nothing is opened or cut."""
    namespace = ctx.cluster.namespace(ctx.namespace)
    return (namespace is not None and namespace.terminating) or ctx.enforcement.state is State.NOT_ENFORCED


def ends(ctx: Context, pod: Pod) -> bool:
    """Whether the pod's workload is gone, so that the pod is about to be collected.

    helm uninstall deletes workloads, then policies, and waits for nothing: the pods still run then. Custom resources it
    deletes last of all (pkg/release/v1/util/kind_sorter.go lessByKind), so what an operator made of one is all there.
    """
    _, kind, name = pod.workload.split("/", 2)
    while kind in CONTROLLERS:
        ctx.spend()
        known = CONTROLLERS[kind]
        if not ctx.cluster.complete(known):
            return False
        controller = ctx.cluster.get(known, (pod.namespace, name))
        if not isinstance(controller, Workload):
            return True
        if controller.owner is None:
            return False
        kind, name = controller.owner
    if kind in {"Pod", "Node"} or ctx.operation is not DELETE or pod.namespace != ctx.namespace:
        return False
    return rendered_by_helm(ctx.policy.metadata)

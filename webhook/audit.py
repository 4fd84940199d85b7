"""Judges what is in the cluster already."""

from webhook.check import Judged
from webhook.model.cluster import Cluster
from webhook.pipeline import Judge, Judgement


def audit(judge: Judge, cluster: Cluster) -> list[Judgement]:
    """Judges every NetworkPolicy and Service of the state, by kind, namespace and name."""
    every: list[Judged] = [*cluster.policies, *cluster.services]
    every.sort(key=lambda judged: (judged.kind, judged.key))
    return [judge.audit(judged, cluster) for judged in every]

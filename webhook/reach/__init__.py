"""Who may talk to whom, as policies let it through: pure, from the cluster's state alone.

Sources: the NetworkPolicy API reference and what Kubernetes' own e2e tests assert (facts 2.3); for the policies of
administrators sigs.k8s.io/network-policy-api.
"""

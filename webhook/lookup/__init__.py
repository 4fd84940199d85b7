"""From what a person types in a pod to the pods that get the traffic: names, Services, and the policies on the way.

Sources: facts 3.2 (how endpoints form), 3.5 (DNS); k8s.io/kubernetes pkg/kubelet/network/dns (search path, ndots);
github.com/kubernetes/dns docs/specification.md.
"""

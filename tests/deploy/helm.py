"""What a rendered chart promises beyond its schema: pods that may do nothing, and nobody who reaches them unasked.

usage: helm.py RENDERED.yaml
"""

import sys

import yaml

with open(sys.argv[1], encoding="utf-8") as file:
    documents = [it for it in yaml.safe_load_all(file) if it]
by_kind = {}
for document in documents:
    by_kind.setdefault(document["kind"], []).append(document)

pods = [it["spec"]["template"]["spec"] for kind in ("Deployment", "Job") for it in by_kind.get(kind, [])]
assert len(pods) == 2, [it["kind"] for it in documents]
for pod in pods:
    security = pod["securityContext"]
    assert security["runAsNonRoot"] and security["runAsUser"] > 0
    assert security["seccompProfile"]["type"] == "RuntimeDefault"
    assert pod["automountServiceAccountToken"] is False and pod["enableServiceLinks"] is False
    assert not any(pod.get(it) for it in ("hostNetwork", "hostPID", "hostIPC"))
    for volume in pod["volumes"]:
        assert "hostPath" not in volume, volume
        if "secret" in volume:
            assert volume["secret"]["defaultMode"] == 0o440, volume
    for container in pod["containers"]:
        security = container["securityContext"]
        assert security["allowPrivilegeEscalation"] is False and security["readOnlyRootFilesystem"]
        assert security["capabilities"]["drop"] == ["ALL"] and "add" not in security["capabilities"]
        assert container["resources"]["limits"]["memory"] and container["resources"]["requests"]["cpu"]
        assert "@sha256:" in container["image"], container["image"]
        for variable in container.get("env", []):
            assert "secretKeyRef" not in variable.get("valueFrom", {}), "secrets are files"

assert "Secret" not in by_kind, "secrets are never in values"
assert not {"ClusterRole", "Role", "ClusterRoleBinding", "RoleBinding"} & set(by_kind), "it asks nothing of the cluster"

policies = {it["metadata"]["name"]: it["spec"] for it in by_kind["NetworkPolicy"]}
for name, policy in policies.items():
    assert sorted(policy["policyTypes"]) == ["Egress", "Ingress"], name
    for rule in policy.get("ingress", []) + policy["egress"]:
        assert rule.get("ports") and (rule.get("from") or rule.get("to")), (name, rule)
deployment = by_kind["Deployment"][0]
labels = deployment["spec"]["template"]["metadata"]["labels"]
covering = [it for it in policies.values() if it["podSelector"]["matchLabels"].items() <= labels.items()]
assert len(covering) == 1, policies
(budget,) = by_kind["PodDisruptionBudget"]
assert 0 < budget["spec"]["minAvailable"] < deployment["spec"]["replicas"]

spec = deployment["spec"]["template"]["spec"]
drain = spec["containers"][0]["lifecycle"]["preStop"]["sleep"]["seconds"]
# Twice `[http] shutdown_timeout_ms`, which is 15 s unless it is set.
assert spec["terminationGracePeriodSeconds"] >= drain + 2 * 15, spec["terminationGracePeriodSeconds"]
print(f"{len(documents)} documents, {len(policies)} network policies")

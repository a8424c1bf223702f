#!/usr/bin/python3
# timeout: 180
# builds: dev
"""The charts under the real helm, 3 and 4: they lint, they render, what they render is what Kubernetes takes, and the programs know the
arguments that they are given. helm comes out of npm packages (tests/cluster/tools.sh), Kubernetes' types as well; both are cached.
What a real API server says of the charts is tests/cluster's part.
"""
import copy
import json
import os
import re
import subprocess
import sys
import tempfile

import yaml

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import npm_packages  # noqa: E402

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.environ.get("WEIR_BUILD", f"{ROOT}/build/dev")
CHART, CRDS = f"{ROOT}/helm/weir", f"{ROOT}/helm/weir-crds"
MODELS = "kubernetes-models@4.5.1"
NAMESPACE = "mesh-system"
VALIDATE = """
const models = {}, path = require("path"), found = [];
for (const o of JSON.parse(require("fs").readFileSync(0, "utf8"))) {
  const file = path.join("kubernetes-models", o.apiVersion, o.kind);
  try { new (require(file)[o.kind])(o).validate(); }
  catch (e) { found.push(`${o.kind} ${o.metadata.name}: ${e.message}`); }
}
if (found.length) { console.error(found.join("\\n")); process.exit(1); }
"""
# Kinds that Kubernetes itself does not have.
OTHERS = {"CustomResourceDefinition", "PodMonitor", "ServiceMonitor", "PeerAuthentication"}

FULL = {
    "image": {"repository": "registry.example/weir", "digest": "sha256:" + "0" * 64},
    "imagePullSecrets": [{"name": "registry"}], "trustDomain": "example.org", "network": "one", "commonLabels": {"team": "mesh"},
    "podMonitor": {"enabled": True, "labels": {"release": "prometheus"}}, "serviceMonitor": {"enabled": True},
    "resourceQuota": {"enabled": True}, "networkPolicy": {"metricsFrom": [{"namespaceSelector": {"matchLabels": {"m": "1"}}}]},
    "seccompProfile": {"localhostProfile": "profiles/weir.json"},
    **{part: {"labels": {"l": "1"}, "annotations": {"a": "1"}, "podLabels": {"pl": "1"}, "podAnnotations": {"pa": "1"},
              "nodeSelector": {"n": "1"}, "affinity": {"nodeAffinity": {}}, "tolerations": [{"operator": "Exists"}],
              "extraArgs": ["--log-level=debug"]} for part in ("nodeproxy", "cni", "controller", "ca")},
}
FULL["controller"].update(replicas=2, routeTablesMiB=64, serviceAnnotations={"s": "1"}, topologySpreadConstraints=[
    {"maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "DoNotSchedule"}])
FULL["cni"]["extraArgs"] = []
VARIANTS = {
    "default": {}, "full": FULL,
    "ephemeral": {"ca": {"persistence": {"enabled": False, "allowEphemeral": True}}},
    "claim": {"ca": {"persistence": {"existingClaim": "mine"}}},
    "a database": {"ca": {"replicas": 3, "postgresql": {"secret": "weir-ca-db", "key": "line"}}},
    "no storage class": {"ca": {"persistence": {"storageClass": ""}}},
    "runtime's seccomp": {"seccompProfile": {"type": "RuntimeDefault"}},
    "no seccomp, no plugin": {"seccompProfile": {"type": "Unconfined"}, "cni": {"enabled": False}},
    "to be uninstalled": {"cni": {"removeAtEnd": True}},
    "no policies": {"networkPolicy": {"enabled": False}, "controller": {"pdb": {"enabled": False}, "antiAffinity": "none"}},
}


class Loader(yaml.SafeLoader):
    """A mapping that says a key twice is a mistake."""

    def construct_mapping(self, node, deep=False):
        keys = [self.construct_object(key) for key, _ in node.value]
        assert len(keys) == len(set(keys)), f"a key twice in line {node.start_mark.line + 1}: {sorted(map(str, keys))}"
        return super().construct_mapping(node, deep)


def load(text):
    return [document for document in yaml.load_all(text, Loader=Loader) if document]


class Bench:
    def __init__(self, folder):
        self.folder = folder
        self.environment = {**os.environ, "HOME": folder, "KUBECONFIG": "/dev/null"}
        tools = subprocess.run([f"{ROOT}/tests/cluster/tools.sh"], check=True, stdout=subprocess.PIPE, text=True).stdout.split()[-1]
        self.helms = [f"{tools}/helm3", f"{tools}/helm4"]
        self.models = npm_packages.fetch(MODELS)
        with open(f"{CHART}/values.yaml", encoding="utf-8") as file:
            self.values = yaml.safe_load(file)
        with open(f"{CHART}/values.schema.json", encoding="utf-8") as file:
            self.schema = json.load(file)

    def helm(self, which, *arguments, code=0):
        made = subprocess.run([which, *arguments], env=self.environment, capture_output=True, text=True, timeout=60, check=False)
        assert (made.returncode != 0) == (code != 0), f"{which} {' '.join(arguments)}: {made.stdout}{made.stderr}"
        return made.stdout if code == 0 else made.stdout + made.stderr

    def file(self, name, values):
        path = f"{self.folder}/{re.sub('[^a-z]+', '-', name)}.yaml"
        with open(path, "w", encoding="utf-8") as file:
            yaml.safe_dump(values, file)
        return path

    def render(self, which, values=None, *more, chart=CHART):
        options = ["-f", self.file("values", values)] if values else []
        return load(self.helm(which, "template", "weir", chart, "-n", NAMESPACE, *options, *more))

    def validate(self, objects):
        known = [o for o in objects if o["kind"] not in OTHERS]
        made = subprocess.run(["node", "-e", VALIDATE], input=json.dumps(known), cwd=self.models, capture_output=True, text=True,
                              timeout=60, check=False)
        assert made.returncode == 0, made.stderr
        return len(known)


def find(objects, kind, name):
    return next(o for o in objects if (o["kind"], o["metadata"]["name"]) == (kind, name))


def pods_of(objects):
    for o in objects:
        if o["kind"] in ("DaemonSet", "Deployment", "StatefulSet") and o["metadata"]["name"] != "weir-test":
            yield o["metadata"]["name"], o["spec"]["template"]["spec"]


def containers_of(objects):
    for name, pod in pods_of(objects):
        for container in pod.get("initContainers", []) + pod["containers"]:
            yield name, pod, container


# ---- checks ---------------------------------------------------------------------------------------------------------------------

def they_lint(bench):
    for helm in bench.helms:
        for variant, values in VARIANTS.items():
            bench.helm(helm, "lint", "--strict", CHART, "-f", bench.file(variant, values))
        bench.helm(helm, "lint", "--strict", CHART, "-f", f"{CHART}/values-ha.yaml")
        bench.helm(helm, "lint", "--strict", CRDS)
        bench.helm(helm, "package", CHART, CRDS, "-d", bench.folder)


def they_render_what_kubernetes_takes(bench):
    everything = []
    for variant, values in VARIANTS.items():
        three, four = (bench.render(helm, values) for helm in bench.helms)
        assert three == four, f"helm 3 and 4 do not agree about {variant}"
        everything += three
    everything += bench.render(bench.helms[1], None, "-f", f"{CHART}/values-ha.yaml")
    assert bench.validate(everything) > 100
    broken = copy.deepcopy(find(everything, "DaemonSet", "weir-nodeproxy"))
    broken["spec"]["template"]["spec"]["containers"][0]["readinessProbe"]["httpGet"]["port"] = ["15021"]
    try:
        bench.validate([broken])
    except AssertionError:
        return
    raise AssertionError("a broken DaemonSet is valid")


def definitions(bench):
    three, four = (load(bench.helm(helm, "template", "weir-crds", CRDS)) for helm in bench.helms)
    assert three == four
    assert sorted(o["metadata"]["name"] for o in three) == ["authorizationpolicies.security.istio.io", "destinationrules.networking.istio.io",
                                                     "peerauthentications.security.istio.io", "serviceentries.networking.istio.io", "sidecars.networking.istio.io", "virtualservices.networking.istio.io",
                                                     "workloadentries.networking.istio.io", "workloadgroups.networking.istio.io"]
    for o in three:
        assert o["metadata"]["annotations"]["helm.sh/resource-policy"] == "keep", "with a definition all its objects would go"
        alpha = [("v1alpha3", False)] if o["spec"]["group"] == "networking.istio.io" else []
        assert [(v["name"], v["storage"]) for v in o["spec"]["versions"]] == [("v1", True), ("v1beta1", False)] + alpha
        for version in o["spec"]["versions"]:
            assert version["subresources"] == {"status": {}}
    assert not load(bench.helm(bench.helms[1], "template", "x", CRDS, "--set", "authorizationPolicy=false,peerAuthentication=false,virtualService=false,destinationRule=false,serviceEntry=false,workloadEntry=false,workloadGroup=false,sidecar=false"))


def every_value_is_described(bench):
    def walk(values, schema, path):
        assert schema.get("description"), f"{path}: no description"
        if not isinstance(values, dict) or "properties" not in schema:
            return
        assert schema.get("additionalProperties") is False, f"{path}: a mistyped name is not found"
        names = set(schema["properties"]) - {"global"}
        assert names == set(values), f"{path}: only in the schema {names - set(values)}, only in values.yaml {set(values) - names}"
        for name, value in values.items():
            walk(value, schema["properties"][name], f"{path}.{name}")
    assert bench.schema["$schema"] == "http://json-schema.org/draft-07/schema#"
    walk(bench.values, bench.schema, "values")
    with open(f"{CRDS}/values.yaml", encoding="utf-8") as values, open(f"{CRDS}/values.schema.json", encoding="utf-8") as schema:
        walk(yaml.safe_load(values), json.load(schema), "crds")


def replicas_share_a_database(bench):
    """And no volume is claimed; the Secret's file is for its owner and group alone, as weir-ca wants it."""
    for helm in bench.helms:
        (ca,) = [o for o in bench.render(helm, VARIANTS["a database"]) if o["kind"] == "StatefulSet"]
        pod = ca["spec"]["template"]["spec"]
        assert ca["spec"]["replicas"] == 3 and "volumeClaimTemplates" not in ca["spec"]
        assert pod["volumes"] == [{"name": "state", "secret": {"secretName": "weir-ca-db", "defaultMode": 0o440}}], pod["volumes"]
        assert pod["containers"][0]["volumeMounts"] == [{"name": "state", "mountPath": "/etc/weir-ca", "readOnly": True}]
        assert pod["containers"][0]["args"][0] == "--state=postgresql:/etc/weir-ca/line"


def wrong_values_are_refused(bench):
    for values, text in (({"nodeproxy": {"drainSecond": 1}}, "drainSecond"), ({"logLevel": "loud"}, "logLevel"),
                         ({"ca": {"persistence": {"enabled": False}}}, "ca.persistence.allowEphemeral=true"),
                         ({"ca": {"replicas": 2}}, "ca.postgresql.secret"),
                         ({"cni": {"enabled": False}}, "seccompProfile.install=false"), ({"trustDomain": "Not/One"}, "trustDomain"),
                         ({"image": {"digest": "latest"}}, "digest"), ({"kubeletDir": "relative"}, "kubeletDir")):
        for helm in bench.helms:
            said = bench.helm(helm, "template", "weir", CHART, "-f", bench.file("wrong", values), code=1)
            assert text in said, f"{values}: {said}"


def the_programs_know_their_arguments(bench):
    """And the environment holds no secret."""
    helps = {}
    for values in VARIANTS.values():
        objects = bench.render(bench.helms[1], values)
        for name, _, container in containers_of(objects):
            command = container["command"]
            if command[:2] == ["weir-nodeproxy", "seccomp-profile"]:
                continue
            key = tuple(command)
            if key not in helps:
                made = subprocess.run([f"{BUILD}/{command[0]}", *command[1:], "--help"], capture_output=True, text=True, timeout=20,
                                      check=False)
                assert made.returncode == 0, f"{command} --help: {made.stdout}{made.stderr}"
                helps[key] = set(re.findall(r"^ +(--[a-z0-9-]+)", made.stdout, re.M))
            for argument in container["args"]:
                option = argument.split("=", 1)[0]
                assert option in helps[key], f"{name}: {' '.join(command)} knows no {option}"
            for variable in container.get("env", []):
                assert set(variable) == {"name", "valueFrom"} and set(variable["valueFrom"]) == {"fieldRef"}, variable
            probe = container.get("readinessProbe", {}).get("exec", {}).get("command", [])
            assert probe[2:] == [a for a in container["args"] if "=" in a and not a.startswith("--run-dir=")] if probe else name != "weir-cni", probe
            asked = set(re.findall(r"\$\(([A-Z_]+)\)", " ".join(container["args"])))
            given = {v["name"] for v in container.get("env", [])} | {"WEIR_CONTROLLER_SERVICE_HOST", "WEIR_CA_SERVICE_HOST"}
            assert asked <= given, f"{name}: {asked - given} would stay as it is written"
    services = {o["metadata"]["name"] for o in bench.render(bench.helms[1]) if o["kind"] == "Service"}
    assert {"weir-controller", "weir-ca"} <= services, "the kubelet makes WEIR_..._SERVICE_HOST of their names"


def nobody_may_more_than_it_needs(bench):
    objects = bench.render(bench.helms[1])
    assert not [o for o in objects if o["kind"] == "Secret"]
    for name, pod, container in containers_of(objects):
        security = {**pod.get("securityContext", {}), **container["securityContext"]}
        assert security["readOnlyRootFilesystem"] is True and security["capabilities"]["drop"] == ["ALL"], (name, security)
        assert not security.get("privileged"), name
        added = security["capabilities"].get("add", [])
        if name == "weir-nodeproxy":
            assert added == ["NET_ADMIN", "SYS_ADMIN", "SYS_PTRACE", "SETPCAP"], added
        else:
            assert added == [] and security["allowPrivilegeEscalation"] is False, (name, security)
        if name in ("weir-controller", "weir-ca"):
            assert security["runAsNonRoot"] is True and security["runAsUser"] != 0, (name, security)
            assert not pod.get("hostNetwork") and not pod.get("hostPID"), name
        profile = {"type": "RuntimeDefault"} if "seccomp-profile" in container["command"] else {
            "type": "Localhost", "localhostProfile": "weir-0.1.0.json"}
        assert security["seccompProfile"] == profile, (name, security["seccompProfile"])
        assert not [p for p in container.get("ports", []) if "hostPort" in p], name
    for name in ("weir-nodeproxy", "weir-cni"):
        assert find(objects, "ServiceAccount", name)["automountServiceAccountToken"] is False
        assert not [b for b in objects if b["kind"].endswith("Binding") and any(s["name"] == name for s in b["subjects"])], name
    proxy = find(objects, "DaemonSet", "weir-nodeproxy")["spec"]
    assert proxy["updateStrategy"]["rollingUpdate"] == {"maxSurge": 1, "maxUnavailable": 0}
    assert "ports" not in proxy["template"]["spec"]["containers"][0], "of hostNetwork they would be the node's: no second one could start"
    assert proxy["template"]["spec"]["priorityClassName"] == "system-node-critical"
    token = next(v for v in proxy["template"]["spec"]["volumes"] if v["name"] == "token")["projected"]["sources"]
    assert token == [{"serviceAccountToken": {"audience": "weir-ca", "expirationSeconds": 3600, "path": "token"}}]
    for o in objects:
        for rule in o.get("rules", []):
            assert "*" not in rule["resources"] + rule["verbs"] + rule["apiGroups"], rule
            assert not {"secrets", "serviceaccounts/token"} & set(rule["resources"]), rule
            if "configmaps" in rule["resources"]:
                assert rule["resourceNames"] == ["weir-ca-root"], rule


def the_class_of_gateways_is_made_where_it_can_be(bench):
    known = "--api-versions", "gateway.networking.k8s.io/v1/GatewayClass"
    for values, more, made in ((None, known, 1), (None, (), 0), ({"gatewayClass": False}, known, 0)):
        for helm in bench.helms:
            classes = [o for o in bench.render(helm, values, *more) if o["kind"] == "GatewayClass"]
            assert len(classes) == made, (values, more, classes)
            assert all(c["metadata"]["name"] == "weir" and c["spec"] == {"controllerName": "weir.mesh/controller"} for c in classes)


def the_mesh_is_made_where_it_can_be(bench):
    for more, made in ((("--api-versions", "gateway.networking.x-k8s.io/v1alpha1/XMesh"), 1), ((), 0)):
        for helm in bench.helms:
            meshes = [o for o in bench.render(helm, None, *more) if o["kind"] == "XMesh"]
            assert [m["spec"] for m in meshes] == [{"controllerName": "weir.mesh/controller"}] * made, meshes


def secrets_are_read_where_it_is_said(bench):
    said = {"gatewaySecrets": [{"namespace": "shop", "names": ["a", "b"]}, {"namespace": "all"}]}
    for helm in bench.helms:
        made = [o for o in bench.render(helm, said) if o["metadata"]["name"] == "weir-gateway-secrets"]
        roles = {o["metadata"]["namespace"]: o["rules"] for o in made if o["kind"] == "Role"}
        rule = {"apiGroups": [""], "resources": ["secrets"], "verbs": ["get", "list", "watch"]}
        assert roles == {"shop": [{**rule, "resourceNames": ["a", "b"]}], "all": [rule]}, roles
        bound = [o for o in made if o["kind"] == "RoleBinding"]
        assert [o["metadata"]["namespace"] for o in bound] == ["shop", "all"]
        assert all(o["subjects"] == [{"kind": "ServiceAccount", "name": "weir-controller", "namespace": NAMESPACE}] for o in bound), bound


def roots_are_read_where_it_is_said(bench):
    said = {"backendConfigMaps": [{"namespace": "shop", "names": ["a"]}, {"namespace": "all"}]}
    for helm in bench.helms:
        made = [o for o in bench.render(helm, said) if o["metadata"]["name"] == "weir-backend-configmaps"]
        roles = {o["metadata"]["namespace"]: o["rules"] for o in made if o["kind"] == "Role"}
        rule = {"apiGroups": [""], "resources": ["configmaps"], "verbs": ["get", "list", "watch"]}
        assert roles == {"shop": [{**rule, "resourceNames": ["a"]}], "all": [rule]}, roles
        assert [o["metadata"]["namespace"] for o in made if o["kind"] == "RoleBinding"] == ["shop", "all"]


def names_fit_together(bench):
    objects = bench.render(bench.helms[1], FULL)
    arguments = {name: container["args"] for name, _, container in containers_of(objects) if "args" in container}
    identity = "spiffe://example.org/ns/mesh-system/sa/"
    for name, args in arguments.items():
        for argument in args:
            match = re.fullmatch(r"--(.*identity|allow-client)=(.*)", argument)
            assert not match or match[2].startswith(identity + "weir-"), (name, argument)
    assert f"--proxy-account={NAMESPACE}/weir-nodeproxy" in arguments["weir-ca"]
    assert f"--control-account={NAMESPACE}/weir-controller" in arguments["weir-ca"]
    assert f"--exclude-namespace={NAMESPACE}" in arguments["weir-cni"]
    assert f"--root-namespace={NAMESPACE}" in arguments["weir-controller"]
    assert f"--route-tables-bytes={64 << 20}" in arguments["weir-controller"]
    image = "registry.example/weir@sha256:" + "0" * 64
    assert {container["image"] for _, _, container in containers_of(objects)} == {image}
    for o in objects:
        labels = o["metadata"].get("labels", {})
        if o["kind"] != "Pod":
            assert {"app.kubernetes.io/name", "app.kubernetes.io/instance", "app.kubernetes.io/managed-by",
                    "app.kubernetes.io/component", "app.kubernetes.io/part-of", "helm.sh/chart"} <= set(labels), (o["kind"], labels)
            assert labels["team"] == "mesh", o["metadata"]
    for name, pod in pods_of(objects):
        assert pod["imagePullSecrets"] == [{"name": "registry"}] and pod["tolerations"] == [{"operator": "Exists"}], name
    for kind in ("DaemonSet", "Deployment", "StatefulSet"):
        for o in objects:
            if o["kind"] == kind and "helm.sh/hook" not in o["metadata"]["annotations"]:
                template = o["spec"]["template"]["metadata"]
                assert o["spec"]["selector"]["matchLabels"].items() <= template["labels"].items()
                assert template["labels"]["pl"] == "1" and template["annotations"]["pa"] == "1" and o["metadata"]["labels"]["l"] == "1"
    hooks = sorted((int(o["metadata"]["annotations"]["helm.sh/hook-weight"]), o["kind"]) for o in objects
                   if o["metadata"].get("annotations", {}).get("helm.sh/hook") == "test")
    assert [kind for _, kind in hooks] == ["Namespace", "PeerAuthentication", "Service", "Deployment", "Pod"], hooks
    spread = find(objects, "Deployment", "weir-controller")["spec"]["template"]["spec"]["topologySpreadConstraints"]
    assert spread[0]["labelSelector"]["matchLabels"]["app.kubernetes.io/component"] == "controller"
    assert find(objects, "PodDisruptionBudget", "weir-controller")


def older_kubernetes(bench):
    objects = bench.render(bench.helms[0], {"controller": {"replicas": 2}}, "--kube-version", "1.20.2")
    assert find(objects, "DaemonSet", "weir-nodeproxy")["spec"]["updateStrategy"]["rollingUpdate"] == {"maxUnavailable": 1}
    for version in ("1.28.0", "1.35.0"):
        objects = bench.render(bench.helms[0], {"controller": {"replicas": 2}}, "--kube-version", version)
        assert find(objects, "PodDisruptionBudget", "weir-controller")["apiVersion"] == "policy/v1"


CHECKS = (they_lint, they_render_what_kubernetes_takes, definitions, every_value_is_described, wrong_values_are_refused, replicas_share_a_database,
          the_programs_know_their_arguments, nobody_may_more_than_it_needs, the_class_of_gateways_is_made_where_it_can_be, the_mesh_is_made_where_it_can_be, secrets_are_read_where_it_is_said, roots_are_read_where_it_is_said, names_fit_together, older_kubernetes)


def main():
    if not npm_packages.can_fetch():
        print("skipped: helm and Kubernetes' types come by npm, which is not installed")
        sys.exit(77)
    with tempfile.TemporaryDirectory(prefix="weir-helm-test-") as folder:
        bench = Bench(folder)
        for check in CHECKS:
            try:
                check(bench)
            except BaseException:
                print(f"FAIL {check.__name__}")
                raise
            print(f"ok   {check.__name__}", flush=True)


if __name__ == "__main__":
    main()

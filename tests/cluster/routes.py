#!/usr/bin/python3
"""Routes on the test cluster: each case of a folder (tests/unit/controller/translate/gateway, in which the requests of the Gateway API's
mesh conformance are; tests/cluster/istio) is applied to the real API server, its requests (#?) are made by curl in enrolled pods, and
the status of its routes must be what the case's text says, as the API server keeps it.

   client (mesh, and each namespace before a ">") --- node proxy --- Services echo, echo-v1, echo-v2 --- pods echo-v1, echo-v2
                                                                     Services that a case brings     --- pods of their name

A pod answers HTTP/1.1 with its name and the head that it got (origin --heads), and gRPC (HTTP/2) with its name (nghttpd, whose log has
the heads).
"""
import argparse
import glob
import json
import os
import re
import shlex
import subprocess
import sys
import time

import yaml

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from kube import CORE, ROOT, Api  # noqa: E402

GROUP, ISTIO = "gateway.networking.k8s.io", "networking.istio.io"
ROUTES = {"HTTPRoute": "httproutes", "GRPCRoute": "grpcroutes"}
PLURALS = {**{kind: f"{plural}.{GROUP}" for kind, plural in ROUTES.items()}, "ReferenceGrant": f"referencegrants.{GROUP}",
           "VirtualService": f"virtualservices.{ISTIO}", "DestinationRule": f"destinationrules.{ISTIO}", "ServiceEntry": f"serviceentries.{ISTIO}",
           "WorkloadEntry": f"workloadentries.{ISTIO}", "Sidecar": f"sidecars.{ISTIO}"}
CONTROLLER = "weir.mesh/controller"
DEADLINE_S = 180
SPLIT, SPLIT_GRPC, SPLIT_WITHIN = 2000, 1000, 0.05  # requests, and how far from its share a backend may be. The conformance asks 500
                                                    # times, of which chance alone is further off once in a hundred runs.
PORTS = [("http", 80, "http"), ("http-alt", 8080, None), ("https", 443, None), ("tcp", 9090, None), ("grpc", 7070, "kubernetes.io/h2c")]


# ---- definitions ----------------------------------------------------------------------------------------------

def definition(kind, versions):
    """As the project's own, as far as a mesh needs it: names, versions, and the schema of status, by which an API server refuses what
    the specification does not allow. What is in spec is not checked, so that all of it reaches the controller."""
    condition = {"type": "object", "required": ["lastTransitionTime", "message", "reason", "status", "type"], "properties": {
        "lastTransitionTime": {"type": "string", "format": "date-time"},
        "message": {"type": "string", "maxLength": 32768},
        "observedGeneration": {"type": "integer", "format": "int64", "minimum": 0},
        "reason": {"type": "string", "minLength": 1, "maxLength": 1024, "pattern": "^[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?$"},
        "status": {"type": "string", "enum": ["True", "False", "Unknown"]},
        "type": {"type": "string", "maxLength": 316}}}
    parent = {"type": "object", "required": ["name"], "properties": {
        "group": {"type": "string", "default": GROUP, "maxLength": 253},
        "kind": {"type": "string", "default": "Gateway", "minLength": 1, "maxLength": 63},
        "name": {"type": "string", "minLength": 1, "maxLength": 253},
        "namespace": {"type": "string", "minLength": 1, "maxLength": 63},
        "port": {"type": "integer", "format": "int32", "minimum": 1, "maximum": 65535},
        "sectionName": {"type": "string", "minLength": 1, "maxLength": 253}}}
    entry = {"type": "object", "required": ["conditions", "controllerName", "parentRef"], "properties": {
        "controllerName": {"type": "string", "pattern": r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*\/[A-Za-z0-9\/\-._~%!$&'()*+,;=:]+$"},
        "parentRef": parent,
        "conditions": {"type": "array", "minItems": 1, "maxItems": 8, "items": condition,
                       "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["type"]}}}
    schema = {"type": "object", "required": ["spec"], "properties": {
        "spec": {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
        "status": {"type": "object", "required": ["parents"], "properties": {"parents": {"type": "array", "maxItems": 32, "items": entry}}}}}
    plural = kind.lower() + "s"
    return {"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
            "metadata": {"name": f"{plural}.{GROUP}", "annotations": {"api-approved.kubernetes.io": "https://github.com/kubernetes-sigs/gateway-api"}},
            "spec": {"group": GROUP, "scope": "Namespaced",
                     "names": {"kind": kind, "listKind": kind + "List", "plural": plural, "singular": kind.lower()},
                     "versions": [{"name": v, "served": True, "storage": i == 0, "subresources": {"status": {}},
                                   "schema": {"openAPIV3Schema": schema}} for i, v in enumerate(versions)]}}


DEFINITIONS = [definition("HTTPRoute", ["v1", "v1beta1"]), definition("GRPCRoute", ["v1", "v1alpha2"]), definition("ReferenceGrant", ["v1", "v1beta1"])]


# ---- applications ---------------------------------------------------------------------------------------------

def service(name, selector):
    ports = [{"name": n, "port": p, "targetPort": 7070 if n == "grpc" else 8080, **({"appProtocol": a} if a and name == "echo" else {})}
             for n, p, a in PORTS]
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name, "namespace": "mesh"}, "spec": {"selector": selector, "ports": ports}}


def container(image, name, *command):
    env = [{"name": "POD", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}]
    return {"name": name, "image": image, "imagePullPolicy": "Never", "command": list(command), "env": env}


def echo(image, version, grpc_paths):
    pages = 'for p in "$@"; do mkdir -p "/tmp/www${p%/*}"; echo "pod: $POD" >"/tmp/www$p"; done; exec nghttpd --no-tls --verbose -d /tmp/www 7070'
    labels = {"app": "echo", "version": version}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": f"echo-{version}", "namespace": "mesh"},
            "spec": {"selector": {"matchLabels": labels}, "template": {"metadata": {"labels": labels}, "spec": {
                "terminationGracePeriodSeconds": 1, "containers": [
                    container(image, "http", "origin", "--heads", "on", "--pod", "$(POD)"),
                    container(image, "grpc", "sh", "-c", pages, "sh", *grpc_paths)]}}}}


def pods_of(image, name, ns):
    """Of a Service that a case brings, and leads to."""
    labels = {"app": name}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name, "namespace": ns},
            "spec": {"selector": {"matchLabels": labels}, "template": {"metadata": {"labels": labels}, "spec": {
                "terminationGracePeriodSeconds": 1, "containers": [container(image, "http", "origin", "--heads", "on", "--pod", "$(POD)")]}}}}


def client(image, ns):
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "client", "namespace": ns},
            "spec": {"terminationGracePeriodSeconds": 1, "containers": [container(image, "client", "sleep", "86400")]}}


def namespace(name):
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": {"weir.mesh/enrolled": "true"}}}


# ---- cases ----------------------------------------------------------------------------------------------------

class Request:
    """A line `#? [NAMESPACE>]SERVICE.NAMESPACE:PORT METHOD PATH [HEADER=VALUE ...] => ANSWER` (gateway_test.c tells its words)."""

    def __init__(self, line):
        self.line = line
        asked, self.answer = line.split(" => ")
        target, self.method, self.path, *fields = asked.split()
        self.client, _, target = target.rpartition(">")
        self.host, port = target.split(":")
        self.service, ns = self.host.split(".")
        self.client, self.port = self.client or ns, int(port)
        self.fields = [tuple(f.split("=", 1)) for f in fields]
        self.is_grpc = self.port == 7070
        self.wants_grpc = any(n == "content-type" and v.startswith("application/grpc") for n, v in self.fields)
        words = self.answer.split()
        self.backends = [b.partition("*")[::2] for b in words[0].split(",")]
        self.times = 1 if len(self.backends) == 1 else SPLIT_GRPC if self.is_grpc else SPLIT

    def command(self):
        """Many are asked by one curl and one connection; of HTTP/2 (which curl 7.88 does not use twice without TLS), by one each."""
        argv = ["curl", "-s", "-i", "-w", "\\n%{onerror}curl: %{errormsg}\\n", "-g", "--path-as-is", "--max-time", "60", "-X", self.method, "-H", f"Host: {self.service}"]
        if self.is_grpc:
            argv += ["--http2-prior-knowledge"]
            # An answer that comes before the request's end (RST_STREAM with NO_ERROR follows it) is at times an error to curl 7.88.
            if not all(b.isdigit() or is_nobody(b) for b, _ in self.backends):
                argv += ["--data-binary", "x"]
        for name, value in self.fields:
            argv += ["-H", f"{name}: {value}"]
        url = f"http://{self.host}:{self.port}{self.path}"
        if self.is_grpc:
            return f"for i in $(seq {self.times}); do {shlex.join([*argv, url])}; done"
        return shlex.join(argv + [url] * self.times)

    def wrong(self, said):
        """What is not as it should be in what curl said; None: all is."""
        answers = [Answer(a) for a in re.split(r"(?m)^(?=HTTP/[0-9.]+ [0-9]{3})", said) if a.startswith("HTTP/")]
        if len(answers) != self.times:
            return f"{len(answers)} answers; {said.strip()[-200:]}"
        if self.times > 1:
            return self.wrong_shares(answers)
        return self.wrong_answer(answers[0])

    def wrong_shares(self, answers):
        shares, whole = {}, sum(int(w) for _, w in self.backends)
        for a in answers:
            name = a.backend() if a.status == 200 and a.backend() else "none"
            shares[name] = shares.get(name, 0) + 1
        for backend, weight in self.backends:
            name = "none" if is_nobody(backend) else f"echo-{backend.partition('/')[2]}" if "/" in backend else backend.split(".")[0]
            if abs(shares.get(name, 0) / len(answers) - int(weight) / whole) > (SPLIT_WITHIN if int(weight) else 0):
                return f"shares {shares}"
        return None

    def wrong_answer(self, a):
        first, *rest = self.answer.split(" ")
        if first.isdigit() or is_nobody(first):
            return self.wrong_status(a, first, rest)
        if a.status != 200 or (self.wants_grpc and a.field("grpc-status") not in (None, "0")):
            return f"{a.status}, grpc-status {a.field('grpc-status')}"
        subset = first.partition("/")[2]  # of echo: the version that its pods' Deployment is called after
        name = self.service if first == "default" else f"echo-{subset}" if subset else first.split(".")[0]
        if not a.backend() or not (a.backend() == name or (name == "echo" and a.backend().startswith("echo-v"))):
            return f"answered by {a.backend()}"
        wanted = {"path": self.path, "host": self.service}
        put, answered = {}, []
        while rest:
            word = rest.pop(0)
            if word[0] == "+":
                n, v = word[1:].split("=", 1)
                put.setdefault(n, []).append(v)
            elif word[0] == "<":
                answered.append(word[1:].split("=", 1))
            else:
                wanted[word] = rest.pop(0)
        for n, v in answered:
            if a.field(n) != v:
                return f"answered {n}: {a.field(n)}"
        if self.is_grpc:  # what such a pod got is in its log: specials()
            return None
        if a.asked_path() != wanted["path"] or a.asked("host") != [wanted["host"]]:
            return f"the pod got {a.asked_path()} of {a.asked('host')}"
        if first == "default":
            put = {n: [v] for n, v in self.fields}
        for n in {n for n, _ in self.fields} | set(put):
            if ",".join(a.asked(n)).replace(", ", ",") != ",".join(put.get(n, [])):
                return f"the pod got {n}: {a.asked(n)}"
        return None

    def wrong_status(self, a, first, rest):
        if self.wants_grpc:
            status = {"404": "12"}.get(first, "14")
            return None if a.status == 200 and a.field("grpc-status") == status else f"{a.status}, grpc-status {a.field('grpc-status')}"
        if a.status != int(first if first.isdigit() else 500):
            return f"{a.status}"
        return None if not rest or a.field("location") == rest[0] else f"to {a.field('location')}"


def is_nobody(backend):
    return backend == "weir.invalid" or backend.startswith("refused|")


class Answer:
    """Of curl -i."""

    def __init__(self, said):
        head, _, self.body = said.replace("\r\n", "\n").partition("\n\n")
        self.status = int(head.split(" ", 2)[1])
        self.head = head + "\n" + self.body

    def field(self, name):
        found = re.search(rf"(?mi)^{re.escape(name)}: *(.*?)\s*$", self.head)
        return found and found[1]

    def backend(self):
        """The Deployment of the pod that answered."""
        pod = self.field("pod")
        return pod and pod.rsplit("-", 2)[0]

    def asked_path(self):
        found = re.search(r"(?m)^[A-Z]+ (\S+) HTTP/1\.1$", self.body)
        return found and found[1]

    def asked(self, name):
        return [v.strip() for v in re.findall(rf"(?mi)^{re.escape(name)}:(.*)$", self.body)]


def status_lines(route):
    """As the cases' texts have it."""
    yield f"{route['kind']} {route['metadata']['namespace']}/{route['metadata']['name']}"
    for entry in route.get("status", {}).get("parents", []):
        if entry["controllerName"] != CONTROLLER:
            continue
        ref = entry["parentRef"]
        yield f"  {ref.get('namespace', route['metadata']['namespace'])}/{ref['name']}:{ref.get('port', 0)}"
        for c in entry["conditions"]:
            seen = "" if c["observedGeneration"] == route["metadata"]["generation"] else f" (of generation {c['observedGeneration']})"
            yield f"    {c['type']}={c['status']} {c['reason']}: {c['message']}{seen}"


class Case:
    def __init__(self, path):
        self.name = os.path.basename(path)[:-len(".yaml")]
        with open(path, encoding="utf-8") as file:
            text = file.read()
        try:
            with open(path[:-len("yaml")] + "txt", encoding="utf-8") as file:
                expected = file.read().splitlines()
        except FileNotFoundError:  # nothing to be told
            expected = []
        self.requests = [Request(line[2:].strip()) for line in text.splitlines() if line.startswith("#?")]
        self.wants_grants = "#! grants" in text
        objects = [o for o in yaml.safe_load_all(text) if o]
        self.routes = [o for o in objects if o["kind"] in PLURALS]
        self.others = [o for o in objects if o["kind"] == "Service" and not o["metadata"]["name"].startswith("echo")]
        # Those that somebody is to answer for: NAME.NAMESPACE:PORT of an answer, or who is asked where no route counts.
        answers = {r.host if r.answer.split()[0] == "default" else r.answer.split()[0].split(":")[0] for r in self.requests}
        self.served = [o for o in self.others if f"{o['metadata']['name']}.{o['metadata']['namespace']}" in answers]
        self.status = [line for line in expected[next((i for i, x in enumerate(expected) if x.split(" ")[0] in ROUTES), len(expected)):]
                       if not line.startswith("problem: ")]

    def brought(self, image):
        """What is there before its routes: its Services, and pods of those that somebody is to answer for. An address is the server's to
        give; that there is none (headless) is the case's to say, and then the pods are called at the Service's own port."""
        for o in self.others:
            for key in ("clusterIP", "clusterIPs"):
                if "None" not in o["spec"].get(key, ()):
                    o["spec"].pop(key, None)
        for o in self.served:
            o["spec"]["selector"] = {"app": o["metadata"]["name"]}
            for port in o["spec"]["ports"]:
                port["targetPort"] = 8080
        return self.others + [pods_of(image, o["metadata"]["name"], o["metadata"]["namespace"]) for o in self.served]

    def is_of_connections(self):
        return any(r.method == "TCP" for r in self.requests)

    def by_age(self):
        """What says when it was made, the oldest first, each for itself, and then the rest: the server says when, in whole seconds."""
        ages = sorted({str(o["metadata"].get("creationTimestamp", "~")) for o in self.routes})
        for age in ages:
            mine = [o for o in self.routes if str(o["metadata"].get("creationTimestamp", "~")) == age]
            yield [{**o, "metadata": {k: v for k, v in o["metadata"].items() if k != "creationTimestamp"}} for o in mine]


class Cluster:
    def __init__(self, o):
        self.o, self.api = o, Api(f"{o.cluster}/pki", o.api)

    def kubectl(self, *argv, objects=None):
        done = subprocess.run([self.o.kubectl, f"--kubeconfig={self.o.cluster}/admin.kubeconfig", *argv], text=True, capture_output=True,
                              check=False, input=json.dumps({"apiVersion": "v1", "kind": "List", "items": objects}) if objects is not None else None)
        assert done.returncode == 0, f"kubectl {' '.join(argv)}: {done.stderr[:2000]}"
        return done.stdout

    def apply(self, objects):
        if objects:
            self.kubectl("apply", "--validate=false", "-f", "-", objects=objects)

    def ask(self, requests):
        """What is wrong, a line for each."""
        wrong = []
        for ns in sorted({r.client for r in requests}):
            mine = [r for r in requests if r.client == ns]
            script = "".join(f"printf '\\n--answer--\\n'; {r.command()}\n" for r in mine) + "true"
            said = self.kubectl("exec", "-q", "-n", ns, "client", "--", "sh", "-c", script).split("\n--answer--\n")[1:]
            for r, s in zip(mine, said):
                if (w := r.wrong(s)):
                    wrong.append(f"{r.line}\n    and is: {w}")
        return wrong

    def status(self):
        lines = []
        for kind, plural in ROUTES.items():
            items = self.api.ask("GET", f"/apis/{GROUP}/v1/{plural}")["items"]
            for route in sorted(items, key=lambda r: (r["metadata"]["namespace"], r["metadata"]["name"])):
                lines += status_lines({**route, "kind": kind})
        return lines

    def until(self, what, wrong):
        deadline = time.monotonic() + DEADLINE_S
        while (lines := wrong()):
            assert time.monotonic() < deadline, f"{what}:\n" + "\n".join(lines)
            time.sleep(0.5)

    def wrong_status(self, wanted):
        is_now = self.status()
        return [] if is_now == wanted else ["should be:", *wanted, "is:", *is_now]

    def play(self, case):
        start = time.monotonic()
        self.apply(case.brought(self.o.image))
        for routes in case.by_age():
            self.apply(routes)
            applied = int(time.time())
            while int(time.time()) == applied and len(routes) < len(case.routes):  # or the next ones would be as old
                time.sleep(0.05)
        self.until(f"{case.name}: status", lambda: self.wrong_status(case.status))
        left = list(case.requests)

        def wrong():
            lines = self.ask(left)
            left[:] = [r for r in left if any(line.startswith(r.line) for line in lines)]
            return lines
        self.until(f"{case.name}: requests", wrong)
        if (late := self.ask(case.requests)):  # all at once, once more
            raise AssertionError(f"{case.name}: not for long:\n" + "\n".join(late))
        print(f"{case.name}: {len(case.requests)} requests, {len(case.routes)} routes, {time.monotonic() - start:.1f} s", flush=True)
        self.specials(case.name)
        self.clear(case)

    def clear(self, case):
        for o in case.routes:
            self.kubectl("delete", "--ignore-not-found", "-n", o["metadata"]["namespace"], PLURALS[o["kind"]], o["metadata"]["name"])
        for o in case.others:
            self.kubectl("delete", "--ignore-not-found", "-n", o["metadata"]["namespace"], "service", o["metadata"]["name"])
        for o in case.served:
            self.kubectl("delete", "--ignore-not-found", "-n", o["metadata"]["namespace"], "deployment", o["metadata"]["name"])

    def specials(self, name):
        if name == "consumer":
            self.frontend()
        if name == "actions":
            self.users()
        if name == "grpc":
            pods = self.api.ask("GET", f"{CORE}/namespaces/mesh/pods?labelSelector=app%3Decho")["items"]
            logs = "".join(self.kubectl("logs", "-n", "mesh", pod["metadata"]["name"], "-c", "grpc") for pod in pods
                           if "deletionTimestamp" not in pod["metadata"])
            assert re.search(r"x-header-set: v\b", logs), "no pod got the header that the GRPCRoute sets"

    def frontend(self):
        """MeshFrontend: a pod's own address has no routes. MeshFrontendHostname: the address that was called decides, not Host."""
        pods = self.api.ask("GET", f"{CORE}/namespaces/mesh/pods?labelSelector=version%3Dv1")["items"]
        ip = pods[0]["status"]["podIP"]
        said = Answer(self.kubectl("exec", "-q", "-n", "consumer", "client", "--", "curl", "-s", "-i", "-H", "Host: echo-v1.mesh", f"http://{ip}:8080/"))
        assert said.status == 200 and said.backend() == "echo-v1" and said.field("x-header-set") is None, said.head
        said = Answer(self.kubectl("exec", "-q", "-n", "consumer", "client", "--", "curl", "-s", "-i", "-H", "Host: echo-v2.mesh", "http://echo-v1.mesh/"))
        assert said.status == 200 and said.backend() == "echo-v1" and said.field("x-header-set") == "set", said.head
        print("consumer: a pod's own address, and another Service's name in Host", flush=True)

    def users(self):
        """A hash of a header: each user has a pod, whoever asks when, and they have not all the same one."""
        pods = {}
        for user in range(16):
            said = self.kubectl("exec", "-q", "-n", "mesh", "client", "--", "curl", "-s", "-i", "-H", f"x-user: {user}", *["http://echo/user"] * 10)
            answers = [Answer(a) for a in re.split(r"(?m)^(?=HTTP/1.1 [0-9]{3})", said) if a.startswith("HTTP/")]
            pods[user] = {a.backend() for a in answers}
            assert len(answers) == 10 and len(pods[user]) == 1, f"user {user}: {pods[user]} of {len(answers)}"
        assert len(set.union(*pods.values())) == 2, pods
        print("actions: 16 users, each with a pod", flush=True)


def main():
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for name in ("cluster", "api", "kubectl", "image"):
        p.add_argument(f"--{name}")
    p.add_argument("--definitions", action="store_true", help="only print them")
    p.add_argument("--cases", default=f"{ROOT}/tests/unit/controller/translate/gateway", help="their folder")
    p.add_argument("--grants", action="store_true", help="the controller asks for grants: only the cases that want that")
    p.add_argument("--kept", action="store_true", help="the applications are there")
    p.add_argument("--keep", action="store_true", help="leave them there")
    p.add_argument("case", nargs="*", help="only these")
    o = p.parse_args()
    if o.definitions:
        print(json.dumps({"apiVersion": "v1", "kind": "List", "items": DEFINITIONS}))
        return 0
    cluster = Cluster(o)
    every = [Case(path) for path in sorted(glob.glob(f"{o.cases}/*.yaml"))]
    for case in [c for c in every if c.is_of_connections()]:
        print(f"{case.name}: not played: connections by no request are tests/netns/tcp_routes_test's")
        every.remove(case)
    cases = [c for c in every if c.wants_grants == o.grants and (not o.case or c.name in o.case)]
    assert cases
    clients = sorted({"mesh", *(r.client for c in every for r in c.requests), *(x["metadata"]["namespace"] for c in every for x in c.routes + c.others)})
    if not o.kept:
        set_up(cluster, clients, sorted({r.path for c in every for r in c.requests if r.is_grpc}))
    failed = 0
    for case in cases:
        try:
            cluster.play(case)
        except AssertionError as e:
            print(f"FAILED: {e}", flush=True)
            failed += 1
            cluster.clear(case)
    if not o.keep:
        cluster.kubectl("delete", "namespace", *clients)
        cluster.kubectl("delete", "crd", *(d["metadata"]["name"] for d in DEFINITIONS))
    print(f"{len(cases)} cases, {sum(len(c.requests) for c in cases)} requests, {failed} cases failed")
    return 1 if failed else 0


def set_up(cluster, clients, paths):
    o = cluster.o
    cluster.apply(DEFINITIONS)
    for d in DEFINITIONS:
        cluster.kubectl("wait", "--for=condition=Established", f"crd/{d['metadata']['name']}", "--timeout=60s")
    cluster.apply([namespace(ns) for ns in clients])
    cluster.apply([service("echo", {"app": "echo"}), service("echo-v1", {"app": "echo", "version": "v1"}), service("echo-v2", {"app": "echo", "version": "v2"}),
                   echo(o.image, "v1", paths), echo(o.image, "v2", paths)] + [client(o.image, ns) for ns in clients])
    for version in ("v1", "v2"):
        cluster.kubectl("rollout", "status", "-n", "mesh", f"deploy/echo-{version}", "--timeout=120s")
    for ns in clients:
        cluster.kubectl("wait", "-n", ns, "--for=condition=Ready", "pod/client", "--timeout=120s")


if __name__ == "__main__":
    sys.exit(main())

#!/usr/bin/python3
# timeout: 120
# builds: dev
"""weirctl against a cluster: a healthy one, and broken ones, each of which must be named with its remedy.

   weirctl --- HTTPS ---> this test (kube_api.py), as the API server and as what is behind its pods' proxy
                             |
                          weir-controller, a real one: its admin endpoint
"""
import copy
import json
import os
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from kube_test import BUILD, DEADLINE_S, Bench, Controller  # noqa: E402

SYSTEM, NODES = "weir-system", ("node-a", "node-b")
TYPES = {"type.googleapis.com/istio.workload.Address": {"wildcard": True, "names": 0, "synced": True},
         "type.googleapis.com/istio.security.Authorization": {"wildcard": True, "names": 0, "synced": True}}


def program(bench, role, node, ready=True, **status):
    name = f"weir-{role}-{node[-1]}"
    conditions = [{"type": "Ready", "status": "True" if ready else "False"}]
    bench.api.put("pods", name, SYSTEM, metadata={"labels": {"app.kubernetes.io/name": f"weir-{role}"}},
                  spec={"nodeName": node, "hostNetwork": True, "containers": [{"name": role}]},
                  status={"phase": "Running", "podIP": "192.168.0.1", "conditions": conditions, **status})
    return name


class Cluster:
    """Two nodes, one controller that is real, and the rest as it would answer."""

    def __init__(self, bench, controller):
        self.bench, self.controller = bench, controller
        self.synced, self.ca, self.captured, self.clients = True, 1, {"node-a": 2, "node-b": 1}, list(NODES)
        for node in NODES:
            self.proxy(program(bench, "nodeproxy", node), node)
            program(bench, "cni", node)
        program(bench, "ca", "node-a")
        at = f"/api/v1/namespaces/{SYSTEM}/pods/{program(bench, 'controller', 'node-b')}:15014/proxy"
        self.at = at
        for path in ("/metrics", "/debug/errors", "/workloads", "/services", "/policies"):
            bench.api.answers[at + path] = lambda path=path: controller.get(path)
        for path in ("/config_dump", "/clients"):
            bench.api.answers[at + path] = lambda path=path: self.dump(path)
        bench.api.answers["/version"] = 200, json.dumps({"major": "1", "minor": "31+", "gitVersion": "v1.31.4"})

    def proxy(self, name, node):
        def metrics():
            return 200, (f'istio_build{{component="weir-nodeproxy",tag="0.1.0"}} 1\nweir_ca_connected {self.ca}\n'
                         f"workload_manager_active_proxy_count {self.captured[node]}\n")
        self.bench.api.answers[f"/api/v1/namespaces/{SYSTEM}/pods/{name}:15020/proxy/metrics"] = metrics

    def dump(self, path):
        code, text = self.controller.get(path)
        dump = json.loads(text)
        for node in self.clients:
            types = copy.deepcopy(TYPES)
            for of in types.values():
                of["synced"] = self.synced
            dump["clients"].append({"node": f"ztunnel~127.0.0.1~weir-nodeproxy-{node}.{SYSTEM}~{SYSTEM}.svc.cluster.local",
                                    "identity": "spiffe://cluster.local/ns/weir-system/sa/weir-nodeproxy", "unacknowledged": 0,
                                    "connectedMs": 1000, "types": types})
        return code, json.dumps(dump)


class Operator:
    def __init__(self, bench):
        self.config = bench.kubeconfig("operator", user={"token": "operator"})

    def run(self, *arguments, program="weirctl", code=0, **environment):
        done = subprocess.run([f"{BUILD}/{program}", *arguments], capture_output=True, text=True, timeout=DEADLINE_S,
                              env={**os.environ, "KUBECONFIG": self.config, **environment}, check=False)
        assert done.returncode == code, f"{arguments}: {done.returncode}\n{done.stdout}{done.stderr}"
        return done.stdout + done.stderr

    def check(self, code, *arguments):
        """What is not in order: {(level, subject): (text, remedy)}."""
        found = json.loads(self.run("check", "-o", "json", *arguments, code=code))
        assert all(line["remedy"] for line in found["lines"] if line["level"] != "ok"), found
        return {(line["level"], line["subject"]): (line["text"], line["remedy"]) for line in found["lines"] if line["level"] != "ok"}


HEALTHY = """\
ok    api server      v1.31.4 at {server}
ok    kernel          Linux 6.1 or newer on 2 of 2 nodes
ok    controller      1 of 1 ready
ok    leader          one of the controllers leads
ok    ca              1 of 1 ready
ok    node proxies    2 of 2 ready
ok    cni             2 of 2 ready
ok    sync            2 of 2 proxies have acknowledged all
ok    certificates    2 of 2 proxies reach the CA
ok    capture         3 enrolled pods, all captured
ok    configuration   no object is refused
ok    versions        all programs are 0.1.0
0 failed, 0 warnings, 12 in order
"""


def healthy(bench, cluster, operator):
    server = f"https://127.0.0.1:{bench.api.port}"
    assert cluster
    assert operator.run("check") == HEALTHY.format(server=server), operator.run("check")
    title, *status = operator.run("status").splitlines()
    assert title.split() == ["NODE", "PROXY", "READY", "CONTROLLER", "WORKLOADS", "POLICIES", "UNACKED", "CAPTURED", "REFUSED"], title
    node_a = [line.split() for line in status if line.startswith("node-a ")]
    assert node_a == [["node-a", "weir-nodeproxy-a", "yes", "weir-controller-b", "synced", "synced", "0", "2", "-"]], status
    rows = json.loads(operator.run("status", "-o", "json"))
    assert [r["node"] for r in rows] == list(NODES) and rows[1]["captured"] == "1", rows


def large_mesh(bench, cluster, operator):
    """Everything at once is too much: nobody asks for it but who wants to have it."""
    whole = bench.api.answers.pop(cluster.at + "/config_dump")
    assert not operator.check(0), operator.run("check")
    assert "node-a" in operator.run("status") and "NAMESPACE" in operator.run("workloads")
    assert "no controller" in operator.run("dump", code=1)
    bench.api.answers[cluster.at + "/config_dump"] = whole


def older_controller(bench, cluster, operator):
    """It knows no path but the one for everything."""
    clients = bench.api.answers.pop(cluster.at + "/clients")
    assert not operator.check(0), operator.run("check")
    assert "3 enrolled pods" in operator.run("check")
    bench.api.answers[cluster.at + "/clients"] = clients


def forbidden_io_uring(bench, cluster, operator):
    said = "error ring: Operation not permitted: io_uring_setup was refused: most likely by the seccomp profile"
    program(bench, "nodeproxy", "node-b", ready=False, containerStatuses=[
        {"state": {"waiting": {"reason": "CrashLoopBackOff"}}, "lastState": {"terminated": {"exitCode": 1, "message": said}}}])
    found = operator.check(1)
    text, remedy = found.pop(("FAIL", "node proxies"))
    assert said in text and "weir-nodeproxy-b on node-b" in text and "Localhost profile" in remedy, (text, remedy)
    program(bench, "nodeproxy", "node-b")
    assert not found, found


def node_without_proxy(bench, cluster, operator):
    bench.api.put("nodes", "node-c", spec={"taints": [{"key": "dedicated", "effect": "NoSchedule"}]},
                  status={"nodeInfo": {"kernelVersion": "6.1.0", "operatingSystem": "linux"}})
    found = operator.check(1)
    for subject in ("node proxies", "cni"):
        text, remedy = found.pop(("FAIL", subject))
        assert text.startswith("node node-c has none") and "taints" in remedy and "tolerations" in remedy, (text, remedy)
    bench.api.remove("nodes", "node-c")
    assert not found, found


def proxy_cut_off(bench, cluster, operator):
    cluster.clients = ["node-a"]
    found = operator.check(1)
    text, remedy = found.pop(("FAIL", "sync"))
    assert "node node-b is connected to no controller" in text and "15012" in remedy and "NetworkPolicy" in remedy, (text, remedy)
    assert "NONE" in operator.run("status")
    cluster.clients, cluster.synced = list(NODES), False
    assert not found, found
    found = operator.check(0)
    assert "not acknowledged" in found.pop(("WARN" if ("WARN", "sync") in found else "warn", "sync"))[0]
    cluster.synced = True
    assert not found, found


def ca_away(bench, cluster, operator):
    cluster.ca = 0
    program(bench, "ca", "node-a", ready=False, containerStatuses=[{"state": {"waiting": {"reason": "ImagePullBackOff"}}}])
    found = operator.check(1)
    text, remedy = found.pop(("FAIL", "certificates"))
    assert "can't reach the CA" in text and "15013" in remedy, (text, remedy)
    text, remedy = found.pop(("FAIL", "ca"))
    assert "ImagePullBackOff" in text and "imagePullSecrets" in remedy, (text, remedy)
    cluster.ca = 1
    program(bench, "ca", "node-a")
    assert not found, found


def refused_policy(bench, cluster, operator):
    bench.api.put("authorizationpolicies", "typo", "shop", spec={"action": "ALOW"})
    bench.api.put("authorizationpolicies", "http", "shop", spec={"action": "DENY", "rules": [{"to": [{"operation": {"paths": ["/"]}}]}]})
    cluster.controller.wait_log("AuthorizationPolicy shop/typo: spec.action")
    cluster.controller.wait_log("AuthorizationPolicy shop/http: spec.rules")
    found = operator.check(1)
    text, remedy = found.pop(("FAIL", "configuration"))
    assert text.startswith("AuthorizationPolicy shop/typo: spec.action: 'ALOW' is not one of") and "last good state" in remedy
    text, _ = found.pop(("warn", "configuration"))
    assert text.startswith("AuthorizationPolicy shop/http: spec.rules[0]: paths"), text
    assert not found, found
    problems = operator.run("problems")
    assert "AuthorizationPolicy shop/typo" in problems and "AuthorizationPolicy shop/http" in problems, problems
    for name in ("typo", "http"):
        bench.api.remove("authorizationpolicies", name, "shop")
    cluster.controller.wait_log("no longer: .*shop/http")


def old_kernel(bench, cluster, operator):
    bench.api.put("nodes", "node-b", status={"nodeInfo": {"kernelVersion": "5.15.0-91-generic", "operatingSystem": "linux"}})
    for before in ((), ("--before",)):
        found = operator.check(1, *before)
        text, remedy = found.pop(("FAIL", "kernel"))
        assert text == "node node-b runs Linux 5.15.0-91-generic: its io_uring is too old" and "6.1" in remedy, (text, remedy)
    bench.api.put("nodes", "node-b", status={"nodeInfo": {"kernelVersion": "6.8.0", "operatingSystem": "linux"}})


def not_captured(bench, cluster, operator):
    cluster.captured["node-a"] = 0
    found = operator.check(1)
    text, remedy = found.pop(("FAIL", "capture"))
    assert text == "node node-a has 2 enrolled pods, and 0 of them captured" and "weir-cni" in remedy, (text, remedy)
    cluster.captured["node-a"] = 2
    assert not found, found


def no_rights_and_no_server(bench, cluster, operator):
    bench.api.fault("list", "nodes", lambda handler, query: handler.answer(403, {
        "kind": "Status", "code": 403, "message": "nodes is forbidden: User operator cannot list"}) or True)
    text, _ = operator.check(1)["FAIL", "api server"]
    assert "nodes is forbidden" in text, text
    bench.kubeconfig("gone", server="https://127.0.0.1:1")
    done = operator.run("check", "--kubeconfig", f"{bench.folder}/gone", code=1)
    assert "FAIL  api server" in done and "-> look at --kubeconfig" in done, done
    bench.kubeconfig("exec", {"exec": {"command": "aws"}})
    done = operator.run("status", "--kubeconfig", f"{bench.folder}/exec", code=1)
    assert "kubectl proxy" in done, done


def before_an_installation(bench, cluster, operator):
    bench.api.put("namespaces", "mine", metadata={"labels": {"istio-injection": "enabled"}})
    found = operator.check(0, "--before", "--weir-namespace", "elsewhere")
    assert set(found) == {("warn", "other meshes"), ("warn", "enrolled")}, found
    bench.api.remove("namespaces", "mine")


def explained(bench, cluster, operator):
    bench.api.put("authorizationpolicies", "no-web", "bank", spec={
        "action": "DENY", "rules": [{"from": [{"source": {"principals": ["cluster.local/ns/shop/sa/web"]}}]}]})
    cluster.controller.until("the policy", lambda: cluster.controller.dump()["policies"])
    said = operator.run("explain", "shop/web", "bank/api:80")
    assert "Service bank/api port 80" in said and "refused by AuthorizationPolicy bank/no-web" in said and "=> refused" in said, said
    said = json.loads(operator.run("explain", "shop/cart", "bank/api", "-o", "json"))
    assert said["result"] == "allowed" and said["identity"] == "spiffe://cluster.local/ns/shop/sa/cart", said
    assert "is no pod" in operator.run("explain", "shop/none", "bank/api", code=1)
    local = operator.run("explain", "shop/web", "bank/api:80", "--controller", cluster.controller.admin)
    assert "=> refused" in local, local
    bench.api.remove("authorizationpolicies", "no-web", "bank")


def views(bench, cluster, operator):
    rows = [line.split()[:2] for line in operator.run("workloads", "-n", "shop").splitlines()[1:]]
    assert rows == [["shop", "cart"], ["shop", "web"]], rows
    assert "host network: never in the mesh" in operator.run("workloads", "-n", SYSTEM)
    assert "bank" in operator.run("services") and "exec" in operator.run("certificates", code=2)
    assert len(json.loads(operator.run("dump"))["workloads"]) > 3
    assert "say what to do" in operator.run(code=2) and "plugin of kubectl" in operator.run("--help")


def enrolled(bench, cluster, operator):
    bench.api.put("namespaces", "late", metadata={"labels": {"team": "x"}})
    bench.api.put("pods", "p", "late", spec={"nodeName": "node-a"}, status={"phase": "Running", "podIP": "10.9.9.9"})
    bench.api.put("pods", "h", "late", spec={"nodeName": "node-a", "hostNetwork": True}, status={"phase": "Running", "podIP": "10.9.9.8"})
    said = operator.run("enrol", "late", program="kubectl-weir")
    assert "namespace late is enrolled: 1 pod join" in said and "1 pod use their host's network" in said, said
    assert bench.api.objects["namespaces"]["", "late"]["metadata"]["labels"] == {"team": "x", "weir.mesh/enrolled": "true"}
    cluster.controller.until("it is in the mesh", lambda: cluster.controller.pods()["late/p"]["protocol"] == "HBONE")
    assert cluster.controller.pods()["late/h"]["protocol"] == "TCP"
    operator.run("unenrol", "late")
    assert bench.api.objects["namespaces"]["", "late"]["metadata"]["labels"] == {"team": "x"}
    assert "is not enrolled" in operator.run("enrol", "kube-system", code=2)
    assert "404" in operator.run("enrol", "nowhere", code=1)
    operator.run("enrol", code=2)


def main():
    with tempfile.TemporaryDirectory(prefix="weirctl-") as folder:
        bench = Bench(folder)
        bench.api.page = 500
        api = bench.api
        with api.lock:
            api.groups["security.istio.io"] = ["v1"]
        try:
            for namespace in ("shop", "bank"):
                api.put("namespaces", namespace, metadata={"labels": {"weir.mesh/enrolled": "true"}})
            api.put("namespaces", SYSTEM)
            for node in NODES:
                api.put("nodes", node, status={"nodeInfo": {"kernelVersion": "6.8.0", "operatingSystem": "linux"}})
            for n, (name, namespace, node) in enumerate((("web", "shop", "node-a"), ("cart", "shop", "node-a"), ("api-1", "bank", "node-b"))):
                api.put("pods", name, namespace, metadata={"labels": {"app": name[:3]}}, spec={"nodeName": node, "serviceAccountName": name},
                        status={"phase": "Running", "podIP": f"10.1.0.{n + 1}", "conditions": [{"type": "Ready", "status": "True"}]})
            api.put("services", "api", "bank", spec={"clusterIP": "10.96.0.9", "selector": {"app": "api"},
                                                     "ports": [{"port": 80, "targetPort": 8080}]})
            controller = Controller(bench, "--kubeconfig", bench.kubeconfig(), "--leader-election", "on")
            controller.wait_log("controller.*ready")
            controller.wait_log("this replica leads")
            cluster, operator = Cluster(bench, controller), Operator(bench)
            for case in (healthy, large_mesh, older_controller, forbidden_io_uring, node_without_proxy, proxy_cut_off, ca_away, refused_policy, old_kernel, not_captured,
                         no_rights_and_no_server, before_an_installation, explained, views, enrolled):
                case(bench, cluster, operator)
                print(case.__name__, flush=True)
            controller.end()
            api.down()
        finally:
            bench.end()


if __name__ == "__main__":
    main()

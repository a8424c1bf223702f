#!/usr/bin/python3
# timeout: 120
# builds: asan
"""A proxyless gRPC client of another make (@grpc/grpc-js-xds) that finds its servers (@grpc/grpc-js) by weir-controller, told as the
state of the world, from Services and Pods in a folder.

   grpc_xds_peer.js --- xDS without TLS ---> weir-controller <--- manifests --- this test
        '--- calls of xds:///cart.shop.svc.cluster.local:8080 ---> servers at 127.0.0.2, .3, .4
"""
import json
import os
import re
import subprocess
import sys
import tempfile
import time
import urllib.request

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import certificates  # noqa: E402
import npm_packages  # noqa: E402
from program import DEADLINE_S, Program  # noqa: E402

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.environ.get("WEIR_BUILD", ROOT + "/build/dev")
PACKAGES = "@grpc/grpc-js@1.13.4", "@grpc/grpc-js-xds@1.13.0"
CLIENTS_DEADLINE_S = 10  # of each call
IDENTITY = "spiffe://cluster.local/ns/weir-system/sa/weir-controller"
STRANGER = "proxyless~client"
TARGET = "xds:///cart.shop.svc.cluster.local:8080"


def step(text):
    print("- " + text, flush=True)


class Peer(Program):
    """grpc_xds_peer.js, and what it says of itself to the controller."""

    def __init__(self, work, xds, **node):
        bootstrap = f"{work}/{node['id']}.json"
        with open(bootstrap, "w", encoding="utf-8") as file:
            json.dump({"xds_servers": [{"server_uri": xds, "channel_creds": [{"type": "insecure"}]}],
                       "node": {"locality": {}, "metadata": {"GENERATOR": "grpc"}, **node}}, file)
        packages = npm_packages.fetch(*PACKAGES) + "/node_modules"
        super().__init__(["node", ROOT + "/tests/interop/grpc_xds_peer.js"], "stdout", stdin=subprocess.PIPE,
                         env={**os.environ, "GRPC_XDS_BOOTSTRAP": bootstrap, "NODE_PATH": packages})

    def ask(self, *words):
        self.process.stdin.write(" ".join(map(str, words)) + "\n")
        self.process.stdin.flush()
        answer = json.loads(self.line()[0] or self.log[-1])
        assert "failed" not in answer, answer
        return answer


class Bench:
    def __init__(self, work):
        self.work = work
        self.folder = work + "/manifests"
        os.mkdir(self.folder)
        root = certificates.new_root(work + "/root")
        own = root.make([IDENTITY])
        self.apply("shop", self.service("cart"))
        self.controller = Program(
            [f"{BUILD}/weir-controller", "--source", "dir:" + self.folder, "--listen", "127.0.0.1:0", "--listen-plain", "127.0.0.1:0",
             "--admin", "127.0.0.1:0", "--certificate", own[0], "--key", own[1], "--roots", root.certificate], "stderr")
        self.admin = self.controller.line(r"admin.*listening on (\S+)")[1].strip('"')
        self.xds = self.controller.line(r"listening on (\S+), too")[1]
        self.peer = Peer(work, self.xds, id=STRANGER)
        self.port = None

    def end(self):
        self.peer.end()
        self.controller.end()

    def ask(self, *words):
        return self.peer.ask(*words)

    def serve(self, name, address):
        self.port = self.ask("serve", name, f"{address}:{self.port or 0}")["port"]

    def calls(self, n=8, target=TARGET, header="", peer=None):
        return (peer or self.peer).ask("call", target, n, header)

    def calls_until(self, what, good, n=8, target=TARGET, header="", peer=None):
        """What is told takes a moment to arrive."""
        end = time.monotonic() + DEADLINE_S
        while True:
            result = self.calls(n, target, header, peer)
            if good(result):
                return result
            assert time.monotonic() < end, f"{what}: {result}"

    # ---- manifests ----

    def apply(self, name, *documents):
        path = f"{self.folder}/{name}.yaml"
        with open(path + ".new", "w", encoding="utf-8") as file:
            file.write("\n---\n".join(json.dumps(document) for document in documents))
        os.rename(path + ".new", path)

    def drop(self, name):
        os.unlink(f"{self.folder}/{name}.yaml")

    def service(self, name, port=8080, target="grpc", app="cart", **more):
        return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name, "namespace": "shop"},
                "spec": {"clusterIP": "10.96.0.1", "selector": {"app": app}, **more,
                         "ports": [{"name": "grpc", "port": port, "targetPort": target, "appProtocol": "grpc"}]}}

    def pod(self, name, address, ready=True, app="cart", node="node-a", **labels):
        self.apply(name, {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "namespace": "shop", "labels": {"app": app, **labels}},
                          "spec": {"nodeName": node, "containers": [{"name": "cart", "ports": [
                              {"name": "grpc", "containerPort": self.port}]}]},
                          "status": {"phase": "Running", "podIP": address, "conditions": [
                              {"type": "Ready", "status": "True" if ready else "False"}]}})

    def status(self):
        return json.loads(subprocess.run([BUILD + "/weirctl", "--controller", self.admin, "-o", "json", "status"], check=True,
                                         stdout=subprocess.PIPE, text=True).stdout)

    def metric(self, name, kind):
        with urllib.request.urlopen(f"http://{self.admin}/metrics", timeout=DEADLINE_S) as response:
            text = response.read().decode()
        values = re.findall(rf'^{name}{{[^}}]*"{kind}"[^}}]*}} (\d+)', text, re.M)
        assert values, f"no {name} of {kind} in {text}"
        return int(values[0])


def only(*names):
    return lambda result: set(result["answers"]) == set(names) and not result["errors"]


def test_calls_arrive(bench):
    step("calls arrive, at each of the endpoints")
    bench.serve("one", "127.0.0.2")
    bench.serve("two", "127.0.0.3")
    bench.serve("three", "127.0.0.4")
    bench.pod("one", "127.0.0.2")
    bench.pod("two", "127.0.0.3")
    # Round robin, once both are connected.
    bench.calls_until("both answer in turns", lambda r: only("one", "two")(r) and min(r["answers"].values()) >= 3)


def test_endpoints_are_followed(bench):
    step("endpoints that come, go and are not ready are followed, and no call fails meanwhile")
    bench.pod("three", "127.0.0.4")
    failed = []

    def collect(good):
        def look(result):
            failed.append(result["errors"])
            return good(result)
        return look

    bench.calls_until("the third answers", collect(only("one", "two", "three")), 9)
    bench.pod("one", "127.0.0.2", ready=False)
    bench.calls_until("the first is left out", collect(only("two", "three")))
    bench.drop("two")
    bench.calls_until("the second is gone", collect(only("three")))
    assert not any(failed), failed


def test_nobody_serves(bench):
    step("without endpoints calls fail at once, and work again when there are some")
    bench.drop("three")
    bench.calls_until("all fail", lambda r: not r["answers"] and all("UNAVAILABLE" in e for e in r["errors"]), 2)
    bench.pod("one", "127.0.0.2")
    bench.calls_until("the first answers", only("one"), 2)


def test_routes(bench):
    step("a GRPCRoute splits calls by weight and takes those with a header apart; a rule that can't be honoured refuses its own")
    cart, blue, green = ({"name": name, "port": 8080} for name in ("cart", "blue", "green"))
    bench.apply("split", bench.service("blue", app="blue"), bench.service("green", app="green"))
    bench.pod("two", "127.0.0.3", app="blue")
    bench.pod("three", "127.0.0.4", app="green")
    bench.apply("route", {"apiVersion": "gateway.networking.k8s.io/v1", "kind": "GRPCRoute",
                          "metadata": {"name": "split", "namespace": "shop"},
                          "spec": {"parentRefs": [{"group": "", "kind": "Service", **cart}], "rules": [
                              {"matches": [{"headers": [{"name": "x-user", "value": "joe"}]}], "backendRefs": [cart]},
                              {"matches": [{"headers": [{"name": "x-user", "value": "jane"}]}], "backendRefs": [cart],
                               "filters": [{"type": "ExtensionRef", "extensionRef": {"group": "g", "kind": "K", "name": "n"}}]},
                              {"backendRefs": [{**blue, "weight": 3}, {**green, "weight": 1}]}]}})
    bench.calls_until("the split", only("two", "three"), 40)
    blues = 0
    for _ in range(8):
        result = bench.ask("many", TARGET, 1000)
        assert not result["errors"], result
        blues += result["answers"]["two"]
    assert 0.73 < blues / 8000 < 0.77, blues  # 4 times what chance does
    assert only("one")(bench.calls(8, header="x-user=joe"))
    assert only("two", "three")(bench.calls(40, header="x-user=john"))
    result = bench.calls(2, header="x-user=jane")
    assert not result["answers"] and all(e.startswith("UNAVAILABLE") for e in result["errors"]), result
    bench.drop("route")
    bench.calls_until("the Service itself", only("one"))
    for name in ("split", "two", "three"):
        bench.drop(name)


def test_traffic_rules(bench):
    step("a VirtualService splits calls over the subsets of a DestinationRule; a subset that nobody defines fails alone")
    bench.pod("one", "127.0.0.2", version="a")
    bench.pod("two", "127.0.0.3", version="b")
    bench.calls_until("both answer", only("one", "two"))

    def to(subset, **more):
        return {"destination": {"host": "cart", "subset": subset}, **more}

    def by(user):
        return [{"headers": {"x-user": {"exact": user}}}]

    bench.apply("rule", {"apiVersion": "networking.istio.io/v1", "kind": "DestinationRule",
                         "metadata": {"name": "cart", "namespace": "shop"},
                         "spec": {"host": "cart", "trafficPolicy": {"loadBalancer": {"simple": "ROUND_ROBIN"}},
                                  "subsets": [{"name": version, "labels": {"version": version}} for version in ("a", "b")]}})
    bench.apply("virtual", {"apiVersion": "networking.istio.io/v1", "kind": "VirtualService",
                            "metadata": {"name": "cart", "namespace": "shop"},
                            "spec": {"hosts": ["cart"], "http": [{"match": by("joe"), "route": [to("a")]},
                                                                 {"match": by("jane"), "route": [to("none")]},
                                                                 {"route": [to("a", weight=25), to("b", weight=75)]}]}})
    bench.calls_until("joe's subset", only("one"), 8, header="x-user=joe")
    result = bench.calls(800)
    assert not result["errors"] and 0.7 < result["answers"]["two"] / 800 < 0.8, result
    result = bench.calls(2, header="x-user=jane")
    assert not result["answers"] and all(e.startswith("UNAVAILABLE") for e in result["errors"]), result
    bench.drop("virtual")
    bench.calls_until("the Service itself, in turns", lambda r: only("one", "two")(r) and r["answers"]["two"] == 4)
    bench.drop("rule")
    bench.drop("two")
    bench.pod("one", "127.0.0.2")
    bench.calls_until("as before", only("one"))


def virtual_service(**http):
    return {"apiVersion": "networking.istio.io/v1", "kind": "VirtualService", "metadata": {"name": "cart", "namespace": "shop"},
            "spec": {"hosts": ["cart"], "http": [{"route": [{"destination": {"host": "cart"}}], **http}]}}


def test_deadlines(bench):
    step("a route's timeout is the calls' deadline, though their client would wait longer")
    bench.apply("virtual", virtual_service(timeout="0.2s"))
    end = time.monotonic() + DEADLINE_S
    while True:
        began = time.monotonic()
        result = bench.calls(1, header="x-do=hang")
        assert not result["answers"] and all(e.startswith("DEADLINE_EXCEEDED") for e in result["errors"]), result
        if time.monotonic() - began < CLIENTS_DEADLINE_S / 2:
            break
        assert time.monotonic() < end, "it waits for as long as its client would"
    bench.drop("virtual")


def test_retries(bench):
    step("a route's retries are the client's")
    def once(result):
        return not result["answers"] and list(result["errors"]) == ["UNAVAILABLE: not yet"]

    bench.calls_until("no VirtualService any more, whose default is to try again", once, 2, header="x-do=again")
    bench.apply("virtual", virtual_service(retries={"attempts": 3, "retryOn": "unavailable"}))
    bench.calls_until("each is tried again", only("one"), 4, header="x-do=again")
    bench.drop("virtual")
    bench.calls_until("no more", once, 2, header="x-do=again")


def test_a_namespace_of_its_own(bench):
    step("a client is told the routes of its own namespace where there are some, and others not")
    bank = Peer(bench.work, bench.xds, id="sidecar~127.0.0.9~client.bank~bank.svc.cluster.local")
    bench.apply("blue", bench.service("blue", app="blue"))
    bench.pod("two", "127.0.0.3", app="blue")
    bench.calls_until("as everybody", only("one"), peer=bank)
    bench.apply("route", {"apiVersion": "gateway.networking.k8s.io/v1", "kind": "GRPCRoute",
                          "metadata": {"name": "own", "namespace": "bank"},
                          "spec": {"parentRefs": [{"group": "", "kind": "Service", "name": "cart", "namespace": "shop"}],
                                   "rules": [{"backendRefs": [{"name": "blue", "namespace": "shop", "port": 8080}]}]}})
    bench.calls_until("its own route", only("two"), peer=bank)
    assert only("one")(bench.calls())
    bench.drop("route")
    bench.calls_until("as everybody again", only("one"), peer=bank)
    bank.end()
    for name in ("blue", "two"):
        bench.drop(name)


def test_failover(bench):
    step("endpoints near the client come first, others when none of these can be reached, and the near ones again")
    def node(name, region):
        return {"apiVersion": "v1", "kind": "Node", "metadata": {"name": name, "labels": {
            "topology.kubernetes.io/region": region, "topology.kubernetes.io/zone": region + "-1"}}}

    bench.apply("nodes", node("node-a", "north"), node("node-b", "south"))
    bench.apply("shop", bench.service("cart", trafficDistribution="PreferClose"))
    bench.pod("two", "127.0.0.3", node="node-b")
    south = Peer(bench.work, bench.xds, id="sidecar~127.0.0.9~south.shop~d", locality={"region": "south", "zone": "south-1"})
    bench.calls_until("what is near", only("two"), peer=south)
    bench.calls_until("who is nowhere calls all", only("one", "two"))
    assert only("two")(bench.calls(peer=south))
    bench.ask("stop", "two")
    bench.calls_until("what is far", only("one"), peer=south)
    bench.serve("two", "127.0.0.3")
    bench.calls_until("what is near again", only("two"), peer=south)
    south.end()
    bench.apply("shop", bench.service("cart"))
    for name in ("nodes", "two"):
        bench.drop(name)
    bench.calls_until("as before", only("one"))


def test_a_service_goes_and_comes(bench):
    step("a Service that goes takes its listener with it; another one can be called at once")
    bench.apply("other", bench.service("other", 9090))
    bench.calls_until("another Service", only("one"), 1, "xds:///other.shop.svc.cluster.local:9090")
    bench.apply("shop", bench.service("elsewhere"))
    bench.calls_until("no listener any more", lambda r: not r["answers"], 1)
    assert bench.calls(1, "xds:///other.shop.svc.cluster.local:9090")["answers"] == {"one": 1}
    # A listener that comes back as it was is none of this client's news: only who asks anew hears of it.
    bench.ask("close", TARGET)
    bench.apply("shop", bench.service("cart"))
    bench.calls_until("the Service is back", only("one"), 2)


def test_what_was_told(bench):
    step("nothing was refused, and of workloads no word was said")
    for kind in ("listener", "routes", "cluster", "endpoints"):
        assert bench.metric("weir_controller_xds_pushes_total", kind) > 0, kind
        assert bench.metric("weir_controller_xds_nacks_total", kind) == 0, kind
    assert bench.metric("weir_controller_xds_pushes_total", "address") == 0


def rule(balancer):
    return {"apiVersion": "networking.istio.io/v1", "kind": "DestinationRule", "metadata": {"name": "cart", "namespace": "shop"},
            "spec": {"host": "cart", "trafficPolicy": {"loadBalancer": balancer}}}


def test_a_cluster_that_is_refused(bench):
    step("a cluster that the client refuses is told with its words, and what it had before goes on")
    bench.apply("rule", rule({"simple": "RANDOM"}))  # no gRPC client has it, and none is bothered with it
    pushes = bench.metric("weir_controller_xds_pushes_total", "cluster")
    bench.apply("rule", rule({"consistentHash": {"httpHeaderName": "x-user", "maglev": {}}}))
    bench.controller.line(STRANGER + r".*refuses a part of .*Cluster.*MAGLEV")
    assert bench.metric("weir_controller_xds_pushes_total", "cluster") > pushes
    assert bench.metric("weir_controller_xds_nacks_total", "cluster") == 1
    status = bench.status()
    assert len(status) == 1 and status[0]["proxy"] == STRANGER, status
    assert re.search("^cluster: .*MAGLEV", status[0]["refused"]), status
    bench.calls_until("the last good one", only("one"))
    bench.pod("two", "127.0.0.3")
    bench.calls_until("its endpoints are followed", lambda r: only("one", "two")(r) and r["answers"]["two"] == 4)
    bench.apply("rule", rule({"consistentHash": {"httpHeaderName": "x-user"}}))
    bench.calls_until("a ring instead: a user's calls go to one", lambda r: not r["errors"] and len(r["answers"]) == 1, 16,
                      header="x-user=joe")
    assert bench.status()[0]["refused"] == "-", bench.status()
    assert bench.metric("weir_controller_xds_nacks_total", "cluster") == 1


def main():
    if not npm_packages.can_fetch():
        print("skipped: the client comes by npm, which is not installed")
        sys.exit(77)
    with tempfile.TemporaryDirectory(prefix="weir-interop-") as work:
        bench = Bench(work)
        try:
            for name, test in list(globals().items()):
                if name.startswith("test_"):
                    test(bench)
        except BaseException:
            print("".join(bench.controller.log[-12:]))
            raise
        finally:
            bench.end()
    print("all of it holds")


main()

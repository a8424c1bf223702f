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
import queue
import re
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import certificates  # noqa: E402
import npm_packages  # noqa: E402

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.environ.get("WEIR_BUILD", ROOT + "/build/dev")
PACKAGES = "@grpc/grpc-js@1.13.4", "@grpc/grpc-js-xds@1.13.0"
DEADLINE_S = 30
IDENTITY = "spiffe://cluster.local/ns/weir-system/sa/weir-controller"
TARGET = "xds:///cart.shop.svc.cluster.local:8080"


def step(text):
    print("- " + text, flush=True)


class Program:
    """A process, and its lines of one of its outputs."""

    def __init__(self, arguments, stream, **more):
        self.process = subprocess.Popen(arguments, text=True, **{stream: subprocess.PIPE}, **more)
        self.lines, self.log = queue.Queue(), []
        threading.Thread(target=self.read, args=(getattr(self.process, stream),), daemon=True).start()

    def read(self, stream):
        for line in stream:
            self.lines.put(line)
        self.lines.put(None)

    def line(self, pattern=""):
        """Waits for a line with this, and returns the match."""
        end = time.monotonic() + DEADLINE_S
        while True:
            line = self.lines.get(timeout=max(0.001, end - time.monotonic()))
            assert line is not None, f"it ended: {self.log[-10:]}"
            self.log.append(line)
            match = re.search(pattern, line)
            if match:
                return match

    def end(self):
        self.process.terminate()
        assert self.process.wait(DEADLINE_S) in (0, -15), self.process.returncode


class Bench:
    def __init__(self, work):
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
        bootstrap = work + "/bootstrap.json"
        with open(bootstrap, "w", encoding="utf-8") as file:
            json.dump({"xds_servers": [{"server_uri": self.xds, "channel_creds": [{"type": "insecure"}]}],
                       "node": {"id": "proxyless~client", "locality": {}, "metadata": {"GENERATOR": "grpc"}}}, file)
        packages = npm_packages.fetch(*PACKAGES) + "/node_modules"
        self.peer = Program(["node", ROOT + "/tests/interop/grpc_xds_peer.js"], "stdout", stdin=subprocess.PIPE,
                            env={**os.environ, "GRPC_XDS_BOOTSTRAP": bootstrap, "NODE_PATH": packages})
        self.port = None

    def end(self):
        self.peer.end()
        self.controller.end()

    def ask(self, *words):
        self.peer.process.stdin.write(" ".join(map(str, words)) + "\n")
        self.peer.process.stdin.flush()
        answer = json.loads(self.peer.line()[0] or self.peer.log[-1])
        assert "failed" not in answer, answer
        return answer

    def serve(self, name, address):
        self.port = self.ask("serve", name, f"{address}:{self.port or 0}")["port"]

    def calls(self, n=8, target=TARGET, header=""):
        return self.ask("call", target, n, header)

    def calls_until(self, what, good, n=8, target=TARGET, header=""):
        """What is told takes a moment to arrive."""
        end = time.monotonic() + DEADLINE_S
        while True:
            result = self.calls(n, target, header)
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

    def service(self, name, port=8080, target="grpc", app="cart"):
        return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name, "namespace": "shop"},
                "spec": {"clusterIP": "10.96.0.1", "selector": {"app": app},
                         "ports": [{"name": "grpc", "port": port, "targetPort": target, "appProtocol": "grpc"}]}}

    def pod(self, name, address, ready=True, app="cart", **labels):
        self.apply(name, {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "namespace": "shop", "labels": {"app": app, **labels}},
                          "spec": {"nodeName": "node-a", "containers": [{"name": "cart", "ports": [
                              {"name": "grpc", "containerPort": self.port}]}]},
                          "status": {"phase": "Running", "podIP": address, "conditions": [
                              {"type": "Ready", "status": "True" if ready else "False"}]}})

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
    result = bench.calls(800)
    assert not result["errors"] and 0.7 < result["answers"]["two"] / 800 < 0.8, result
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

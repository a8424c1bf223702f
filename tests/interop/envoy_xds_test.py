#!/usr/bin/python3
# timeout: 120
# builds: asan
"""A sidecar Envoy's start, without the Envoy: what weir-controller tells it by either dialect is decoded by Envoy's own .proto files (of
npm's @grpc/grpc-js-xds), each field is held against its rule (protoc-gen-validate), each name that something leads to is there.

   envoy_peer.js --- ADS over mTLS, as shop/front-0's Envoy ---> weir-controller --sidecars <--- manifests --- this test
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
import certificates  # noqa: E402
import npm_packages  # noqa: E402
from program import Program  # noqa: E402

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.environ.get("WEIR_BUILD", ROOT + "/build/dev")
PACKAGES = "@grpc/grpc-js@1.13.4", "@grpc/grpc-js-xds@1.13.0"  # protobufjs comes with them
DOMAIN = ".shop.svc.cluster.local"


def step(text):
    print("- " + text, flush=True)


class Envoy:
    """One of those that the peer plays."""

    def __init__(self, bench, dialect, account="front", pod="front-0", namespace="shop"):
        self.peer, self.key = bench.peer, f"{dialect}-{len(bench.peer.log)}"
        self.peer.say("ask", self.key, dialect, bench.xds, bench.identity(namespace, account),
                      f"sidecar~10.0.0.1~{pod}.{namespace}~{namespace}.svc.cluster.local")

    def told(self, good=lambda has: True):
        """What it has once all is there that it asks for, and this is so."""
        def look(said):
            assert "status" not in said, said
            assert not said["refusals"], said["refusals"]
            if said["missing"] or said["wrong"]:
                return None
            return said["has"] if said["has"]["listener"] and good(said["has"]) else None
        return self.peer.hear(self.key, look)

    def refused(self):
        return self.peer.hear(self.key, lambda said: said if "status" in said else None)

    def end(self):
        self.peer.say("close", self.key)
        assert self.refused()["status"] == "CANCELLED"


class Peer(Program):
    def __init__(self):
        super().__init__(["node", ROOT + "/tests/interop/envoy_peer.js"], "stdout", stdin=subprocess.PIPE,
                         env={**os.environ, "NODE_PATH": npm_packages.fetch(*PACKAGES) + "/node_modules", "NODE_NO_WARNINGS": "1"})

    def say(self, *words):
        self.process.stdin.write(" ".join(words) + "\n")
        self.process.stdin.flush()

    def hear(self, key, good):
        return self.line(lambda line: good(json.loads(line[len(key) + 1:])) if line.startswith(key + " ") else None)


class Bench:
    def __init__(self, work):
        self.work, self.folder, self.identities = work, work + "/manifests", {}
        os.mkdir(self.folder)
        self.root = certificates.new_root(work + "/root")
        own = self.root.make(["spiffe://cluster.local/ns/weir-system/sa/weir-controller"])
        self.apply_all()
        self.controller = Program(
            [f"{BUILD}/weir-controller", "--source", "dir:" + self.folder, "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0",
             "--sidecars", "--certificate", own[0], "--key", own[1], "--roots", self.root.certificate], "stderr")
        self.peer = Peer()
        self.xds = self.controller.line(lambda line: re.search(r"xds.*listening on (\S+) as", line))[1].strip('"')

    def end(self):
        self.peer.end()
        self.controller.end()

    def identity(self, namespace, account):
        key = (namespace, account)
        if key not in self.identities:
            folder = f"{self.work}/{namespace}-{account}"
            os.mkdir(folder)
            made = self.root.make([f"spiffe://cluster.local/ns/{namespace}/sa/{account}"])
            for name, source in (("roots", self.root.certificate), ("chain", made[0]), ("key", made[1])):
                with open(source, encoding="ascii") as old, open(f"{folder}/{name}.pem", "w", encoding="ascii") as new:
                    new.write(old.read())
            self.identities[key] = folder
        return self.identities[key]

    # ---- manifests ----

    def apply(self, name, *documents):
        path = f"{self.folder}/{name}.yaml"
        with open(path + ".new", "w", encoding="utf-8") as file:
            file.write("\n---\n".join(json.dumps(document) for document in documents))
        os.rename(path + ".new", path)

    def drop(self, name):
        os.unlink(f"{self.folder}/{name}.yaml")

    def service(self, name, address, app, *ports):
        return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name, "namespace": "shop"},
                "spec": {"clusterIP": address, "selector": {"app": app},
                         "ports": [{"name": f"{protocol}-{port}", "port": port, "targetPort": target} for protocol, port, target in ports]}}

    def pod(self, name, address, account="default", **labels):
        return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "namespace": "shop", "labels": labels},
                "spec": {"serviceAccountName": account, "nodeName": "node-a"},
                "status": {"phase": "Running", "podIP": address, "podIPs": [{"ip": address}, {"ip": "fd00::" + address.split(".")[-1]}],
                           "conditions": [{"type": "Ready", "status": "True"}]}}

    def apply_all(self):
        sidecar = {"weir.mesh/sidecar": "envoy"}
        self.apply("shop", {"apiVersion": "v1", "kind": "Namespace",
                            "metadata": {"name": "shop", "labels": {"weir.mesh/enrolled": "true"}}},
                   self.service("front", "10.96.0.1", "front", ("http", 80, 8080), ("tcp", 9000, 9001)),
                   self.service("cart", "10.96.0.2", "cart", ("grpc", 7000, 7070), ("http2", 7001, 7071)),
                   self.service("store", "10.96.0.3", "store", ("tcp", 5432, 5432)),
                   self.pod("front-0", "10.0.0.1", "front", app="front", **sidecar),
                   self.pod("front-1", "10.0.0.2", "front", app="front", **sidecar),
                   self.pod("back-0", "10.0.0.3", "back", app="back", **sidecar),
                   self.pod("bare-0", "10.0.0.4", "bare", app="bare"),
                   self.pod("cart-0", "10.0.0.5", "cart", app="cart", version="a"),
                   self.pod("store-0", "10.0.0.6", "store", app="store"))
        # One of each of what a route and a rule may say.
        self.apply("rules", {
            "apiVersion": "networking.istio.io/v1", "kind": "DestinationRule", "metadata": {"name": "cart", "namespace": "shop"},
            "spec": {"host": "cart", "subsets": [{"name": "a", "labels": {"version": "a"}}], "trafficPolicy": {
                "loadBalancer": {"consistentHash": {"httpCookie": {"name": "who", "ttl": "60s"}}},
                "connectionPool": {"tcp": {"maxConnections": 10, "connectTimeout": "1s",
                                           "tcpKeepalive": {"time": "60s", "interval": "10s", "probes": 3}},
                                   "http": {"http1MaxPendingRequests": 5, "http2MaxRequests": 20, "maxRetries": 3}},
                "outlierDetection": {"consecutive5xxErrors": 3, "interval": "5s", "baseEjectionTime": "10s", "maxEjectionPercent": 50}}}}, {
            "apiVersion": "networking.istio.io/v1", "kind": "VirtualService", "metadata": {"name": "cart", "namespace": "shop"},
            "spec": {"hosts": ["cart"], "http": [
                {"match": [{"uri": {"regex": "/v[0-9]+/.*"}, "headers": {"x-user": {"exact": "joe"}}, "queryParams": {"q": {"exact": "1"}}}],
                 "rewrite": {"uri": "/"}, "timeout": "2s", "retries": {"attempts": 2, "perTryTimeout": "1s", "retryOn": "5xx,reset"},
                 "fault": {"delay": {"fixedDelay": "1s", "percentage": {"value": 10}}, "abort": {"httpStatus": 503, "percentage": {"value": 1}}},
                 "corsPolicy": {"allowOrigins": [{"exact": "https://a.example"}], "allowMethods": ["GET"], "maxAge": "1h"},
                 "mirror": {"host": "front", "port": {"number": 80}}, "mirrorPercentage": {"value": 50},
                 "headers": {"request": {"set": {"x-a": "b"}, "remove": ["x-c"]}, "response": {"add": {"x-d": "e"}}},
                 "route": [{"destination": {"host": "cart", "subset": "a"}, "weight": 30}, {"destination": {"host": "cart"}, "weight": 70}]},
                {"match": [{"uri": {"prefix": "/old"}}], "redirect": {"uri": "/new", "redirectCode": 302}},
                {"match": [{"uri": {"exact": "/answer"}}], "directResponse": {"status": 418, "body": {"string": "no"}}},
                {"route": [{"destination": {"host": "cart"}}]}]}}, {
            "apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute", "metadata": {"name": "front", "namespace": "shop"},
            "spec": {"parentRefs": [{"group": "", "kind": "Service", "name": "front", "port": 80}], "rules": [
                {"matches": [{"path": {"type": "PathPrefix", "value": "/api"}, "method": "GET"}], "timeouts": {"request": "3s"},
                 "filters": [{"type": "URLRewrite", "urlRewrite": {"path": {"type": "ReplacePrefixMatch", "replacePrefixMatch": "/"}}}],
                 "backendRefs": [{"name": "front", "port": 80}]}]}})


# ---- What is told --------------------------------------------------------------------------------------------------------

OWN = "sidecar|shop/front-0/front|"


def chains_of(listener):
    """Of each port: where its connections go."""
    return {chain.get("filter_chain_match", {}).get("destination_port", {}).get("value", 0): chain["filters"][-1]["typed_config"]["decoded"]
            for chain in listener["filter_chains"]}


def address_of(listener):
    at = listener["address"]["socket_address"]
    return f'{at["address"]}:{at["port_value"]}'


def check_outbound(has):
    listeners = {address_of(one): one for one in has["listener"].values()}
    assert set(listeners) == {"0.0.0.0:15001", "0.0.0.0:15006", "10.96.0.1:80", "10.96.0.1:9000", "10.96.0.2:7000", "10.96.0.2:7001",
                              "10.96.0.3:5432"}, set(listeners)
    everything = has["listener"][OWN + "virtualOutbound"]
    assert address_of(everything) == "0.0.0.0:15001" and everything["use_original_dst"]["value"], everything
    assert everything["additional_addresses"][0]["address"]["socket_address"] == {"address": "::", "port_value": 15001}, everything
    assert everything["traffic_direction"] == 2 and "bind_to_port" not in everything
    chains = chains_of(everything)
    assert chains[0]["cluster"] == "PassthroughCluster" and chains[15001]["cluster"] == "BlackHoleCluster", chains
    for at, service in listeners.items():
        if at.startswith("10."):
            assert service["bind_to_port"] == {"value": False} or service["bind_to_port"] == {}, service
            assert service["traffic_direction"] == 2 and set(chains_of(service)) == {0}, service
    web, cart, store = (chains_of(listeners[at])[0] for at in ("10.96.0.1:80", "10.96.0.2:7000", "10.96.0.3:5432"))
    assert web["rds"]["route_config_name"] == f"outbound|80||front{DOMAIN}", web
    assert cart["rds"]["route_config_name"] == f"outbound|7000||cart{DOMAIN}", cart
    assert [one["upgrade_type"] for one in web["upgrade_configs"]] == ["websocket"], web
    assert "route_config" not in web and store["cluster"] == f"outbound|5432||store{DOMAIN}", store
    assert chains_of(listeners["10.96.0.1:9000"])[0]["cluster"] == f"outbound|9000||front{DOMAIN}"


def check_inbound(has, http=(8080,)):
    listener = has["listener"][OWN + "virtualInbound"]
    assert address_of(listener) == "0.0.0.0:15006" and listener["traffic_direction"] == 1, listener
    assert [one["typed_config"]["type_url"].rsplit(".", 1)[1] for one in listener["listener_filters"]] == ["OriginalDst"]
    chains = chains_of(listener)
    assert set(chains) == {0, 15006, *http}, chains
    assert chains[0]["cluster"] == "InboundPassthroughCluster" and chains[15006]["cluster"] == "BlackHoleCluster", chains
    for port in http:
        route = chains[port]["route_config"]["virtual_hosts"][0]["routes"][0]["route"]
        assert route["cluster"] == "InboundPassthroughCluster" and "seconds" not in route["timeout"], route


def check_clusters(has):
    kinds = {name: one.get("type", 0) for name, one in has["cluster"].items()}
    assert (kinds["PassthroughCluster"], kinds["InboundPassthroughCluster"], kinds["BlackHoleCluster"]) == (4, 4, 0), kinds
    assert has["cluster"][f"outbound|7000|a|cart{DOMAIN}"]["outlier_detection"]["consecutive_5xx"]["value"] == 3
    where = has["endpoints"][f"outbound|5432||store{DOMAIN}"]["endpoints"][0]["lb_endpoints"][0]["endpoint"]["address"]
    assert where["socket_address"] == {"address": "10.0.0.6", "port_value": 5432}, where
    routes = has["routes"][f"outbound|7000||cart{DOMAIN}"]["virtual_hosts"][0]["routes"]
    assert len(routes) == 4 and "weighted_clusters" in routes[0]["route"], routes


def test_start(bench):
    for dialect in ("delta", "sotw"):
        step(f"all that an Envoy needs to start is told, and nothing that it would refuse ({dialect})")
        envoy = Envoy(bench, dialect)
        has = envoy.told(lambda has: len(has["listener"]) == 7 and len(has["routes"]) == 3)
        check_outbound(has)
        check_inbound(has)
        check_clusters(has)
        follow(bench, envoy)
        envoy.end()


def follow(bench, envoy):
    step("a Service that comes and goes is followed: its listener, and the pod's own")
    bench.apply("more", bench.service("more", "10.96.0.9", "front", ("http", 81, 8081)))
    check_inbound(envoy.told(lambda has: len(has["listener"]) == 8 and 8081 in chains_of(has["listener"][OWN + "virtualInbound"])),
                  (8080, 8081))
    bench.drop("more")
    has = envoy.told(lambda has: len(has["listener"]) == 7 and 8081 not in chains_of(has["listener"][OWN + "virtualInbound"])
                     and f"outbound|81||more{DOMAIN}" not in has["cluster"])
    check_inbound(has)


def test_who_may_ask(bench):
    step("each is told of its own listeners, and none of another identity's, nor of a pod without a sidecar")
    for dialect in ("delta", "sotw"):
        for pod, account in (("front-1", "front"), ("back-0", "back")):
            envoy = Envoy(bench, dialect, account, pod)
            has = envoy.told(lambda has: len(has["listener"]) == 7)
            own = {name for name in has["listener"] if not name.startswith("sidecar||")}
            assert own == {f"sidecar|shop/{pod}/{account}|virtual{way}" for way in ("Inbound", "Outbound")}, own
            envoy.end()
        for account, pod, namespace in (("back", "front-0", "shop"), ("front", "back-0", "shop"), ("bare", "bare-0", "shop"),
                                        ("front", "none-0", "shop"), ("front", "front-0", "bank")):
            said = Envoy(bench, dialect, account, pod, namespace).refused()
            assert said["status"] == "PERMISSION_DENIED" and "names no pod" in said["details"], said


def test_the_pod_leaves(bench):
    step("a pod whose label goes loses its listeners, and nobody may ask for it any more")
    envoy = Envoy(bench, "delta", "back", "back-0")
    envoy.told(lambda has: "sidecar|shop/back-0/back|virtualInbound" in has["listener"])
    bench.apply("shop2", bench.pod("back-0", "10.0.0.3", "back", app="back"))
    with open(f"{bench.folder}/shop.yaml", encoding="utf-8") as file:
        documents = [json.loads(text) for text in file.read().split("\n---\n")]
    bench.apply("shop", *(one for one in documents if one["metadata"]["name"] != "back-0"))
    envoy.told(lambda has: set(name.split("|")[1] for name in has["listener"]) == {""})
    envoy.end()
    assert Envoy(bench, "delta", "back", "back-0").refused()["status"] == "PERMISSION_DENIED"


def test_bootstrap(bench):
    step("the documentation's bootstrap is one; with a field that there is not, it isn't")
    with open(ROOT + "/docs/ENVOY.md", encoding="utf-8") as file:
        blocks = [yaml.safe_load(text) for text in re.findall(r"```yaml\n(.*?)```", file.read(), re.S) if "dynamic_resources" in text]
    assert len(blocks) == 1
    broken = copy.deepcopy(blocks[0])
    broken["dynamic_resources"]["ads_configs"] = broken["dynamic_resources"].pop("ads_config")
    for content, wrong in ((blocks[0], 0), (broken, 1)):
        path = f"{bench.work}/bootstrap-{wrong}.json"
        with open(path, "w", encoding="utf-8") as file:
            json.dump(content, file)
        bench.peer.say("bootstrap", f"is-{wrong}", path)
        said = bench.peer.hear(f"is-{wrong}", lambda said: said)
        assert len(said["wrong"]) == wrong, said


def main():
    if not npm_packages.can_fetch():
        print("skipped: Envoy's messages come by npm, which is not installed")
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

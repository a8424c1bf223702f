"""A mesh that changes, as an API server tells it, and one client of the controller that acknowledges all: see controller.sh.

   this program (tests/interop/kube_api.py) <--- HTTPS: lists, watches --- weir-controller <--- delta xDS --- this program
"""
import argparse
import gc
import os
import random
import re
import socket
import statistics
import struct
import sys
import tempfile
import threading
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, f"{ROOT}/tests/interop")
import kube_test  # noqa: E402
from hbone_peer import client_context, open_tunnel  # noqa: E402
from xds_messages import make_messages  # noqa: E402

ADDRESS, AUTHORIZATION = "type.googleapis.com/istio.workload.Address", "type.googleapis.com/istio.security.Authorization"
PROXY = "spiffe://cluster.local/ns/weir-system/sa/weir-nodeproxy"
PODS_A_SERVICE = 10


class Client:
    """Subscribes to all, acknowledges all, and notes when each name came."""

    def __init__(self, made, address, context):
        self.ads, self.came, self.lock, self.n, self.error = made["ads"], {}, threading.Condition(), 0, None
        self.tunnel = open_tunnel(socket.create_connection(address), context)
        self.stream = self.tunnel.request([(":method", "POST"), (":scheme", "https"), (":authority", "controller"),
                                           (":path", "/envoy.service.discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources"),
                                           ("content-type", "application/grpc"), ("te", "trailers")])
        for url in (ADDRESS, AUTHORIZATION):
            self.send(self.ads.DeltaDiscoveryRequest(type_url=url))
        threading.Thread(target=self.read, daemon=True).start()

    def send(self, request):
        data = request.SerializeToString()
        self.stream.send(struct.pack("!BI", 0, len(data)) + data)

    def read(self):
        try:
            self.follow()
        except Exception as error:  # the controller ends before us
            self.error = error

    def follow(self):
        stream = self.stream
        while True:
            self.tunnel.wait(lambda: len(stream.data) >= 5 and len(stream.data) >= 5 + struct.unpack("!I", stream.data[1:5])[0], "news")
            length = struct.unpack("!I", stream.wait_data(5)[1:])[0]
            response = self.ads.DeltaDiscoveryResponse.FromString(stream.wait_data(length))
            self.send(self.ads.DeltaDiscoveryRequest(type_url=response.type_url, response_nonce=response.nonce))
            now = time.monotonic()
            with self.lock:
                for name in [r.name for r in response.resources] + list(response.removed_resources):
                    self.came.setdefault(name, []).append(now)
                    self.n += 1
                self.lock.notify_all()

    def until(self, condition, seconds=60):
        with self.lock:
            assert self.lock.wait_for(condition, seconds), f"the client never got it ({self.error})"


class Mesh:
    """Pods with a Service for every ten, as objects of some 4 KB, and the changes that clusters make."""

    def __init__(self, bench, pods, services):
        self.api, self.n_services, self.addresses = bench.api, services, 0
        self.dice = random.Random(7)
        self.pods = [{"service": i % services, "ready": True, "ip": self.address()} for i in range(pods)]
        self.slices = [[] for _ in range(services)]
        for i, pod in enumerate(self.pods):
            self.slices[pod["service"]].append(i)
        self.ports = [80] * services
        self.expected = []  # (resource's name, when its change was told to the API server)
        with self.api.lock:
            for n in range(10):
                self.api.put("namespaces", f"team-{n}", metadata={"labels": {"weir.mesh/enrolled": "true"}})
                self.api.put("nodes", f"node-{n}")
            for i in range(pods):
                self.put_pod(i)
            for s in range(services):
                self.put_service(s)
                self.put_slice(s)

    def address(self):
        self.addresses += 1
        return f"10.{1 + self.addresses // 65536}.{self.addresses // 256 % 256}.{self.addresses % 256}"

    def put_pod(self, i):
        pod, s = self.pods[i], self.pods[i]["service"]
        self.api.put("pods", f"pod-{i}", f"team-{s % 10}",
                     metadata={"labels": {"app": f"app-{s}", "pod-template-hash": "6f7d"}, "annotations": {"filler": "x" * 3000}},
                     spec={"nodeName": f"node-{i % 10}", "serviceAccountName": f"app-{s}",
                           "containers": [{"name": "main", "image": "registry/app:1", "ports": [{"containerPort": 8080}]}]},
                     status={"phase": "Running", "podIP": pod["ip"], "podIPs": [{"ip": pod["ip"]}],
                             "conditions": [{"type": "Ready", "status": "True" if pod["ready"] else "False"}]})

    def put_service(self, s):
        self.api.put("services", f"svc-{s}", f"team-{s % 10}",
                     spec={"clusterIP": f"10.0.{s // 250}.{s % 250 + 1}", "selector": {"app": f"app-{s}"},
                           "ports": [{"port": self.ports[s], "targetPort": 8080}]})

    def put_slice(self, s):
        self.api.put("endpointslices", f"svc-{s}-abc", f"team-{s % 10}", metadata={"labels": {"kubernetes.io/service-name": f"svc-{s}"}},
                     addressType="IPv4", ports=[{"port": 8080}],
                     endpoints=[{"addresses": [self.pods[i]["ip"]], "conditions": {"ready": self.pods[i]["ready"]},
                                 "targetRef": {"kind": "Pod", "name": f"pod-{i}", "namespace": f"team-{s % 10}"}}
                                for i in self.slices[s]])

    def change(self):
        """Seven of ten: a pod's readiness (and its slice); two: a pod is replaced, with another address; one: a service's port."""
        kind, i = self.dice.randrange(10), self.dice.randrange(len(self.pods))
        s = self.pods[i]["service"]
        name = f"Kubernetes//Pod/team-{s % 10}/pod-{i}"
        with self.api.lock:
            if kind < 7:
                self.pods[i]["ready"] = not self.pods[i]["ready"]
            elif kind < 9:
                self.api.remove("pods", f"pod-{i}", f"team-{s % 10}")
                self.pods[i].update(ip=self.address(), ready=True)
            begun = time.monotonic()
            if kind < 9:
                self.put_pod(i)
                self.put_slice(s)
            else:
                self.ports[s] = 80 if self.ports[s] == 81 else 81
                name = f"team-{s % 10}/svc-{s}.team-{s % 10}.svc.cluster.local"
                self.put_service(s)
            self.expected.append((name, begun))


def cpu_s(pid):
    fields = open(f"/proc/{pid}/stat", encoding="ascii").read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def memory_mb(pid, name):
    return int(re.search(name + r":\s+(\d+) kB", open(f"/proc/{pid}/status", encoding="ascii").read())[1]) / 1024


def churn(mesh, client, rate, seconds):
    begun = time.monotonic()
    for n in range(int(rate * seconds)):
        wait = begun + n / rate - time.monotonic()
        if wait > 0:
            time.sleep(wait)
        mesh.change()
    last = mesh.expected[-1]
    client.until(lambda: any(t >= last[1] for t in client.came.get(last[0], [])))
    return time.monotonic() - begun


def latencies(mesh, client):
    """Of each change the first news of its name that came after it."""
    found = []
    for name, begun in mesh.expected:
        after = [t for t in client.came.get(name, []) if t >= begun]
        if after:
            found.append((min(after) - begun) * 1000)
    assert len(found) > 0.99 * len(mesh.expected), (len(found), len(mesh.expected))
    return sorted(found)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--pods", type=int, default=5000)
    parser.add_argument("--services", type=int, default=500)
    parser.add_argument("--rate", type=float, default=50)
    parser.add_argument("--seconds", type=float, default=60)
    o = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="weir-load-") as folder:
        bench = kube_test.Bench(folder)
        bench.api.page = 500
        bench.api.bookmark_s = 10
        try:
            mesh = Mesh(bench, o.pods, o.services)
            gc.freeze()
            gc.disable()  # its pauses would be taken for the controller's
            begun = time.monotonic()
            controller = kube_test.Controller(bench, "--kubeconfig", bench.kubeconfig())
            controller.wait_log("controller.*ready")
            ready_s, pid = time.monotonic() - begun, controller.process.pid
            start_cpu = cpu_s(pid)
            listening = controller.wait_log(r"xds.*listening on (127\.0\.0\.1):(\d+)")
            proxy = bench.root.make(uris=[PROXY])
            client = Client(make_messages(folder), (listening[1], int(listening[2])), client_context(bench.root.certificate, *proxy))
            client.until(lambda: client.n >= o.pods + o.services)
            idle_mb = memory_mb(pid, "VmRSS")
            before, wholes = cpu_s(pid), controller.metric("weir_controller_whole_translations_total")
            took = churn(mesh, client, o.rate, o.seconds)
            used = cpu_s(pid) - before
            ms = latencies(mesh, client)
            print(f"{o.pods} pods of 4 KB, {o.services} services, {o.rate:g} changes a second for {o.seconds:g} s, one client")
            print(f"ready after {ready_s:.2f} s ({start_cpu:.2f} s of CPU), resident {idle_mb:.0f} MB")
            print(f"while it changes: {100 * used / took:.1f} % of a core, {1e6 * used / len(mesh.expected):.0f} us a change, "
                  f"resident {memory_mb(pid, 'VmRSS'):.0f} MB, highest {memory_mb(pid, 'VmHWM'):.0f} MB")
            print(f"from the change to the acknowledgement: median {statistics.median(ms):.1f} ms, "
                  f"p99 {ms[int(0.99 * len(ms))]:.1f} ms, longest {ms[-1]:.1f} ms")
            print(f"whole translations: {controller.metric('weir_controller_whole_translations_total') - wholes:.0f} after the start")
            controller.end()
            bench.api.down()
        finally:
            bench.end()


if __name__ == "__main__":
    main()

#!/usr/bin/python3
"""What tests/perf/controller.sh measures on a double, on the real API server of the test cluster: many pods and Services that change all
the time, one controller, and one client of it that acknowledges all. It wants a cluster of its own, which is nothing but a control plane:

    tests/cluster/up.sh --nodes 0
    nsenter --net=/run/netns/weir-cluster-control tests/cluster/load.py [--pods N] [--services N] [--rate N] [--seconds S]
    tests/cluster/down.sh

The pods are objects alone, of nodes that are not there. Times count from before the request that changes something to its acknowledgement
by the client: the API server's own work is in them.
"""
import argparse
import os
import random
import statistics
import sys
import tempfile
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.dirname(HERE) + "/perf"]
from kube import CORE, Api, Bench  # noqa: E402
import controller_load as perf  # noqa: E402

NODES, NAMESPACES, WRITERS = 10, 10, 8


class Mesh:
    def __init__(self, api, pods, services):
        self.api, self.services, self.addresses, self.expected = api, services, 0, []
        self.dice, self.lock = random.Random(7), threading.Lock()
        self.pods = [{"service": i % services, "ip": self.address(), "ready": True} for i in range(pods)]
        self.ports = [80] * services

    def address(self):
        self.addresses += 1
        return f"10.{200 + self.addresses // 65536}.{self.addresses // 256 % 256}.{self.addresses % 256}"

    @staticmethod
    def namespace(service):
        return f"team-{service % NAMESPACES}"

    def make(self):
        for n in range(NAMESPACES):
            self.api.namespace(f"team-{n}", **{"weir.mesh/enrolled": "true"})
        for n in range(NODES):
            self.api.ask("POST", f"{CORE}/nodes", {"metadata": {"name": f"ghost-{n}"}})
        self.each(range(self.services), lambda s: self.api.service(self.namespace(s), f"svc-{s}", app=f"app-{s}"))
        self.each(range(len(self.pods)), self.put)

    @staticmethod
    def each(items, work):
        """By several at once."""
        left, lock, errors = iter(items), threading.Lock(), []

        def follow():
            try:
                while True:
                    with lock:
                        item = next(left, None)
                    if item is None:
                        return
                    work(item)
            except Exception as error:  # said below
                errors.append(error)
        threads = [threading.Thread(target=follow) for _ in range(WRITERS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if errors:
            raise errors[0]

    def put(self, i):
        pod = self.pods[i]
        s = pod["service"]
        self.api.pod(self.namespace(s), f"pod-{i}", pod["ip"], f"ghost-{i % NODES}", {"app": f"app-{s}"}, {"filler": "x" * 3000})

    def change(self, _):
        """Seven of ten: a pod's readiness, which its endpoints follow by the cluster's own controllers; two: a pod is replaced, with
        another address; one: a Service's port."""
        with self.lock:
            kind, i = self.dice.randrange(10), self.dice.randrange(len(self.pods))
            pod = self.pods[i]
            if pod.get("busy"):
                return
            pod["busy"] = True
            if 7 <= kind < 9:
                pod["ip"] = self.address()
        s = pod["service"]
        namespace, name = self.namespace(s), f"pod-{i}"
        resource, begun = f"Kubernetes//Pod/{namespace}/{name}", time.monotonic()
        if kind < 7:
            pod["ready"] = not pod["ready"]
            self.api.pod_status(namespace, name, pod["ready"], pod["ip"])
        elif kind < 9:
            self.api.remove(f"{CORE}/namespaces/{namespace}/pods/{name}")
            begun = time.monotonic()
            self.put(i)
            pod["ready"] = True
        else:
            with self.lock:
                port = self.ports[s] = 80 if self.ports[s] == 81 else 81
            resource = f"{namespace}/svc-{s}.{namespace}.svc.cluster.local"
            self.api.patch(f"{CORE}/namespaces/{namespace}/services/svc-{s}", {"spec": {"ports": [{"port": port, "targetPort": 8080}]}})
        with self.lock:
            pod["busy"] = False
            self.expected.append((resource, begun, "readiness" if kind < 7 else "another pod" if kind < 9 else "a port"))


def churn(mesh, rate, seconds):
    begun = time.monotonic()

    def paced():
        for n in range(int(rate * seconds)):
            wait = begun + n / rate - time.monotonic()
            if wait > 0:
                time.sleep(wait)
            yield n
    mesh.each(paced(), mesh.change)
    return time.monotonic() - begun


def times(mesh, client, what):
    found, n = [], 0
    for name, begun, kind in mesh.expected:
        if kind != what:
            continue
        n += 1
        after = [t for t in client.came.get(name, []) if t >= begun]
        if after:
            found.append((min(after) - begun) * 1000)
    return n, sorted(found)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--cluster", default="/var/tmp/weir-cluster")
    parser.add_argument("--api", default="https://10.80.0.1:6443")
    parser.add_argument("--pods", type=int, default=5000)
    parser.add_argument("--services", type=int, default=500)
    parser.add_argument("--rate", type=float, default=50)
    parser.add_argument("--seconds", type=float, default=60)
    o = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="weir-load-") as folder:
        api = Api(f"{o.cluster}/pki", o.api)
        bench, mesh = Bench(folder, f"{o.cluster}/pki", o.api), Mesh(api, o.pods, o.services)
        try:
            begun = time.monotonic()
            mesh.make()
            print(f"made in {time.monotonic() - begun:.0f} s", flush=True)
            begun = time.monotonic()
            controller = bench.controller(bench.kubeconfig("direct"))
            ready_s, pid = time.monotonic() - begun, controller.process.pid
            start_cpu = perf.cpu_s(pid)
            listening = controller.wait_log(r"xds.*listening on (127\.0\.0\.1):(\d+)")
            proxy = bench.root.make(uris=[perf.PROXY])
            client = perf.Client(perf.make_messages(folder), (listening[1], int(listening[2])), perf.client_context(bench.root.certificate, *proxy))
            client.until(lambda: client.n >= o.pods + o.services)
            idle_mb, before = perf.memory_mb(pid, "VmRSS"), perf.cpu_s(pid)
            took = churn(mesh, o.rate, o.seconds)
            last = mesh.expected[-1]
            client.until(lambda: any(t >= last[1] for t in client.came.get(last[0], [])))
            used = perf.cpu_s(pid) - before
            print(f"{o.pods} pods of 4 KB, {o.services} services, {len(mesh.expected) / took:.0f} changes a second for {took:.0f} s, one client")
            print(f"ready after {ready_s:.2f} s ({start_cpu:.2f} s of CPU), resident {idle_mb:.0f} MB")
            print(f"while it changes: {100 * used / took:.1f} % of a core, {1e6 * used / len(mesh.expected):.0f} us a change, "
                  f"resident {perf.memory_mb(pid, 'VmRSS'):.0f} MB, highest {perf.memory_mb(pid, 'VmHWM'):.0f} MB")
            for what in ("readiness", "another pod", "a port"):
                n, ms = times(mesh, client, what)
                print(f"{what}: {n} changes, {len(ms)} acknowledged under the name: median {statistics.median(ms):.1f} ms, "
                      f"p99 {ms[int(0.99 * len(ms))]:.1f} ms, longest {ms[-1]:.1f} ms")
            relists = controller.relists()
            print(f"listed again: {relists or 'nothing'}")
            assert not relists or all("expired" in key for key in relists), relists
            controller.end()
        finally:
            bench.end()


if __name__ == "__main__":
    main()

#!/usr/bin/python3
"""A controller on the test cluster's API server, which has troubles: it is restarted, paused, has forgotten what was (etcd compacted),
answers 410 and 429. After each of them the controller has what one has that starts anew, and has listed no kind more than once again.

   this program: objects that change; a proxy that can answer by itself --- TLS ---> kube-apiserver --- etcd
                                  ^--- HTTPS --- weir-controller
"""
import argparse
import json
import os
import re
import signal
import socket
import ssl
import sys
import tempfile
import threading
import time
import urllib.request

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from kube import CORE, POLICIES, Api, Bench, certificates  # noqa: E402

KINDS = {"pods": "Pod", "services": "Service", "namespaces": "Namespace", "nodes": "Node", "authorizationpolicies": "AuthorizationPolicy"}
PAUSE_S = 20


class Proxy:
    """A request a connection. Which requests it answers itself, `faults` says: (verb, plural) -> [status and headers, ...]."""

    def __init__(self, bench, host, port):
        certificate, key = bench.signer.make(names=["faults.test"])
        self.inside = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.inside.load_cert_chain(certificate, key)
        self.outside = ssl.create_default_context(cafile=f"{bench.pki}/ca.crt")
        self.outside.load_cert_chain(f"{bench.pki}/admin.crt", f"{bench.pki}/admin.key")
        self.to, self.faults, self.asked, self.watches, self.closed = (host, port), {}, [], {}, False
        self.lock = threading.Lock()
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            client, _ = self.listener.accept()
            threading.Thread(target=self.serve, args=(client,), daemon=True).start()

    def serve(self, plain):
        try:
            if self.closed:
                plain.close()
                return
            with self.inside.wrap_socket(plain, server_side=True) as client:
                self.request(client)
        except (OSError, ValueError):
            pass

    def request(self, client):
        head = b""
        while b"\r\n\r\n" not in head:
            part = client.recv(65536)
            if not part:
                return
            head += part
        first, *lines = head.split(b"\r\n\r\n")[0].decode().split("\r\n")
        verb, plural = self.about(first)
        with self.lock:
            self.asked.append((verb, plural))
            fault = self.faults.get((verb, plural), [])
            fault = fault.pop(0) if fault else None
        if fault:
            code, headers = fault
            body = json.dumps({"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code,
                               "reason": {410: "Expired", 429: "TooManyRequests"}[code], "message": "by the test"})
            client.sendall(f"HTTP/1.1 {code} Fault\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n"
                           f"Connection: close\r\n{headers}\r\n{body}".encode())
            return
        kept = [line for line in lines if not line.lower().startswith(("connection:", "authorization:"))]
        rest = head.split(b"\r\n\r\n", 1)[1]
        with self.outside.wrap_socket(socket.create_connection(self.to), server_hostname=self.to[0]) as server:
            server.sendall("\r\n".join([first, *kept, "Connection: close", "", ""]).encode() + rest)
            if verb == "watch":
                with self.lock:
                    self.watches.setdefault(plural, []).append(client)
            while part := server.recv(65536):
                client.sendall(part)

    @staticmethod
    def about(first):
        path = first.split(" ")[1]
        plural = re.sub(r".*/", "", path.split("?")[0])
        return ("watch" if "watch=" in path else "list" if "limit=" in path else "get"), plural

    def cut(self, plural=None):
        """Ends watches, of one kind or all."""
        with self.lock:
            gone = [s for of, sockets in self.watches.items() if plural in (None, of) for s in sockets]
            self.watches = {of: s for of, s in self.watches.items() if plural not in (None, of)}
        for client in gone:
            try:
                client.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def count(self, verb, plural):
        with self.lock:
            return self.asked.count((verb, plural))


class Server:
    """The processes of the control plane: the restart is up to member.sh, which is told that it is meant."""

    def __init__(self, cluster):
        self.cluster = cluster

    def pid(self):
        for number in filter(str.isdigit, os.listdir("/proc")):
            try:
                if os.readlink(f"/proc/{number}/cwd") == f"{self.cluster}/pki" and \
                        os.readlink(f"/proc/{number}/exe").endswith("/kube-apiserver"):
                    return int(number)
            except OSError:
                pass
        raise AssertionError("there is no API server")

    def restart(self, api):
        old = self.pid()
        with open(f"{self.cluster}/control/again-kube-apiserver", "w", encoding="ascii"):
            pass
        os.kill(old, signal.SIGKILL)
        api.until("the API server is ready again", api.is_ready)
        assert self.pid() != old

    def pause(self, seconds):
        pid = self.pid()
        os.kill(pid, signal.SIGSTOP)
        try:
            time.sleep(seconds)  # this is the fault, not a wait for something
        finally:
            os.kill(pid, signal.SIGCONT)

    @staticmethod
    def compact():
        """etcd forgets all that is not now."""
        def ask(path, body):
            request = urllib.request.Request("http://127.0.0.1:2379/v3/kv/" + path, json.dumps(body).encode())
            with urllib.request.urlopen(request, timeout=30) as answer:
                return json.load(answer)
        revision = ask("range", {"key": "AA=="})["header"]["revision"]
        ask("compaction", {"revision": revision, "physical": True})


def ordered(tree):
    if isinstance(tree, dict):
        return {k: ordered(v) for k, v in tree.items()}
    if isinstance(tree, list):
        return sorted((ordered(item) for item in tree), key=json.dumps)
    return tree


def mesh(controller):
    dump = controller.dump()
    return {what: ordered(dump[what]) for what in ("workloads", "services", "policies")}


class Story:
    def __init__(self, folder, cluster, address):
        pki = f"{cluster}/pki"
        self.api, self.bench, self.server, self.n = Api(pki, address), Bench(folder, pki, address), Server(cluster), 0
        self.bench.signer = certificates.Signer(f"{folder}/proxy", f"{pki}/ca.crt", f"{pki}/ca.key")
        self.proxy = Proxy(self.bench, self.api.host, self.api.port)
        self.direct = self.bench.kubeconfig("direct")
        through = self.bench.kubeconfig("faulty", f"https://127.0.0.1:{self.proxy.port}", **{"tls-server-name": "faults.test"})
        self.api.namespace("faults", **{"weir.mesh/enrolled": "true"})
        self.change()
        self.controller = self.bench.controller(through)
        self.relists = self.controller.relists()

    def change(self):
        """Of each kind something comes, and something of before goes."""
        self.n += 1
        n, old = self.n, self.n - 1
        self.api.pod("faults", f"pod-{n}", f"10.99.0.{n}", "no-such-node", {"app": f"app-{n}"})
        self.api.service("faults", f"svc-{n}", app=f"app-{n}")
        self.api.policy("faults", f"policy-{n}", f"192.0.2.{n}/32")
        for path in (f"{CORE}/namespaces/faults/pods/pod-{old}", f"{CORE}/namespaces/faults/services/svc-{old}",
                     f"{POLICIES}/namespaces/faults/authorizationpolicies/policy-{old}"):
            self.api.remove(path)

    def settled(self):
        self.change()
        self.controller.until("a change is seen", lambda: any(s.get("name") == f"svc-{self.n}" for s in self.controller.dump()["services"]))

    def equal(self, what):
        """As one that starts now."""
        fresh = self.bench.controller(self.direct)
        found = {}

        def same():
            found.update(ours=mesh(self.controller), fresh=mesh(fresh))
            return found["ours"] == found["fresh"]
        try:
            self.controller.until(f"equal after {what}", same)
        except AssertionError:
            for of in found["ours"]:
                for side, other in (("ours", "fresh"), ("fresh", "ours")):
                    print(f"{of} only in {side}:", [i for i in found[side][of] if i not in found[other][of]][:3])
            raise
        assert any(s.get("name") == f"svc-{self.n}" for s in found["ours"]["services"]), f"svc-{self.n} is missing"
        fresh.end()
        return {of: len(items) for of, items in found["ours"].items()}

    def after(self, what, allowed):
        counts = self.equal(what)
        relists = self.controller.relists()
        new = {k: n - self.relists.get(k, 0) for k, n in relists.items() if n != self.relists.get(k, 0)}
        self.relists = relists
        print(f"{what}: {counts}, listed again: {new or 'nothing'}", flush=True)
        kinds = {}
        for (kind, _), n in new.items():
            kinds[kind] = kinds.get(kind, 0) + n
        assert all(n == 1 for n in kinds.values()), f"{what}: {new}"
        assert allowed is None or set(kinds) == set(allowed), f"{what}: {new}, and not just {allowed}"
        self.settled()

    # ---- troubles ----

    def restarted(self):
        self.change()
        self.server.restart(self.api)
        self.change()
        self.after("the API server was restarted", None)

    def paused(self):
        self.server.pause(PAUSE_S)
        self.change()
        self.after(f"the API server stood still for {PAUSE_S} s", ())

    def forgotten(self):
        """Cut off while all changes, and nobody knows any more what was meanwhile."""
        self.proxy.closed = True
        self.proxy.cut()
        self.change()
        self.change()
        self.server.compact()
        self.server.restart(self.api)
        self.change()
        self.proxy.closed = False
        self.after("it was cut off, etcd was compacted, and the API server restarted", None)
        assert any(reason == "expired" for _, reason in self.relists), self.relists

    def gone(self):
        """410 where a watch is begun: of services, and of policies."""
        for plural in ("services", "authorizationpolicies"):
            lists = self.proxy.count("list", plural)
            self.proxy.faults["watch", plural] = [(410, "")]
            self.proxy.cut(plural)
            self.change()
            self.controller.until("a list", lambda n=lists, p=plural: self.proxy.count("list", p) == n + 1)
            self.after(f"410 for a watch of {plural}", (KINDS[plural],))
            assert self.proxy.count("list", plural) == lists + 1

    def asked_to_wait(self):
        """429 with Retry-After, twice: for a watch, which is no reason to list."""
        watches, begun = self.proxy.count("watch", "pods"), time.monotonic()
        self.proxy.faults["watch", "pods"] = [(429, "Retry-After: 2\r\n")] * 2
        self.proxy.cut("pods")
        self.change()
        self.controller.until("a third watch", lambda: self.proxy.count("watch", "pods") >= watches + 3)
        assert time.monotonic() - begun > 3.9, time.monotonic() - begun
        self.after("429 with Retry-After for a watch of pods", ())


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--cluster", required=True)
    parser.add_argument("--api", required=True)
    o = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="weir-faults-") as folder:
        story = Story(folder, o.cluster, o.api)
        try:
            for trouble in (story.gone, story.asked_to_wait, story.restarted, story.paused, story.forgotten):
                trouble()
            story.controller.end()
        except BaseException:
            print("\n".join(story.controller.log.splitlines()[-40:]))
            raise
        finally:
            story.bench.end()
            story.api.remove(f"{CORE}/namespaces/faults")


if __name__ == "__main__":
    main()

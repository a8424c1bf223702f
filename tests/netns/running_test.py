#!/usr/bin/python3
# timeout: 120
"""Pods that run already are captured when the label comes and released when it goes, and no connection breaks.

  node-a: web, rogue, cart (1)  [legacy: batch, not enrolled at first]     node-b: cart (2), orders

This test plays the kubelet: batch's processes are in a cgroup with its pod's name, and the node proxy is made to forget
that a plugin told of it. Connections of every kind live through both changes, idle and busy, and end in good order.
"""
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile

ROOT = os.path.realpath(os.path.dirname(os.path.realpath(__file__)) + "/../..")
sys.path.insert(0, ROOT + "/tests/interop")
from mesh_lab import Lab, eventually, in_namespace, receive, receive_all, same, step  # pylint: disable=wrong-import-position

UID = f"5f0a9a9e-0000-4000-8000-{os.getpid():012x}"
SERVER_PORT = 9100
NAMESPACE = """apiVersion: v1
kind: Namespace
metadata: {name: legacy%s}
"""


class Kubelet:
    """A folder of cgroups, as one of the kubelet's drivers names them; whatever hierarchy is there."""

    def __init__(self):
        places = ["/sys/fs/cgroup/systemd", "/sys/fs/cgroup/unified", "/sys/fs/cgroup"]
        self.base = next(p for p in places if os.access(p + "/cgroup.procs", os.W_OK)) + f"/kubepods-{os.getpid()}"
        self.processes = []

    def cgroup(self, *parts):
        path = "/".join((self.base, *parts))
        os.makedirs(path)
        return path

    def run(self, cgroup, netns, *command):
        """In the cgroup before it begins; the network namespace is its own by then."""
        join = "echo $$ >\"$0/cgroup.procs\" && exec \"$@\""
        inside = ["nsenter", "--net=" + netns] if netns else []
        # ready when it says so: the cgroup and the namespace are joined before
        process = subprocess.Popen(["sh", "-c", join, cgroup, *inside, "sh", "-c", "echo; exec \"$@\"", "sh", *command],
                                   stdout=subprocess.PIPE)
        self.processes.append(process)
        process.stdout.readline()
        return process

    def done(self):
        for process in self.processes:
            process.kill()
            process.wait()
        for folder, _, _ in os.walk(self.base, topdown=False):
            eventually(lambda path=folder: remove(path), f"{folder} is empty")


def remove(folder):
    try:
        os.rmdir(folder)
    except OSError:
        return False
    return True


def connect_from(here, there):
    sock = socket.socket(socket.AF_INET)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.settimeout(30)
    sock.bind(here)
    sock.connect(there)
    return sock


class Talk:
    """One connection, both of its ends: [0] opened it, [1] accepted it."""

    def __init__(self, lab, name, client, server, address, port):
        self.name, self.listener = name, server.listen(port)
        self.ends = [client.connect(address, port)]
        self.ends.append(self.listener.accept()[0])
        self.ends[1].settimeout(30)
        self.said = 0

    def both_ways(self):
        for from_, to in (self.ends, self.ends[::-1]):
            word = f"{self.name} {self.said}".encode()
            self.said += 1
            from_.sendall(word)
            same(receive(to, len(word)), word, self.name)

    def end(self, first):
        """In good order, by the one or the other end: each sees the other's."""
        one, other = self.ends[first], self.ends[1 - first]
        one.shutdown(1)
        same(receive_all(other), b"", f"{self.name}: the rest")
        other.sendall(b"last")
        other.close()
        same(receive_all(one), b"last", f"{self.name}: the rest")
        one.close()
        self.listener.close()


class Test:
    def __init__(self, lab, kubelet):
        self.lab, self.kubelet, self.port = lab, kubelet, SERVER_PORT
        self.web, self.batch, self.orders = lab.pod("web"), lab.pod("batch"), lab.pod("orders")
        self.cart = lab.pod("cart", "node-a")

    def talk(self, name, client, server, address=None):
        self.port += 1
        return Talk(self.lab, name, client, server, address or server.v4, self.port)

    def cni(self, command, pod):
        env = dict(os.environ, CNI_COMMAND=command, CNI_CONTAINERID=pod.netns, CNI_NETNS="/run/netns/" + pod.netns,
                   CNI_IFNAME="eth0", CNI_PATH="/",
                   CNI_ARGS=f"K8S_POD_NAMESPACE={pod.namespace};K8S_POD_NAME={pod.name}")
        with open(f"{self.lab.run}/plan/cni/{pod.netns}", "rb") as config:
            return subprocess.run([self.lab.build + "/weir-cni"], env=env, stdin=config, check=False,
                                  stdout=subprocess.DEVNULL).returncode

    def inside(self, pod, *command):
        return subprocess.run(["nsenter", "--net=/run/netns/" + pod.netns, *command], check=False,
                              stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True).stdout

    def rules(self, pod):
        return self.inside(pod, "nft", "list", "ruleset")

    def is_captured(self, pod):
        return "redirect to :15001" in self.rules(pod)

    def label(self, yes):
        self.lab.apply("namespace.yaml", NAMESPACE % (', labels: {weir.mesh/enrolled: "true"}' if yes else ""))

    def fresh(self, name, client, server):
        """A new connection from client to server; returns what the server's proxy says of it."""
        self.lab.mark()
        talk = self.talk(name, client, server)
        talk.both_ways()
        talk.end(0)
        return self.lab.logged(server.node, "direction=inbound", "ending=closed", f"dst.addr={server.v4}:{self.port} ")

    def enrols(self):
        step("the node proxy knows nothing of a pod that runs already")
        same(self.cni("DEL", self.batch), 0, "DEL")
        sandbox = self.kubelet.cgroup("kubepods", "burstable", "pod" + UID, "sandbox")
        container = self.kubelet.cgroup("kubepods", "burstable", "pod" + UID, "container")
        # Not the pod's: one whose own cgroup, below another pod's, has its name; and one that came later, elsewhere.
        other = self.kubelet.cgroup("kubepods", "burstable", "pod" + UID[:-4] + "ffff", "pod" + UID)
        self.kubelet.run(other, "/run/netns/" + self.cart.netns, "tail", "-f", "/dev/null")
        self.pause = self.kubelet.run(sandbox, "/run/netns/" + self.batch.netns, "tail", "-f", "/dev/null")
        self.kubelet.run(container, "/run/netns/" + self.cart.netns, "tail", "-f", "/dev/null")

        step("connections of every kind before the label")
        self.living = [
            self.talk("batch calls orders", self.batch, self.orders),
            self.talk("batch calls orders, idle", self.batch, self.orders),
            self.talk("batch calls orders on IPv6", self.batch, self.orders, self.orders.v6),
            self.talk("web calls batch", self.web, self.batch),
            self.talk("web calls batch, idle", self.web, self.batch),
            self.talk("cart calls batch on IPv6", self.cart, self.batch, self.batch.v6),
        ]
        busy = [t for t in self.living if "idle" not in t.name]
        for talk in busy:
            talk.both_ways()

        step("the label: the pod is found by its processes and captured")
        self.lab.mark()
        self.label(True)
        eventually(lambda: self.is_captured(self.batch), "batch is captured")
        self.lab.logged("node-a", self.batch.name, f"process {self.pause.pid}")
        assert "weir_hold" not in self.rules(self.batch), "new connections are still held back"
        for talk in busy:
            talk.both_ways()
        line = self.fresh("batch calls web", self.batch, self.web)
        assert "src.identity=spiffe://cluster.local/ns/legacy/sa/batch " in line, line
        eventually(self.try_fresh, "web calls batch through the mesh")
        for talk in self.living:
            talk.both_ways()

        step("the same addresses and ports are captured the next time")
        talk = self.living.pop(0)
        here, there = talk.ends[0].getsockname(), talk.ends[0].getpeername()
        talk.end(1)
        self.lab.mark()
        listener = self.orders.listen(there[1])
        again = in_namespace("/run/netns/" + self.batch.netns, lambda: connect_from(here, there))
        accepted = listener.accept()[0]
        again.sendall(b"again")
        same(receive(accepted, 5), b"again", "what comes")
        for end in (again, accepted, listener):
            end.close()
        self.lab.logged("node-b", "direction=inbound", "src.identity=spiffe://cluster.local/ns/legacy/sa/batch",
                        f"dst.addr={there[0]}:{there[1]}")

    def try_fresh(self):
        try:
            return "src.identity=spiffe://cluster.local/ns/shop/sa/web " in self.fresh("web calls batch", self.web, self.batch)
        except OSError:
            return False

    def ends_before(self):
        step("what lived before ends in good order: idle ones, by either end")
        for i, talk in enumerate(self.living):
            talk.end(i % 2)

    def releases(self):
        step("connections inside the proxy, of every kind")
        self.living = [
            self.talk("batch calls orders by tunnel", self.batch, self.orders),
            self.talk("batch calls orders by tunnel, idle", self.batch, self.orders),
            self.talk("batch calls web on its node", self.batch, self.web),
            self.talk("orders calls batch by tunnel", self.orders, self.batch),
            self.talk("orders calls batch by tunnel, idle", self.orders, self.batch),
            self.talk("web calls batch on IPv6", self.web, self.batch, self.batch.v6),
        ]
        for talk in self.living:
            talk.both_ways()

        step("the label goes: new connections pass by, those inside go on")
        self.lab.mark()
        self.label(False)
        eventually(lambda: not self.is_captured(self.batch), "batch is released")
        self.lab.logged("node-a", self.batch.name, "is no longer enrolled")
        for talk in self.living:
            talk.both_ways()
        self.direct("batch calls orders past the mesh", self.batch, self.orders, self.batch.v4)

        step("enrolled again while they live, and released again")
        self.label(True)
        eventually(lambda: self.is_captured(self.batch), "batch is captured again")
        eventually(self.try_fresh, "web calls batch through the mesh")
        for talk in self.living:
            talk.both_ways()
        self.label(False)
        eventually(lambda: not self.is_captured(self.batch), "batch is released again")
        for talk in self.living:
            talk.both_ways()

    def replaced(self):
        step("the node proxy is replaced while they live")
        self.lab.command("replace", "node-a")
        for talk in self.living:
            talk.both_ways()
        self.direct("batch calls orders past the mesh", self.batch, self.orders, self.batch.v4)
        for talk in self.living:
            talk.both_ways()
        assert "weir" in self.rules(self.batch) and not self.is_captured(self.batch)

    def direct(self, name, client, server, source):
        """Past the mesh: the server's kernel sees the client itself, and its proxy none who proved anything."""
        talk = self.talk(name, client, server)
        talk.both_ways()
        same(talk.ends[1].getpeername()[0].removeprefix("::ffff:"), source, f"{name}: the peer")
        talk.end(0)

    def clean(self):
        step("after the last of them, nothing of ours is left in the pod")
        for i, talk in enumerate(self.living):
            talk.end(i % 2)
        eventually(lambda: "weir" not in self.rules(self.batch), "the rules are gone")
        eventually(lambda: ":15008" not in self.inside(self.batch, "ss", "-Hltn"), "the listeners are gone")
        same(self.inside(self.batch, "ip", "rule", "list", "table", "100"), "", "the routing rule")

    def ends(self):
        step("a pod that was found is let go when its sandbox ends")
        self.label(True)
        eventually(lambda: self.is_captured(self.batch), "batch is captured")
        self.lab.mark()
        self.pause.kill()
        self.pause.wait()
        self.lab.logged("node-a", self.batch.name, "vanished")

    def play(self):
        self.enrols()
        self.ends_before()
        self.releases()
        self.replaced()
        self.clean()
        self.ends()


def main():
    kubelet = Kubelet()
    folder = tempfile.mkdtemp(prefix="weir-running-")
    try:
        manifests = shutil.copytree(ROOT + "/docs/examples/shop", folder + "/manifests")
        with open(manifests + "/batch.yaml", encoding="utf-8") as file:
            text = file.read()
        with open(manifests + "/batch.yaml", "w", encoding="utf-8") as file:
            file.write(text.replace("  name: batch-59c7f6d8b-t7jwq\n", f"  name: batch-59c7f6d8b-t7jwq\n  uid: {UID}\n"))
        with Lab("--manifests", manifests, "--set-proxy-args", "--drain 8s") as lab:  # long enough for what is said meanwhile
            Test(lab, kubelet).play()
    finally:
        kubelet.done()
        shutil.rmtree(folder, ignore_errors=True)
    print("all of it holds")


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    main()

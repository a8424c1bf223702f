"""A lab of its own for a test of this folder (tests/lab.sh), sockets inside of its network namespaces, and waiting.

One thread does everything: a test holds both ends of a connection and drives them in turn. Nothing sleeps: what must
happen is waited for, at most DEADLINE_S.
"""
import contextlib
import ctypes
import os
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
DEADLINE_S = 30
PROXY_MARK = 0x539  # what the proxy's own sockets carry: nothing of theirs is redirected
CLONE_NEWNET = 0x40000000
libc = ctypes.CDLL(None, use_errno=True)


def identity(account, namespace="shop", trust_domain="cluster.local"):
    return f"spiffe://{trust_domain}/ns/{namespace}/sa/{account}"


class Deadline:
    def __init__(self, seconds=DEADLINE_S):
        self.end = time.monotonic() + seconds

    def left(self, what):
        left = self.end - time.monotonic()
        if left <= 0:
            raise AssertionError(f"not within {DEADLINE_S} s: {what}")
        return left


def eventually(condition, what):
    """Until condition() is true. For what no descriptor tells: files, another program's tables."""
    deadline, never = Deadline(), select.poll()
    while True:
        value = condition()
        if value:
            return value
        never.poll(min(50, 1000 * deadline.left(what)))


def step(text):
    print("- " + text, flush=True)


def same(is_, should, what):
    assert is_ == should, f"{what} is {is_!r}, and should be {should!r}"


def in_namespace(path, function):
    """Runs function in the network namespace, in a thread of its own; sockets that it makes stay there."""
    result = {}

    def run():
        try:
            with open(path, "rb") as file:
                if libc.setns(file.fileno(), CLONE_NEWNET) != 0:
                    raise OSError(ctypes.get_errno(), "setns")
            result["value"] = function()
        except BaseException as error:  # pylint: disable=broad-except
            result["error"] = error

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    if "error" in result:
        raise result["error"]
    return result["value"]


def receive(sock, n):
    """Exactly n bytes, or what came before the end."""
    data = bytearray()
    while len(data) < n:
        part = sock.recv(min(n - len(data), 1 << 20))
        if not part:
            break
        data += part
    return bytes(data)


def receive_all(sock):
    return receive(sock, 1 << 40)


class Pod:
    def __init__(self, lab, line):
        (self.namespace, self.name, self.netns, self.node, self.v4, self.v6, self.port) = line.split()
        self.lab = lab

    def connect(self, address, port, mark=0):
        """A TCP connection that the pod's application opens (mark: that its proxy opens)."""
        return self.lab.connect(self.netns, address, port, mark)

    def listen(self, port, address="::"):
        return self.lab.listen(self.netns, port, address)


class Lab:
    """with Lab() as lab: a mesh that is up; gone afterwards, however the test ends."""

    def __init__(self, *up):
        os.environ.setdefault("WEIR_BUILD", ROOT + "/build/dev")
        os.environ.setdefault("WEIR_LAB_NAME", f"weir-interop-{os.getpid()}")
        self.build, self.name, self.up = os.environ["WEIR_BUILD"], os.environ["WEIR_LAB_NAME"], up
        self.run = "/run/" + self.name
        self.work = None
        self.marks = {}
        self.pods = []

    def command(self, *arguments, **more):
        return subprocess.run([ROOT + "/tests/lab.sh", *arguments], check=True, **more)

    def __enter__(self):
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
        signal.signal(signal.SIGINT, lambda *_: sys.exit(130))
        self.work = tempfile.mkdtemp(prefix="weir-interop-")
        try:
            self.command("up", *self.up)
        except BaseException:
            self.__exit__(*sys.exc_info())
            raise
        with open(self.run + "/plan/pods", encoding="utf-8") as file:
            self.pods = [Pod(self, line) for line in file]
        return self

    def __exit__(self, kind, error, trace):
        if error is not None and not isinstance(error, SystemExit):
            self.print_logs()
        if "KEEP" not in os.environ:
            self.command("down")
            shutil.rmtree(self.work, ignore_errors=True)

    def print_logs(self):
        for name in ("controller", "ca", "node-a", "node-b"):
            with contextlib.suppress(OSError), open(f"{self.run}/logs/{name}.log", encoding="utf-8", errors="replace") as file:
                print(f"---- the end of {name}.log")
                print("\n".join(line[:400] for line in file.read().splitlines()[-12:]), flush=True)

    def pod(self, name, node=None):
        return next(p for p in self.pods if p.name.startswith(name + "-") and node in (None, p.node))

    # ---- namespaces ----

    def path_of(self, netns):
        return "/run/netns/" + (netns if netns.startswith(self.name) else f"{self.name}-{netns}")

    def connect(self, netns, address, port, mark=0):
        family = socket.AF_INET6 if ":" in address else socket.AF_INET

        def make():
            sock = socket.socket(family, socket.SOCK_STREAM)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if mark:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_MARK, mark)
            return sock

        sock = in_namespace(self.path_of(netns), make)
        sock.settimeout(DEADLINE_S)
        try:
            sock.connect((address, port))
        except BaseException:
            sock.close()
            raise
        return sock

    def listen(self, netns, port, address="::"):
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        sock = in_namespace(self.path_of(netns), lambda: socket.create_server(
            (address, port), family=family, backlog=256, dualstack_ipv6=address == "::"))
        sock.settimeout(DEADLINE_S)
        return sock

    def ip(self, netns, *arguments):
        subprocess.run(["ip", "-n", os.path.basename(self.path_of(netns)), *arguments], check=True)

    def underlay_pod(self, name, *addresses):
        """A network namespace right on the wire between the nodes: no node proxy of ours is near it. Returns its name."""
        netns = f"{self.name}-{name}"
        subprocess.run(["ip", "netns", "add", netns], check=True)
        self.ip("underlay", "link", "add", name, "type", "veth", "peer", "name", "eth0", "netns", netns)
        self.ip("underlay", "link", "set", name, "master", "br0", "up")
        self.ip(netns, "link", "set", "lo", "up")
        for address in addresses:
            self.ip(netns, "addr", "add", address, "dev", "eth0", *(["nodad"] if ":" in address else []))
        self.ip(netns, "link", "set", "eth0", "up")
        with open(self.run + "/plan/nodes", encoding="utf-8") as file:
            for line in file:
                _, _, v4, v6, net4, net6 = line.split()[:6]
                self.ip(netns, "route", "add", net4, "via", v4)
                self.ip(netns, "-6", "route", "add", net6, "via", v6)
        return netns

    # ---- manifests, certificates ----

    def apply(self, name, text):
        path = f"{self.work}/{name}"
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        self.command("apply", path)

    def ctl(self, node, *arguments):
        return self.command("ctl", node, *arguments, stdout=subprocess.PIPE, text=True).stdout

    def issue(self, name, spiffe_id):
        """A certificate of the lab's CA: (chain, key, roots), files."""
        prefix = f"{self.work}/{name}"
        subprocess.run([self.build + "/weir-ca", "issue", "--state", self.run + "/ca/state", "--identity", spiffe_id,
                        "--out", prefix], check=True)
        return prefix + ".pem", prefix + ".key", prefix + "-roots.pem"

    # ---- logs: only what was written since the last mark counts ----

    def log_path(self, name):
        return f"{self.run}/logs/{name}.log"

    def mark(self):
        for name in ("node-a", "node-b"):
            self.marks[name] = os.path.getsize(self.log_path(name))

    def lines(self, name, *texts):
        with open(self.log_path(name), encoding="utf-8", errors="replace") as file:
            file.seek(self.marks.get(name, 0))
            return [line for line in file.read().splitlines() if all(text in line for text in texts)]

    def logged(self, name, *texts):
        """Waits for a line with all of these texts, and returns it."""
        try:
            return eventually(lambda: self.lines(name, *texts), f"a line of {name} with {texts}")[0]
        except AssertionError as error:
            raise AssertionError(f"{error}; since the mark: {self.lines(name)}") from None


def play_all(tests, make_world, *arguments):
    """Every test_* of a file (its globals()), one after the other, in one world on one lab."""
    with Lab(*arguments) as lab:
        world = make_world(lab)
        for name, test in list(tests.items()):
            if name.startswith("test_"):
                test(world)
    print("all of it holds")

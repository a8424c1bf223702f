#!/usr/bin/python3
# timeout: 90
"""weir-cni install on folders of a node: waits for the primary CNI, chains itself in, repairs what others change, takes
itself out. Another program reads the configurations all the time, as a runtime would: each is whole, always.
"""
import fcntl
import json
import os
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import threading

ROOT = os.path.realpath(os.path.dirname(os.path.realpath(__file__)) + "/../..")
sys.path.insert(0, ROOT + "/tests/interop")
from mesh_lab import eventually, same, step  # pylint: disable=wrong-import-position

PROGRAM = os.environ.get("WEIR_BUILD", ROOT + "/build/dev") + "/weir-cni"
BRIDGE = {"type": "bridge", "ipam": {"type": "host-local", "ranges": [[{"subnet": "10.1.0.0/16"}]]}, "mtu": 1450}
LIST = {"cniVersion": "1.0.0", "name": "net", "disableCheck": True, "plugins": [BRIDGE, {"type": "portmap"}]}
SINGLE = {"cniVersion": "0.3.1", "name": "flat", "type": "flannel", "delegate": {"hairpinMode": True}}
F_OFD_SETLK = 37  # linux/fcntl.h; not in every python
OURS = {"type": "weir-cni", "socket": "/run/x/cni.sock", "excludeNamespaces": ["kube-system", "mesh"]}


class Node:
    """Two folders, and the installer."""

    def __init__(self):
        self.base = tempfile.mkdtemp(prefix="weir-cni-install-")
        self.bin, self.conf = self.base + "/bin", self.base + "/net.d"
        os.mkdir(self.bin)
        os.mkdir(self.conf)
        self.installer = None
        self.broken = []
        self.over = threading.Event()
        self.reader = threading.Thread(target=self.read_all)
        self.reader.start()

    def read_all(self):
        """Nothing that a runtime would read is ever half."""
        while not self.over.is_set():
            for name in os.listdir(self.conf):
                if name.startswith(".") or "bad" in name:
                    continue
                try:
                    self.read(name)
                except FileNotFoundError:
                    pass
                except ValueError as error:
                    self.broken.append(f"{name}: {error}")

    def run(self, command, *more, check=True):
        arguments = [PROGRAM, command, "--bin-dir", self.bin, "--conf-dir", self.conf, "--socket", "/run/x/cni.sock",
                     "--exclude-namespace", "kube-system", "--exclude-namespace", "mesh", *more]
        return subprocess.run(arguments, check=check, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)

    def start(self, *more):
        with open(self.base + "/log", "a", encoding="utf-8") as log:
            self.installer = subprocess.Popen([PROGRAM, "install", "--bin-dir", self.bin, "--conf-dir", self.conf, "--socket",
                                               "/run/x/cni.sock", "--exclude-namespace", "kube-system", "--exclude-namespace",
                                               "mesh", *more], stderr=log)

    def stop(self):
        self.installer.send_signal(signal.SIGTERM)
        same(self.installer.wait(timeout=20), 0, "the installer's status")
        self.installer = None

    def log(self):
        with open(self.base + "/log", encoding="utf-8") as file:
            return file.read()

    def write(self, name, content):
        """As careful programs do."""
        text = content if isinstance(content, str) else json.dumps(content)
        with open(self.conf + "/.tmp", "w", encoding="utf-8") as file:
            file.write(text)
        os.rename(self.conf + "/.tmp", self.conf + "/" + name)

    def read(self, name):
        with open(self.conf + "/" + name, encoding="utf-8") as file:
            return json.load(file)

    def names(self):
        return sorted(name for name in os.listdir(self.conf))

    def is_ready(self):
        return self.run("ready", check=False).returncode == 0

    def not_ready(self, word):
        answer = self.run("ready", check=False)
        assert answer.returncode == 1 and word in answer.stdout, answer.stdout

    def done(self):
        if self.installer:
            self.installer.kill()
            self.installer.wait()
        self.over.set()
        self.reader.join()
        shutil.rmtree(self.base)


def chained(base, **more):
    return {**base, "plugins": [*base["plugins"], {**OURS, **more}]}


def waits_and_chains(node):
    step("it waits for a configuration, and says so")
    node.start()
    eventually(lambda: "the primary CNI has not come" in node.log(), "it says what it waits for")
    eventually(lambda: os.path.exists(node.bin + "/weir-cni"), "the plugin's program is there")
    node.not_ready("primary CNI")
    node.write("50-net.conflist", LIST)
    eventually(node.is_ready, "it is ready")
    same(node.read("50-net.conflist"), chained(LIST), "the list")
    with open(node.bin + "/weir-cni", "rb") as copy, open(PROGRAM, "rb") as ours:
        same(copy.read() == ours.read(), True, "the copy is the program")
    same(os.stat(node.bin + "/weir-cni").st_mode & 0o7777, 0o755, "its mode")


def runs_anywhere(node):
    step("the program brings all that it needs: it runs where nothing else is")
    needs = subprocess.run(["ldd", PROGRAM], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, check=False).stdout
    if "asan" in needs or "tsan" in needs:
        return  # those can't be static
    chroot = shutil.which("chroot") or "/usr/sbin/chroot"
    answer = subprocess.run([chroot, node.bin, "/weir-cni"], env={"CNI_COMMAND": "VERSION"}, check=True,
                            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE).stdout
    assert "1.0.0" in json.loads(answer)["supportedVersions"], answer


def repairs(node):
    step("what others change is repaired")
    node.write("50-net.conflist", {**LIST, "name": "other"})
    eventually(lambda: node.read("50-net.conflist") == chained({**LIST, "name": "other"}), "chained again")
    node.write("50-net.conflist", {**LIST, "plugins": [{**OURS, "socket": "/old"}, *LIST["plugins"]]})
    eventually(lambda: node.read("50-net.conflist") == chained(LIST), "last, and with its settings")
    os.unlink(node.bin + "/weir-cni")
    eventually(node.is_ready, "the program is there again")
    with open(node.bin + "/weir-cni", "ab") as file:
        file.write(b"x")
    eventually(node.is_ready, "and is the right one")

    step("another one comes before it, and goes again")
    node.write("10-first.conflist", {**LIST, "name": "first"})
    eventually(lambda: node.read("10-first.conflist") == chained({**LIST, "name": "first"}), "the first one is it now")
    os.unlink(node.conf + "/10-first.conflist")
    eventually(node.is_ready, "the second one still has it")

    step("what a runtime passes over is passed over, and told")

    node.write("00-bad.conflist", '{"cniVersion": "1.0.0", "plugins": [')
    eventually(lambda: "00-bad.conflist is passed over: line 1" in node.log(), "it is told")
    node.write("05-empty.conflist", {"cniVersion": "1.0.0", "name": "e", "plugins": []})
    eventually(lambda: "05-empty.conflist is passed over" in node.log(), "it is told")
    eventually(node.is_ready, "the good one has it")
    same(node.read("05-empty.conflist")["plugins"], [], "the other one is as it was")

    step("one that no plugin can be chained into is told, and nothing is done to it")
    node.write("01-old.conf", {"cniVersion": "0.2.0", "name": "o", "type": "old"})
    eventually(lambda: "can't take our plugin" in node.log(), "it is told")
    node.not_ready("0.2.0")
    same(node.read("01-old.conf")["type"], "old", "the old one")
    os.unlink(node.conf + "/01-old.conf")
    eventually(node.is_ready, "without it, it is ready")


def wraps(node):
    step("a single plugin is wrapped into a list")
    node.write("02-flat.conf", SINGLE)
    wrapped = chained({"cniVersion": "0.3.1", "name": "flat", "plugins": [SINGLE]}, wrapped=True)
    eventually(lambda: "02-flat.conf" not in node.names() and node.is_ready(), "it is a list")
    same(node.read("02-flat.conflist"), wrapped, "the list")

    step("at its end the plugin stays")
    node.stop()
    assert node.is_ready()

    step("uninstall leaves what was there before")
    node.run("uninstall")
    same(node.read("02-flat.conf"), SINGLE, "the single plugin")
    same(node.read("50-net.conflist"), LIST, "the list")
    same([n for n in node.names() if "flat" in n], ["02-flat.conf"], "its files")
    same(os.listdir(node.bin), [], "the programs")
    node.run("uninstall")

    step("told to remove it at its end, it does")
    os.unlink(node.conf + "/02-flat.conf")
    node.start("--remove-at-end")
    eventually(node.is_ready, "it is ready")
    node.stop()
    same(node.read("50-net.conflist"), LIST, "the list")
    same(os.listdir(node.bin), [], "the programs")
    assert not any(name.startswith(".") for name in node.names()), node.names()

    step("and the node proxy's folder with it, when that one has ended")
    os.makedirs(node.base + "/run/pods")
    with open(node.base + "/run/owner.lock", "w", encoding="ascii") as lock:
        # As a node proxy holds it: the lock of an open file description.
        fcntl.fcntl(lock, F_OFD_SETLK, struct.pack("hhqqi", fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0))
        node.start("--remove-at-end", "--run-dir", node.base + "/run")
        eventually(node.is_ready, "it is ready")
        node.installer.send_signal(signal.SIGTERM)
        eventually(lambda: "waits for the node proxy's end" in node.log(), "it waits")
        same(node.read("50-net.conflist"), LIST, "the list")
        assert os.path.exists(node.base + "/run/owner.lock") and node.installer.poll() is None
    same(node.installer.wait(timeout=20), 0, "the installer's status")
    node.installer = None
    assert not os.path.exists(node.base + "/run")


def main():
    node = Node()
    try:
        waits_and_chains(node)
        runs_anywhere(node)
        repairs(node)
        wraps(node)
        same(node.broken, [], "half files")
    except BaseException:
        print(node.log()[-3000:])
        raise
    finally:
        node.done()
    print("all of it holds")


if __name__ == "__main__":
    main()

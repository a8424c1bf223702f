#!/usr/bin/python3
# timeout: 180
# builds: dev
"""What a core dump of a running mesh would hold: no private key.

  controller, CA (control)      node proxies (node-a, node-b), with traffic between web and cart

Each program's memory is read as the kernel would dump it and more: every mapping that is not marked `dd` (don't dump).
The keys are found first: in the mappings that are marked so, where each 64 bytes may hold one; those that the programs
use must be there, as the certificates that they serve prove. Beside them the root's and the intermediate's from the
CA's store, and the controller's from its file. Then no form of any of them may be in what would be dumped, nor the nodes' tokens.
(Sanitizers keep terabytes of shadow and what was freed: only the plain build is looked at.)
"""
import base64
import os
import re
import sqlite3
import subprocess
import sys

ROOT = os.path.realpath(os.path.dirname(os.path.realpath(__file__)) + "/../..")
sys.path.insert(0, ROOT + "/tests/interop")
from mesh_lab import DEADLINE_S, Lab, eventually, step  # pylint: disable=wrong-import-position

SLOT, SCALAR = 64, 32
SEC1 = bytes.fromhex("30310201010420"), bytes.fromhex("a00a06082a8648ce3d030107")
MAPPING = re.compile(r"^([0-9a-f]+)-([0-9a-f]+) (\S+) \S+ \S+ \S+ *(.*)$")
KEY_TEXT = re.compile(rb"PRIVATE KEY-----\r?\n[A-Za-z0-9+/]{16}")


def openssl(*arguments, data=None, check=True):
    result = subprocess.run(["openssl", *arguments], input=data, capture_output=True, timeout=DEADLINE_S, check=False)
    assert not check or result.returncode == 0, f"openssl {arguments}: {result.stderr.decode()}"
    return result.stdout


class Key:
    def __init__(self, scalar, where):
        self.scalar, self.where = scalar, where
        self.public = openssl("ec", "-inform", "DER", "-pubout", "-outform", "DER", data=SEC1[0] + scalar + SEC1[1])

    def forms(self):
        """Names and bytes of what gives it away. Halves too: a copy may be overwritten in part."""
        for name, value in (("bytes", self.scalar), ("words", self.scalar[::-1])):
            yield f"first half of its {name}", value[:16]
            yield f"second half of its {name}", value[16:]
        yield "hex", self.scalar.hex().encode()
        yield "hex, upper case", self.scalar.hex().upper().encode()
        for shift in range(3):  # in a text that begins at any byte, and whose lines may end anywhere
            text = base64.b64encode(bytes(shift) + self.scalar)
            yield "base 64", text[4:16]
            yield "base 64", text[20:32]


class Token:
    def __init__(self, text, where):
        self.text, self.where = text, where

    def forms(self):
        yield "text", self.text


class Mapping:
    def __init__(self, line):
        begin, end, self.rights, self.name = MAPPING.match(line).groups()
        self.begin, self.end = int(begin, 16), int(end, 16)
        self.fields = {}

    @property
    def dumped(self):
        return "dd" not in self.fields["VmFlags"].split()

    @property
    def used(self):
        return any(int(self.fields[field].split()[0]) > 0 for field in ("Rss", "Swap"))


class Process:
    def __init__(self, name, pid):
        self.name, self.pid, self.mappings = name, pid, []
        with open(f"/proc/{pid}/smaps", encoding="utf-8") as file:
            for line in file:
                if MAPPING.match(line):
                    self.mappings.append(Mapping(line))
                else:
                    field, value = line.split(":", 1)
                    self.mappings[-1].fields[field] = value

    def read(self, mapping):
        with open(f"/proc/{self.pid}/mem", "rb", buffering=0) as file:
            file.seek(mapping.begin)
            data = bytearray()
            while len(data) < mapping.end - mapping.begin:
                try:
                    part = file.read(mapping.end - mapping.begin - len(data))
                except OSError:  # a device's memory, which no dump holds either
                    break
                if not part:
                    break
                data += part
        return bytes(data)

    def write(self, address, data):
        with open(f"/proc/{self.pid}/mem", "r+b", buffering=0) as file:
            file.seek(address)
            assert file.write(data) == len(data)

    def keys(self):
        for mapping in self.mappings:
            if mapping.dumped or not mapping.rights.startswith("rw") or not mapping.used or mapping.name:
                continue
            assert "wf" in mapping.fields["VmFlags"].split() or "io" in mapping.fields["VmFlags"].split(), (
                f"{self.name}: the mapping at {mapping.begin:x} would be seen by a child")
            data = self.read(mapping)
            for at in range(0, len(data) - SLOT + 1, SLOT):
                scalar = data[at:at + SCALAR]
                if any(scalar) and not any(data[at + SCALAR:at + SLOT]):
                    yield Key(scalar, f"a slot of {self.name}")

    def search(self, keys):
        """What is found in the memory that would be dumped, and how much that is."""
        found, size = [], 0
        forms = [(form, f"{name} of what is in {key.where}") for key in keys for name, form in key.forms()]
        for mapping in self.mappings:
            if not mapping.dumped or not mapping.rights.startswith("r") or not mapping.used:
                continue
            data = self.read(mapping)
            size += len(data)
            place = f"{self.name} ({self.pid}), {mapping.begin:x} {mapping.rights} {mapping.name}"
            found += [f"{place}+{data.find(form):x}: {what}" for form, what in forms if form in data]
            if "w" in mapping.rights:  # libraries bring keys for their own tests
                found += [f"{place}+{match.start():x}: text of a private key" for match in KEY_TEXT.finditer(data)]
        return found, size


def tree(pid):
    """The process and all that it started."""
    yield pid
    with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as file:
        for child in file.read().split():
            yield from tree(int(child))


def processes(lab, program):
    with open(f"{lab.run}/pids/{program}", encoding="ascii") as file:
        pid = int(file.read().split()[0])
    return [Process(program, p) for p in tree(pid)]


def served(lab, netns, address):
    """The public keys of the chain that is served there, the leaf's first."""
    text = subprocess.run(["nsenter", f"--net={lab.path_of(netns)}", "openssl", "s_client", "-showcerts", "-tls1_3", "-alpn",
                           "h2", "-connect", address], stdin=subprocess.DEVNULL, capture_output=True, timeout=DEADLINE_S,
                          check=False).stdout.decode(errors="replace")
    found = re.findall("-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----\n", text, re.S)
    assert found, f"{address} serves no certificate: {text}"
    return [public_key(certificate.encode()) for certificate in found]


def public_key(certificate):
    pem = openssl("x509", "-pubkey", "-noout", data=certificate)
    return openssl("pkey", "-pubin", "-outform", "DER", data=pem)


def key_of_pem(pem, where):
    der = openssl("ec", "-outform", "DER", data=pem)
    at = der.index(SEC1[0][2:]) + len(SEC1[0]) - 2
    return Key(der[at:at + SCALAR], where)


def work(lab):
    """Handshakes in both directions, a certificate from the command line, and the log lines of all that."""
    web, cart = lab.pod("web"), lab.pod("cart", "node-b")
    for _ in range(10):
        lab.command("exec", web.name, "--", "curl", "-sf", "-o", f"{lab.work}/out", "--max-time", str(DEADLINE_S),
                    f"http://{cart.v4}:{cart.port}/whoami")
    lab.issue("x", "spiffe://cluster.local/ns/weir-system/sa/x")


def limits(lab, programs):
    for program in programs:
        for process in processes(lab, program):
            with open(f"/proc/{process.pid}/limits", encoding="ascii") as file:
                line = next(line for line in file if line.startswith("Max core file size"))
            assert line.split()[4:6] == ["0", "0"], f"{program} ({process.pid}): {line}"


def search_finds_what_is_there(lab, key):
    """A copy in the deepest part of the CA's stack, where nothing lives while it waits: it must be found."""
    process = processes(lab, "ca")[0]
    stack = next(mapping for mapping in process.mappings if mapping.name == "[stack]")
    for form in (key.scalar, key.scalar[::-1], key.scalar.hex().encode(), base64.b64encode(key.scalar),
                 b"-----BEGIN PRIVATE KEY-----\nMIGHAgEAMBMGByqG\n"):
        before = process.read(stack)[:len(form)]
        process.write(stack.begin, form)
        try:
            found, _ = process.search([key])
        finally:
            process.write(stack.begin, before)
        assert found and all(" [stack]+" in line for line in found), (form, found)


def main():
    with Lab("--nodes", "2") as lab:
        work(lab)
        with open(lab.run + "/controller/controller.key", "rb") as file:
            keys = [key_of_pem(file.read(), "controller.key")]
        with sqlite3.connect(f"file:{lab.run}/ca/state/ca.db?mode=ro", uri=True) as store:
            keys += [key_of_pem(pem.encode(), f"the CA's store ({kind})")
                     for kind, pem in store.execute("SELECT kind, key FROM authority")]
        assert len(keys) == 3
        for node in ("node-a", "node-b"):
            with open(f"{lab.run}/{node}/token", "rb") as file:
                keys.append(Token(file.read().strip(), f"the token of {node}"))

        step("the keys in use are in the mappings that are not dumped")
        use = {"controller": [("control", "192.168.50.2:15012", 1)], "ca": [("control", "192.168.50.2:15013", 2)]}
        for pod in lab.pods:
            if pod.name.split("-")[0] in ("web", "cart", "orders"):
                use.setdefault(pod.node, []).append((pod.node, f"{pod.v4}:15008", 1))
        programs = sorted(use)
        for program in programs:
            slots = [key for process in processes(lab, program) for key in process.keys()]
            for netns, address, certificates in use[program]:
                for public in served(lab, netns, address)[:certificates]:
                    assert public in [key.public for key in slots], f"{program} does not have the key of {address} in a slot"
            print(f"  {program}: {len(slots)} slots, {len(use[program])} certificates served", flush=True)
            keys += slots

        step("nothing of them is in what would be dumped")
        for program in programs:
            for process in processes(lab, program):
                found, size = process.search(keys)
                assert not found, "\n".join(found)
                assert size > 1 << 20, f"only {size} bytes of {program} were read"
                print(f"  {program} ({process.pid}): {size / (1 << 20):.1f} MiB searched for {len(keys)} secrets", flush=True)

        step("the search finds what is there")
        search_finds_what_is_there(lab, keys[0])

        step("and nothing would be dumped at all")
        limits(lab, programs)
        eventually(lambda: not work(lab), "the mesh still works")


if __name__ == "__main__":
    main()

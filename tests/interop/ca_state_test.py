#!/usr/bin/python3
# timeout: 120
# builds: dev
"""What the real weir-ca remembers, and who may use it: machines that join with a token and renew with what they got, revocation,
the audit log, copies of the state while it serves, kills in the middle of many issuances; and a client of another make, where
Debian's python3-grpcio and python3-cryptography are there.
"""
import json
import os
import random
import signal
import ssl
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import ca_test  # noqa: E402
from ca_test import (CA, CREATE, DOMAIN, INVALID_ARGUMENT, OK, OPAQUE, PERMISSION_DENIED, PROXY, UNAUTHENTICATED,  # noqa: E402
                     check_certificate, check_refused, fields_of, message_of, run)

VM, OTHER = f"{DOMAIN}/vm/sa/db", f"{DOMAIN}/vm/sa/web"
NAME = "weir-ca.example.test"  # of the CA, for clients that look for one


class Bench(ca_test.Bench):
    def start_ca(self, *more):
        super().start_ca("--dns", NAME, *more)

    def weir(self, command, *arguments, **more):
        return run("weir-ca", command, "--state", self.state, *arguments, **more)

    def listed(self, what, *arguments):
        return json.loads(self.weir("list", what, "-o", "json", *arguments))[what]

    def join_token(self, identity=VM, *more):
        return self.weir("token", "--identity", identity, *more).strip()

    def keep(self, answer, name):
        """The files of what was got, to be shown in the next connection."""
        path = f"{self.folder}/{name}"
        self.write(f"{name}.pem", "".join(answer.pems[:2]))
        with open(f"{self.requests.folder}/{self.requests.made}.key", encoding="ascii") as file:
            self.write(f"{name}.key", file.read())
        return f"{path}.pem", f"{path}.key"


def joins_once_and_renews(bench):
    token = bench.join_token()
    assert token not in json.dumps(bench.listed("tokens"))
    assert [row["of"] for row in bench.listed("tokens") if row["kind"] == "join"] == [VM]
    with bench.client() as client:
        answer = client.ask(bench.message(), token)
        check_certificate(bench, answer, VM)
        files = bench.keep(answer, "vm-1")
        check_refused(bench, client.ask(bench.message(), token), UNAUTHENTICATED, OPAQUE)
        check_refused(bench, client.ask(bench.message()), UNAUTHENTICATED)
    for round_number in range(2, 4):
        with bench.client(files) as client:
            answer = client.ask(bench.message())
            check_certificate(bench, answer, VM)
            files = bench.keep(answer, f"vm-{round_number}")
            check_refused(bench, client.ask(bench.message(OTHER)), PERMISSION_DENIED)
    # What somebody else asked for on one's behalf does not renew itself.
    with bench.client() as client:
        answer = client.ask(bench.message(), bench.token_a)
        proxy = bench.keep(answer, "proxy")
    with bench.client(proxy) as client:
        check_refused(bench, client.ask(bench.message()), UNAUTHENTICATED)
    # Nor does it survive a kill.
    token = bench.join_token()
    with bench.client() as client:
        assert client.ask(bench.message(), token).status == OK
    assert bench.ca.end(signal.SIGKILL) == -signal.SIGKILL
    bench.start_ca()
    with bench.client() as client:
        check_refused(bench, client.ask(bench.message(), token), UNAUTHENTICATED, OPAQUE)


def tokens_that_are_not_good(bench):
    with bench.client() as client:
        check_refused(bench, client.ask(bench.message(), bench.join_token(VM, "--source", "10.0.0.0/8")), UNAUTHENTICATED, OPAQUE)
        assert client.ask(bench.message(), bench.join_token(VM, "--source", "127.0.0.0/8")).status == OK
        bad = bench.join_token()
        check_refused(bench, client.ask(message_of("no request"), bad), INVALID_ARGUMENT)
        check_refused(bench, client.ask(bench.message(), bad), UNAUTHENTICATED, OPAQUE)
        foreign = bench.join_token("spiffe://other.test/ns/a/sa/b")
        check_refused(bench, client.ask(bench.message(), foreign), PERMISSION_DENIED)
        old = bench.join_token(VM, "--ttl", "1s")
        bench.until("the token is over", lambda: [r for r in bench.listed("tokens") if r["kind"] == "join"][0]["state"] == "over")
        check_refused(bench, client.ask(bench.message(), old), UNAUTHENTICATED, OPAQUE)
    assert not [row for row in bench.listed("tokens") if row["kind"] == "join"]
    for bad in (("--identity", "web"), ("--identity", VM, "--node", "x"), (), ("--identity", VM, "--ttl", "8d"),
                ("--identity", VM, "--source", "10.0.0.0/33"), ("--node", "x", "--source", "10.0.0.0/8")):
        bench.weir("token", *bad, code=2)


def each_one_has_its_line(bench):
    with bench.client() as client:  # what would clear a terminal, or move about on it
        check_refused(bench, client.ask(bench.message("\x1b[2J\x9b2J"), bench.token_a), INVALID_ARGUMENT)
    assert [line["identity"] for line in bench.listed("audit")][:1] == ["\x1b[2J\x9b2J"]
    assert all(line.isascii() and line.isprintable() for line in bench.weir("list", "audit").splitlines())
    lines = bench.listed("audit")
    seen = {(line["outcome"], line["proof"]) for line in lines}
    assert {("given", "itself"), ("given", "join-token"), ("given", "certificate"), ("given", "node-token"), ("refused", "join-token"),
            ("refused", "none"), ("made", "command-line")} <= seen, seen
    of_vm = bench.listed("audit", "--identity", VM)
    assert of_vm and {line["identity"] for line in of_vm} == {VM}
    refused = [line for line in lines if line["reason"] == "the join token is not for that address"]
    assert [line["asker"] for line in refused] == ["127.0.0.1"], refused
    certificates = {row["serial"]: row for row in bench.listed("certificates")}
    given = [line["serial"] for line in lines if line["outcome"] == "given"]
    assert sorted(given) == sorted(certificates) and all(certificates[s]["state"] == "valid" for s in given)
    table = bench.weir("list").splitlines()
    assert table[0].split() == ["SERIAL", "IDENTITY", "NODE", "PROOF", "NOT-AFTER", "STATE"] and len(table) == len(given) + 1
    assert "fine" in bench.weir("check")


def what_is_revoked(bench):
    with bench.client() as client:
        answer = client.ask(bench.message(), bench.join_token())
        serial = check_certificate(bench, answer, VM)
        first = bench.keep(answer, "first")
    with bench.client(first) as client:
        answer = client.ask(bench.message())
        second = bench.keep(answer, "second")
        assert answer.status == OK
        bench.weir("revoke", "--serial", serial, "--reason", "lost")
        check_refused(bench, client.ask(bench.message()), UNAUTHENTICATED)  # also on a connection that lives
    with bench.client(second) as client:
        assert client.ask(bench.message()).status == OK
        bench.weir("revoke", "--identity", VM)
        check_refused(bench, client.ask(bench.message()), UNAUTHENTICATED)
        check_refused(bench, client.ask(bench.message(), bench.join_token()), PERMISSION_DENIED, "the identity is revoked")
        assert {row["state"] for row in bench.listed("certificates", "--identity", VM)} == {"revoked"}
        bench.weir("revoke", "--identity", VM, "--lift")
        check_refused(bench, client.ask(bench.message()), UNAUTHENTICATED)
        assert client.ask(bench.message(), bench.join_token()).status == OK
    assert "already" in bench.weir("revoke", "--serial", serial, code=1)
    assert "no such certificate" in bench.weir("revoke", "--serial", "abc", code=1)
    for bad in ((), ("--serial", "XYZ"), ("--serial", serial, "--lift"), ("--identity", "x"), ("--identity", VM, "--serial", serial)):
        bench.weir("revoke", *bad, code=2)


def a_copy_while_it_serves(bench):
    csr, copy, other = bench.requests.make(), f"{bench.folder}/copy", f"{bench.folder}/other"
    with bench.client() as client:
        streams = [client.start(message_of(csr), bench.token_a) for _ in range(60)]
        bench.weir("backup", "--out", copy)
        assert {answer.status for answer in client.wait(*streams)} == {OK}
    assert os.stat(copy).st_mode & 0o777 == 0o600
    bench.weir("backup", "--out", copy, code=1)
    run("weir-ca", "restore", "--state", other, "--from", copy)
    assert "fine" in run("weir-ca", "check", "--state", other)
    assert run("weir-ca", "roots", "--state", other) == bench.weir("roots")
    assert "move it away" in bench.weir("restore", "--from", copy, code=1)
    old = {row["serial"] for row in json.loads(run("weir-ca", "list", "--state", other, "-o", "json"))["certificates"]}
    assert old and old <= {row["serial"] for row in bench.listed("certificates")}


ISSUANCES, AT_ONCE = 10000, 60


def killed_again_and_again(bench):
    """Whoever holds a certificate finds it and its line; no serial comes twice; nothing is half. Through ISSUANCES of them."""
    rng, message, serials = random.Random(int(os.environ.get("WEIR_SEED", 7))), message_of(bench.requests.make()), []
    kills = 0
    while len(serials) < ISSUANCES:
        serials += issued_until_killed(bench, message, rng, lambda: bench.ca.process.send_signal(signal.SIGKILL))
        kills += 1
        assert bench.ca.end(signal.SIGKILL) == -signal.SIGKILL
        assert "fine" in bench.weir("check")
        bench.start_ca()
    print(f"     {len(serials)} certificates, {kills} kills")
    with_line = {serial for serial, in bench.ledger("SELECT serial FROM audit WHERE outcome = 'given'")}
    assert kills > 12 and len(set(serials)) == len(serials) and set(serials) <= with_line


def issued_until_killed(bench, message, rng, kill, may_be=(OK,)):
    """The serials that it gives on one connection until kill(), which ends it, at any moment. may_be: the answers."""
    client, wanted = bench.client(), rng.randrange(900)  # a node has a thousand at once
    done = []
    while len(done) < wanted:
        client.answers.clear()
        streams = [client.start(message, bench.token_b) for _ in range(AT_ONCE)]
        left = min(AT_ONCE, wanted - len(done))
        while sum(client.answers[stream].ended for stream in streams) < left:
            client.read()
        if left < AT_ONCE:
            break
        done += [client.answers[stream] for stream in streams]
        client.answers.clear()
    kill()
    try:
        while not client.closed:
            client.read()
    except (ConnectionError, ssl.SSLError, OSError):
        pass
    client.socket.close()
    done += client.answers.values()
    ended = [answer for answer in done if answer.ended]
    assert {answer.status for answer in ended} <= set(may_be), {(answer.status, answer.message) for answer in ended}
    return [serial_of(answer.pems[0]) for answer in ended if answer.status == OK]


def serial_of(pem):
    """The INTEGER after `[0] version v3`."""
    der = ssl.PEM_cert_to_DER_cert(pem)
    at = der.index(b"\xa0\x03\x02\x01\x02") + 5
    assert der[at] == 2 and der[at + 1] < 128
    return der[at + 2:at + 2 + der[at + 1]].lstrip(b"\0").hex()


def a_client_of_another_make(bench):
    try:
        import grpc
        from cryptography import x509
        from cryptography.hazmat.primitives import hashes, serialization
        from cryptography.hazmat.primitives.asymmetric import ec
    except ImportError as error:
        print(f"     (without it: {error})")
        return
    key = ec.generate_private_key(ec.SECP256R1())
    csr = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([])).add_extension(
        x509.SubjectAlternativeName([x509.UniformResourceIdentifier(OTHER)]), False).sign(key, hashes.SHA256())
    with open(bench.roots, "rb") as file:
        credentials = grpc.ssl_channel_credentials(root_certificates=file.read())
    with grpc.secure_channel(f"127.0.0.1:{bench.port}", credentials,
                             options=(("grpc.ssl_target_name_override", NAME),)) as channel:
        create = channel.unary_unary(CREATE)
        message = message_of(csr.public_bytes(serialization.Encoding.PEM).decode())
        answer = create(message, metadata=(("authorization", f"Bearer {bench.join_token()}"),), timeout=ca_test.DEADLINE_S)
        leaf, intermediate, root = (x509.load_pem_x509_certificate(data) for number, data in fields_of(answer) if number == 1)
        names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName)
        assert names.critical and [name.value for name in names.value] == [VM]
        assert not leaf.extensions.get_extension_for_class(x509.BasicConstraints).value.ca and not list(leaf.subject)
        assert leaf.public_key().public_numbers() == key.public_key().public_numbers()
        assert leaf.serial_number.bit_length() > 100
        for child, parent in ((leaf, intermediate), (intermediate, root), (root, root)):
            parent.public_key().verify(child.signature, child.tbs_certificate_bytes, ec.ECDSA(child.signature_hash_algorithm))
        try:
            create(message, metadata=(("authorization", "Bearer x"),), timeout=ca_test.DEADLINE_S)
            raise AssertionError("a stranger was answered")
        except grpc.RpcError as error:
            assert error.code() == grpc.StatusCode.UNAUTHENTICATED and error.details() == OPAQUE


def its_own_names(bench):
    with bench.client() as client:
        names = client.socket.getpeercert()["subjectAltName"]
    assert names == (("URI", CA), ("DNS", NAME)), names
    said = run("weir-ca", "serve", "--state", bench.state, "--controller", "127.0.0.1:1", *(["--dns", "a"] * 5), code=2)
    assert "--dns" in said
    assert PROXY in {row["identity"] for row in bench.listed("certificates")}


CHECKS = (joins_once_and_renews, tokens_that_are_not_good, each_one_has_its_line, its_own_names, a_client_of_another_make,
          what_is_revoked, a_copy_while_it_serves, killed_again_and_again)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    ca_test.play_checks("ca-state", Bench, CHECKS)

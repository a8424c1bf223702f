#!/usr/bin/python3
# timeout: 60
# builds: dev
"""The CA's JSON API with the real weir-ca and the real curl: what is issued, renewed, listed, revoked, and by whom; each refusal with
its field and its remedy; the roots as a SPIFFE bundle, also while they are rotated; and that every path, status and field is as
docs/ca-openapi.yaml says.
"""
import base64
import json
import os
import ssl
import subprocess
import sys
import tempfile
import urllib.parse

import yaml

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import ca_test  # noqa: E402
from ca_test import DEADLINE_S, DOMAIN, PROXY, openssl, run  # noqa: E402

ADMIN, VM, OTHER = f"{DOMAIN}/ops/sa/admin", f"{DOMAIN}/vm/sa/db", f"{DOMAIN}/vm/sa/web"
NAME = "weir-ca.example.test"
DOCUMENT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../docs/ca-openapi.yaml")


class Api:
    def __init__(self, bench, port):
        self.bench, self.port, self.seen = bench, port, set()
        with open(DOCUMENT, encoding="utf-8") as file:
            self.document = yaml.safe_load(file)

    def curl(self, method, path, body=None, token=None, files=None, more=()):
        command = ["curl", "-sS", "--tlsv1.3", "--cacert", self.bench.roots, "--resolve", f"{NAME}:{self.port}:127.0.0.1", "-X", method,
                   "-w", "\n%{http_code} %{content_type}", f"https://{NAME}:{self.port}{path}", *more]
        if body is not None:
            command += ["-H", "Content-Type: application/json", "--data-binary", body if isinstance(body, str) else json.dumps(body)]
        if token is not None:
            command += ["-H", f"Authorization: {token}"]
        if files:
            command += ["--cert", files[0], "--key", files[1]]
        out = subprocess.run(command, capture_output=True, text=True, timeout=DEADLINE_S, check=True).stdout
        answer, _, last = out.rpartition("\n")
        status, kind = last.split(" ", 1)
        return int(status), kind, answer

    def ask(self, method, path, *arguments, **more):
        status, kind, text = self.curl(method, path, *arguments, **more)
        assert kind == "application/json", (status, kind, text)
        answer = json.loads(text)
        self.check(method, path.split("?")[0], status, answer)
        return status, answer

    def resolved(self, node):
        while "$ref" in node:
            at = self.document
            for part in node["$ref"].split("/")[1:]:
                at = at[part]
            node = at
        return node

    def check(self, method, path, status, answer):
        operation = self.document["paths"][path][method.lower()]
        response = self.resolved(operation["responses"][str(status)])
        self.match(response["content"]["application/json"]["schema"], answer, path)
        self.seen.add((method, path, status))

    def match(self, schema, value, where):
        schema = self.resolved(schema)
        kinds = {"object": dict, "array": list, "string": str, "integer": int, "boolean": bool}
        assert isinstance(value, kinds[schema["type"]]), (where, value)
        assert value in schema.get("enum", [value]), (where, value)
        if schema["type"] == "object" and "properties" in schema:
            assert set(schema.get("required", [])) <= set(value) <= set(schema["properties"]), (where, sorted(value))
            for name, member in value.items():
                self.match(schema["properties"][name], member, f"{where}.{name}")
        if schema["type"] == "array":
            for item in value:
                self.match(schema["items"], item, f"{where}[]")

    def refused(self, expected, field, method, path, *arguments, **more):
        status, answer = self.ask(method, path, *arguments, **more)
        error = answer.get("error")
        assert status == expected and error and error["field"] == field and error["remedy"], (status, answer)
        return error["message"]


def csr_of(bench):
    return bench.requests.make()


def keep(bench, answer, name):
    with open(f"{bench.requests.folder}/{bench.requests.made}.key", encoding="ascii") as file:
        return bench.write(f"{name}.pem", "".join(answer["chain"])), bench.write(f"{name}.key", file.read())


def bearer(token):
    return f"Bearer {token}"


def the_document_has_what_is_served(api):
    status, kind, text = api.curl("GET", "/v1/nothing")
    served = {tuple(line.split()) for line in text.splitlines()[1:]}
    assert status == 404 and kind.startswith("text/plain"), (status, kind)
    assert served == {(m.upper(), path) for path, item in api.document["paths"].items() for m in item}, served
    assert api.curl("DELETE", "/v1/tokens")[0] == 405


def everybody_sees(api, bench):
    status, health = api.ask("GET", "/v1/health")
    assert status == 200 and health["status"] == "ok" and health["trust_domain"] == "cluster.local", health
    status, bundle = api.ask("GET", "/v1/bundle")
    with open(bench.roots, encoding="ascii") as file:
        assert status == 200 and bundle["roots"] == file.read()
    for path in ("/v1/certificates", "/v1/tokens", "/v1/revocations", "/v1/audit"):
        api.refused(401, "", "GET", path)
    api.refused(401, "", "POST", "/v1/tokens", {"node": "n"})
    api.refused(401, "", "POST", "/v1/revocations", {"identity": VM})


def issued_and_renewed(api, bench):
    token = run("weir-ca", "token", "--state", bench.state, "--identity", VM).strip()
    status, answer = api.ask("POST", "/v1/certificates", {"csr": csr_of(bench), "ttl_seconds": 3600}, bearer(token))
    assert status == 200 and answer["identity"] == VM and len(answer["chain"]) == 2, answer
    files = keep(bench, answer, "vm")
    openssl("verify", "-x509_strict", "-purpose", "sslclient", "-CAfile", bench.roots, "-untrusted", files[0], files[0])
    assert bench.ledger(f"SELECT identity, proof FROM issued WHERE serial = '{answer['serial']}'") == [(VM, "join-token")]
    again = {"csr": csr_of(bench)}
    api.refused(401, "", "POST", "/v1/certificates", again, bearer(token))  # it was good once
    status, renewed = api.ask("POST", "/v1/certificates", again, files=files)
    assert status == 200 and renewed["identity"] == VM and renewed["serial"] != answer["serial"]
    files = keep(bench, renewed, "vm-2")
    api.refused(403, "", "POST", "/v1/certificates", {"csr": csr_of(bench), "identity": OTHER}, files=files)
    api.refused(403, "", "GET", "/v1/certificates", files=files)  # no administrator
    api.refused(403, "", "POST", "/v1/tokens", {"node": "n"}, files=files)
    # A node's token: for the proxy itself; whom it runs is not known here, since there is no controller.
    api.refused(400, "csr", "POST", "/v1/certificates", again, bearer(bench.token_a))  # its key is the machine's
    again = {"csr": csr_of(bench)}
    status, answer = api.ask("POST", "/v1/certificates", again, bearer(bench.token_a))
    assert status == 200 and answer["identity"] == PROXY
    api.refused(503, "", "POST", "/v1/certificates", {"csr": csr_of(bench), "identity": VM}, bearer(bench.token_a))
    api.refused(403, "identity", "POST", "/v1/certificates", {"csr": csr_of(bench), "identity": "spiffe://other.test/ns/a/sa/b"},
                bearer(bench.token_a))
    return files


def bad_requests(api, bench):
    token, path, csr = bearer(bench.token_a), "/v1/certificates", csr_of(bench)
    openssl("ecparam", "-name", "secp384r1", "-genkey", "-noout", "-out", f"{bench.folder}/p384.key")
    p384 = openssl("req", "-new", "-key", f"{bench.folder}/p384.key", "-subj", "/")
    for body, field in (("", ""), ("{", ""), ("[]", ""), ('{"csr":1}', "csr"), ("{}", "csr"), ('{"csr":"x","csr":"y"}', ""),
                        ({"csr": csr, "uri": "spiffe://x"}, "uri"), ({"csr": "nonsense"}, "csr"), ({"csr": csr[:200] + csr[210:]}, "csr"),
                        ({"csr": p384}, "csr"), ({"csr": csr, "ttl_seconds": 0}, "ttl_seconds"), ({"csr": csr, "ttl_seconds": "1h"}, "ttl_seconds"),
                        ({"csr": csr, "identity": "spiffe://cluster.local/../x"}, "identity"), ({"csr": "x" * 9000}, "csr")):
        api.refused(400, field, "POST", path, body, token)
    for bad in ("Basic x", "Bearer", "Bearer a b"):
        api.refused(401, "", "POST", path, {"csr": csr}, bad)
    api.refused(401, "", "POST", path, {"csr": csr})
    api.refused(401, "", "POST", path, {"csr": csr}, bearer("x" * 43))
    assert api.curl("POST", path, "x" * 70000, token)[0] == 413


def administered(api, bench, vm_files):
    run("weir-ca", "issue", "--state", bench.state, "--identity", ADMIN, "--out", f"{bench.folder}/admin")
    files = f"{bench.folder}/admin.pem", f"{bench.folder}/admin.key"
    for body, field in (({}, "node"), ({"node": "a", "identity": VM}, "node"), ({"node": "a b"}, "node"), ({"identity": "x"}, "identity"),
                        ({"identity": VM, "source": "here"}, "source"), ({"identity": VM, "ttl_seconds": 8 * 86400}, "ttl_seconds"),
                        ({"for": VM}, "for")):
        api.refused(400, field, "POST", "/v1/tokens", body, files=files)
    status, made = api.ask("POST", "/v1/tokens", {"identity": OTHER, "source": "127.0.0.0/8", "ttl_seconds": 60}, files=files)
    assert status == 201
    status, web = api.ask("POST", "/v1/certificates", {"csr": csr_of(bench)}, bearer(made["token"]))
    assert status == 200 and web["identity"] == OTHER
    status, made = api.ask("POST", "/v1/tokens", {"node": "node-c"}, files=files)
    assert status == 201 and api.ask("POST", "/v1/certificates", {"csr": csr_of(bench)}, bearer(made["token"]))[0] == 200

    status, all_of = api.ask("GET", "/v1/certificates?identity=" + urllib.parse.quote(VM, safe=""), files=files)
    assert status == 200 and [row["identity"] for row in all_of["rows"]] == [VM, VM], all_of
    assert len(api.ask("GET", "/v1/audit?limit=3", files=files)[1]["rows"]) == 3
    assert [row["of"] for row in api.ask("GET", "/v1/tokens", files=files)[1]["rows"] if row["of"] == "node-c"] == ["node-c"]
    for query, field in (("limit=0", "limit"), ("limit=1001", "limit"), ("limit=x", "limit"), ("identity=vm", "identity"), ("order=up", "")):
        api.refused(400, field, "GET", f"/v1/audit?{query}", files=files)

    for body, field in (({}, "identity"), ({"serial": "XYZ"}, "serial"), ({"serial": "ab", "lift": True}, "lift"),
                        ({"identity": VM, "lift": "no"}, "lift"), ({"identity": VM, "reason": "x" * 257}, "reason")):
        api.refused(400, field, "POST", "/v1/revocations", body, files=files)
    api.refused(404, "", "POST", "/v1/revocations", {"serial": "abcd"}, files=files)
    api.refused(404, "", "POST", "/v1/revocations", {"identity": OTHER, "lift": True}, files=files)
    assert api.ask("POST", "/v1/revocations", {"identity": VM, "reason": "lost"}, files=files)[0] == 200
    api.refused(409, "", "POST", "/v1/revocations", {"identity": VM}, files=files)
    api.refused(401, "", "POST", "/v1/certificates", {"csr": csr_of(bench)}, files=vm_files)
    row, = api.ask("GET", f"/v1/revocations?identity={VM}", files=files)[1]["rows"][-1:]
    assert row["reason"] == "lost", row
    lines = bench.ledger("SELECT outcome, asker, proof FROM audit WHERE outcome IN ('made', 'revoked') AND proof = 'certificate'")
    assert sorted(lines) == [("made", ADMIN, "certificate")] * 2 + [("revoked", ADMIN, "certificate")], lines

    # Who was an administrator is none any more at once.
    serial = openssl("x509", "-in", files[0], "-noout", "-serial").strip().split("=")[1].lower()
    assert api.ask("POST", "/v1/revocations", {"serial": serial}, files=files)[0] == 200
    api.refused(403, "", "GET", "/v1/tokens", files=files)


def bundle_of(api, bench):
    """The SPIFFE bundle: its sequence, and a file of its certificates. openssl, and cryptography where it is installed, find the numbers
    of each key in its certificate."""
    status, answer = api.ask("GET", "/v1/spiffe-bundle")
    assert status == 200 and 0 < answer["spiffe_refresh_hint"] <= 60, answer
    pems = []
    for key in answer["keys"]:
        assert (key["use"], key["kty"], key["crv"], len(key["x5c"])) == ("x509-svid", "EC", "P-256", 1) and "kid" not in key, key
        der = base64.b64decode(key["x5c"][0], validate=True)
        x, y = (base64.urlsafe_b64decode(key[name] + "=") for name in ("x", "y"))
        pems.append(ssl.DER_cert_to_PEM_cert(der))
        public = openssl("x509", "-noout", "-pubkey", text=pems[-1]).replace("PUBLIC KEY", "CERTIFICATE")
        assert ssl.PEM_cert_to_DER_cert(public).endswith(b"\x04" + x + y) and len(x) == len(y) == 32
        try:
            from cryptography import x509
        except ImportError:
            continue
        root = x509.load_der_x509_certificate(der)
        numbers = root.public_key().public_numbers()
        assert (numbers.x, numbers.y) == (int.from_bytes(x, "big"), int.from_bytes(y, "big"))
        assert root.extensions.get_extension_for_class(x509.BasicConstraints).value.ca and root.issuer == root.subject
    return answer["spiffe_sequence"], pems


def others_learn_the_roots(api, bench):
    """Who has the bundle alone verifies what is issued, before, while and after the root is another; the number only grows."""
    def issued():
        status, answer = api.ask("POST", "/v1/certificates", {"csr": csr_of(bench)}, bearer(bench.token_b))
        assert status == 200
        return keep(bench, answer, f"leaf-{bench.requests.made}")[0]

    def verifies(leaf, pems):
        return subprocess.run(["openssl", "verify", "-x509_strict", "-CAfile", bench.write("federated.pem", "".join(pems)), "-untrusted",
                               leaf, leaf], capture_output=True, timeout=DEADLINE_S, check=False).returncode == 0

    def rotated(count, *more):
        """The next step, as soon as it is told; a reader who trusts what the bundle said before it can ask for it."""
        before = bundle_of(api, bench)
        run("weir-ca", "rotate", "root", "--state", bench.state, *more)
        bench.until("another bundle", lambda: bundle_of(api, bench)[0] > before[0])
        _, pems = bundle_of(api, bench)
        assert len(pems) == count, pems
        bench.write("roots.pem", "".join(pems))
        return pems

    first, before = issued(), bundle_of(api, bench)[1]
    assert len(before) == 1 and verifies(first, before)
    both = rotated(2)
    assert both[0] == before[0] and both[1] != before[0] and verifies(first, both)
    signs = rotated(2, "--go-on")
    second = issued()
    assert sorted(signs) == sorted(both) and verifies(first, signs) and verifies(second, signs) and not verifies(second, before)
    after = rotated(1, "--go-on")
    assert after == [both[1]] and verifies(second, after) and not verifies(first, after)


def what_is_revoked_is_listed(api, bench):
    """By the API and the command line; openssl takes a good certificate by it and no revoked one, cryptography reads it where it is installed."""
    leafs = {}
    for name in ("good", "lost"):
        status, answer = api.ask("POST", "/v1/certificates", {"csr": csr_of(bench)}, bearer(bench.token_b))
        assert status == 200
        leafs[name] = keep(bench, answer, f"crl-{name}")[0], answer["serial"], answer["chain"][1]
    issuer = bench.write("crl-issuer.pem", leafs["good"][2])

    def listed():
        """By both; the API's as PEM, and its serials."""
        path = f"{bench.folder}/crl.der"
        assert api.curl("GET", "/v1/crl", more=("-o", path))[:2] == (200, "application/pkix-crl")
        api.seen.add(("GET", "/v1/crl", 200))
        pem = openssl("crl", "-inform", "DER", "-in", path)
        printed = openssl("crl", "-noout", "-text", text=pem)
        serials = {line.split(":")[1].strip().lower() for line in printed.splitlines() if "Serial Number:" in line}
        by_command = openssl("crl", "-noout", "-text", text=run("weir-ca", "crl", "--state", bench.state))
        assert serials == {line.split(":")[1].strip().lower() for line in by_command.splitlines() if "Serial Number:" in line}
        verified = subprocess.run(["openssl", "crl", "-inform", "DER", "-in", path, "-noout", "-CAfile", issuer], capture_output=True, text=True, check=True)
        assert "verify OK" in verified.stderr + verified.stdout, verified
        try:
            from cryptography import x509
        except ImportError:
            return pem, serials, None
        read = x509.load_pem_x509_crl(pem.encode())
        assert {f"{entry.serial_number:x}" for entry in read} == {serial.lstrip("0") for serial in serials}
        assert (read.next_update - read.last_update).total_seconds() == 3600
        return pem, serials, read.extensions.get_extension_for_class(x509.CRLNumber).value.crl_number

    def is_good(name, pem):
        leaf = leafs[name][0]
        result = subprocess.run(["openssl", "verify", "-crl_check", "-CRLfile", bench.write("crl.pem", pem), "-CAfile", bench.roots, "-untrusted", issuer, leaf],
                                capture_output=True, text=True, check=False, timeout=DEADLINE_S)
        assert result.returncode == 0 or "certificate revoked" in result.stderr, result
        return result.returncode == 0

    before, serials, number = listed()
    assert is_good("good", before) and is_good("lost", before) and not serials & {leaf[1] for leaf in leafs.values()}
    version = api.ask("GET", "/v1/bundle")[1]["version"]
    run("weir-ca", "revoke", "--state", bench.state, "--serial", leafs["lost"][1])
    bench.until("the CA has seen it", lambda: api.ask("GET", "/v1/bundle")[1]["version"] > version)
    pem, now, greater = listed()
    assert now - serials == {leafs["lost"][1]} and serials <= now and (number is None or greater > number)
    assert is_good("good", pem) and not is_good("lost", pem)


def main():
    with tempfile.TemporaryDirectory(prefix="weir-ca-api-") as folder:
        bench = ca_test.Bench(folder)
        try:
            port, = ca_test.free_ports(1)
            bench.start_ca("--dns", NAME, "--api-listen", f"127.0.0.1:{port}", "--api-admin", ADMIN)
            api = Api(bench, port)
            bench.until("the API is there", lambda: subprocess.run(
                ["curl", "-sk", "-o", "/dev/null", f"https://127.0.0.1:{port}/v1/health"], check=False).returncode == 0)
            the_document_has_what_is_served(api)
            everybody_sees(api, bench)
            vm_files = issued_and_renewed(api, bench)
            bad_requests(api, bench)
            administered(api, bench, vm_files)
            what_is_revoked_is_listed(api, bench)
            others_learn_the_roots(api, bench)
            assert bench.ca.end(15) == 0
        finally:
            bench.end()
    print(f"ca_api_test: {len(api.seen)} kinds of answers, each as the document says")


if __name__ == "__main__":
    main()

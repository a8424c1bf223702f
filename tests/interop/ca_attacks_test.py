#!/usr/bin/python3
# timeout: 120
"""Each attack on the real weir-ca by what is sent to it: requests (CSRs) that are none, that prove nothing, that ask for more than a
key; tokens that are somebody else's, shown twice, at once, too often. By a client of another make: Python's cryptography and
grpcio, from Debian. Each refusal has its status, its words for the caller, and its reason in the audit log. docs/THREAT-MODEL.md
has the table.
"""
import base64
import concurrent.futures
import os
import re
import signal
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import ca_test  # noqa: E402
from ca_test import CREATE, DEADLINE_S, OPAQUE, PROXY, WEB, fields_of, message_of, openssl, run  # noqa: E402
from certificates import der, der_items  # noqa: E402

try:
    import grpc
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed25519, rsa
except ImportError as error:
    print(f"without a client of another make: {error}")
    sys.exit(77)

NAME = "weir-ca.example.test"
VM = f"{ca_test.DOMAIN}/vm/sa/db"
CSR_WORDS = "csr: must be a PKCS#10 request in PEM with an ECDSA P-256 key, signed by it"
ECDSA_SHA256 = bytes.fromhex("300a06082a8648ce3d040302")
ECDSA_SHA1 = bytes.fromhex("300906072a8648ce3d0401")
RSA_SHA256 = bytes.fromhex("300d06092a864886f70d01010b0500")
LIFE_S = 86400


class Bench(ca_test.Bench):
    def start_ca(self, *more):
        super().start_ca("--dns", NAME, *more)
        with open(self.roots, "rb") as file:
            credentials = grpc.ssl_channel_credentials(root_certificates=file.read())
        self.channel = grpc.secure_channel(f"127.0.0.1:{self.port}", credentials, options=(("grpc.ssl_target_name_override", NAME),))
        self.create = self.channel.unary_unary(CREATE)

    def join_token(self, *more):
        return run("weir-ca", "token", "--state", self.state, "--identity", VM, *more).strip()

    def ask(self, message, token, metadata=()):
        """(status, words, certificates)"""
        if token is not None:
            metadata = (("authorization", f"Bearer {token}"), *metadata)
        try:
            answer = self.create(message, metadata=metadata, timeout=DEADLINE_S)
        except grpc.RpcError as error:
            return error.code().name, error.details(), []
        return "OK", "", [x509.load_pem_x509_certificate(data) for number, data in fields_of(answer) if number == 1]

    def refused(self, what, message, token, status, words, reason, metadata=()):
        """Until there is a line of it: so many refusals in a second have one, and no more."""
        def has_its_line():
            last = self.ledger("SELECT coalesce(max(id), 0) FROM audit")[0][0]
            got = self.ask(message, token, metadata)
            assert got[:2] == (status, words), (what, got)
            lines = self.ledger(f"SELECT outcome, reason FROM audit WHERE id > {last}")
            assert all(line[0] == "refused" and re.search(reason, line[1]) for line in lines), (what, lines)
            return lines
        self.until(what, has_its_line)


def pem(data, label="CERTIFICATE REQUEST"):
    text = base64.encodebytes(data).decode()
    return f"-----BEGIN {label}-----\n{text}-----END {label}-----\n"


def public(key):
    return key.public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)


def bits(data):
    return der(0x03, b"\0" + data)


def made(key, by=None, version=b"\2\1\0", subject=b"\x30\0", public_key=None, attributes=b"\xa0\0", algorithm=ECDSA_SHA256, how=hashes.SHA256,
         signature=None, tail=b"", info_tail=b""):
    """A request by hand (RFC 2986), wrong in one place."""
    info = der(0x30, version, subject, public_key or public(key), attributes, info_tail)
    if signature is None:
        signature = (by or key).sign(info, ec.ECDSA(how()))
    elif callable(signature):
        signature = signature(key.sign(info, ec.ECDSA(hashes.SHA256())))
    return der(0x30, info, algorithm, bits(signature)) + tail


def integers(signature):
    return [int.from_bytes(item[2:], "big") for item in der_items(signature)]


def integer(number):
    return der(0x02, number.to_bytes(number.bit_length() // 8 + 1, "big"))


def by_library(key, *extensions, subject=(), hash_of=hashes.SHA256):
    builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name(subject))
    for extension, critical in extensions:
        builder = builder.add_extension(extension, critical)
    return builder.sign(key, hash_of and hash_of()).public_bytes(serialization.Encoding.PEM).decode()


def san(*names):
    return x509.SubjectAlternativeName(names)


# ---- requests that ask for more than a key -------------------------------------------------------------------------------------

def judged(bench, certificates, key, identity, life_s=LIFE_S):
    """What is issued: to the SPIFFE rules, and nothing of what was asked for besides."""
    leaf, intermediate, root = certificates
    kinds = {extension.oid: extension for extension in leaf.extensions}
    assert {oid._name for oid in kinds} == {  # pylint: disable=protected-access
        "subjectAltName", "basicConstraints", "keyUsage", "extendedKeyUsage", "subjectKeyIdentifier", "authorityKeyIdentifier"}, kinds
    names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    assert names.critical and [(type(name), name.value) for name in names.value] == [(x509.UniformResourceIdentifier, identity)]
    assert not list(leaf.subject)
    constraints = leaf.extensions.get_extension_for_class(x509.BasicConstraints)
    assert constraints.critical and not constraints.value.ca
    usage = leaf.extensions.get_extension_for_class(x509.KeyUsage)
    assert usage.critical and usage.value.digital_signature and not usage.value.key_cert_sign and not usage.value.crl_sign
    uses = leaf.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert sorted(use._name for use in uses) == ["clientAuth", "serverAuth"]  # pylint: disable=protected-access
    assert leaf.public_key().public_numbers() == key.public_key().public_numbers()
    assert leaf.version == x509.Version.v3 and 0 < leaf.serial_number < 1 << 159 and leaf.serial_number.bit_length() > 96
    # Dated back a minute; within the life of what signed it.
    assert (leaf.not_valid_after - leaf.not_valid_before).total_seconds() == life_s + 60
    assert intermediate.not_valid_before <= leaf.not_valid_before < leaf.not_valid_after <= intermediate.not_valid_after <= root.not_valid_after
    for child, parent in ((leaf, intermediate), (intermediate, root), (root, root)):
        assert child.issuer == parent.subject
        parent.public_key().verify(child.signature, child.tbs_certificate_bytes, ec.ECDSA(child.signature_hash_algorithm))
    files = [bench.write(name, certificate.public_bytes(serialization.Encoding.PEM).decode())
             for name, certificate in (("leaf.pem", leaf), ("chain.pem", intermediate))]
    for purpose in ("sslserver", "sslclient"):
        openssl("verify", "-x509_strict", "-purpose", purpose, "-CAfile", bench.roots, "-untrusted", files[1], files[0])


def wishes_are_not_heard(bench):
    key = ec.generate_private_key(ec.SECP256R1())
    uri, name = x509.UniformResourceIdentifier, x509.NameAttribute(x509.NameOID.COMMON_NAME, "weir-ca")
    usage = {use: use in ("key_cert_sign", "crl_sign") for use in (
        "digital_signature", "content_commitment", "key_encipherment", "data_encipherment", "key_agreement", "key_cert_sign", "crl_sign",
        "encipher_only", "decipher_only")}
    wishes = [
        by_library(key),
        by_library(key, (san(uri(WEB)), True)),
        by_library(key, (san(uri(PROXY), uri(WEB)), True)),
        by_library(key, (san(uri("spiffe://other.test/ns/a/sa/b"), x509.DNSName("weir-ca"), x509.RFC822Name("root@example.test")), False)),
        by_library(key, (x509.BasicConstraints(ca=True, path_length=3), True)),
        by_library(key, (x509.KeyUsage(**usage), True)),
        by_library(key, (x509.ExtendedKeyUsage([x509.ExtendedKeyUsageOID.CODE_SIGNING]), True)),
        by_library(key, (x509.NameConstraints([x509.DNSName("example.test")], None), True)),
        by_library(key, (x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.4.5"), b"\5\0"), True)),
        by_library(key, subject=[name]),
        by_library(key, hash_of=hashes.SHA512),
        pem(made(key, attributes=der(0xa0, der(0x30, bytes.fromhex("06092a864886f70d010907"), der(0x31, der(0x0c, b"secret")))))),
        pem(made(key), "NEW CERTIFICATE REQUEST"),
    ]
    serials = set()
    for csr in wishes:
        status, words, certificates = bench.ask(message_of(csr), bench.token_a)
        assert status == "OK", (words, csr)
        judged(bench, certificates, key, PROXY)
        serials.add(certificates[0].serial_number)
    assert len(serials) == len(wishes)
    # Nor is a longer life than the CA gives to anybody, or one that has no length.
    for asked, given in ((1, 60), (3600, 3600), (10 ** 12, 90 * 86400), (0, LIFE_S)):
        status, words, certificates = bench.ask(message_of(by_library(key), validity_s=asked), bench.token_a)
        assert status == "OK", words
        judged(bench, certificates, key, PROXY, given)


# ---- requests that are refused ------------------------------------------------------------------------------------------------

def attacks_by_requests():
    """(what, the request's text, the reason in the audit log)"""
    key, other = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    order = 0xffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551
    good, whole = pem(made(key)), made(key)
    ec_kind, wrong = "only ECDSA P-256 keys", "the signature is wrong"
    malformed, point = "malformed certificate signing request", "the public key is not a point of P-256"

    for curve in (ec.SECP192R1, ec.SECP224R1, ec.SECP384R1, ec.SECP521R1, ec.SECP256K1):
        yield curve.name, by_library(ec.generate_private_key(curve())), ec_kind
    for size in (512, 1024, 2048):
        yield f"RSA of {size} bits", by_library(rsa.generate_private_key(65537, size)), ec_kind
    large = der(0x30, der(0x30, bytes.fromhex("06092a864886f70d0101010500")), bits(der(0x30, integer((1 << 16384) - 1), integer(65537))))
    yield "RSA of 16384 bits", pem(made(key, public_key=large)), ec_kind
    yield "Ed25519", by_library(ed25519.Ed25519PrivateKey.generate(), hash_of=None), ec_kind
    yield "DSA", by_library(dsa.generate_private_key(1024)), ec_kind

    yield "another's key, signed by one's own", pem(made(key, by=other)), wrong
    yield "the signature of another request", pem(made(key, signature=made(other)[-71:])), "signature"
    yield "no signature", pem(made(key, signature=b"")), "signature"
    yield "r = s = 0", pem(made(key, signature=der(0x30, integer(0), integer(0)))), "signature"
    yield "r = s = the group's order", pem(made(key, signature=der(0x30, integer(order), integer(order)))), "signature"
    yield "a signature as JOSE has it", pem(made(key, signature=lambda s: b"".join(n.to_bytes(32, "big") for n in integers(s)))), "signature"
    yield "a number with a zero too many", pem(made(key, signature=lambda s: der(0x30, *(der(0x02, b"\0\0" + n.to_bytes(32, "big")) for n in integers(s))))), \
        "signature"
    yield "bytes after the signature's numbers", pem(made(key, signature=lambda s: s + b"\0")), "signature"
    yield "signed by way of SHA-1", pem(made(key, algorithm=ECDSA_SHA1, how=hashes.SHA1)), "algorithm is not accepted"
    yield "an algorithm of RSA", pem(made(key, algorithm=RSA_SHA256)), "of another kind"
    yield "another hash than it says", pem(made(key, how=hashes.SHA384)), wrong

    numbers = key.public_key().public_bytes(serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint)
    compressed = key.public_key().public_bytes(serialization.Encoding.X962, serialization.PublicFormat.CompressedPoint)
    kind = der_items(public(key))[0]
    for what, at in (("not on the curve", numbers[:-1] + bytes((numbers[-1] ^ 1,))), ("at infinity", b"\0"), ("zero", b"\4" + bytes(64)),
                     ("compressed", compressed), ("in the hybrid form", bytes((6 | numbers[-1] & 1,)) + numbers[1:])):
        yield f"a point {what}", pem(made(key, public_key=der(0x30, kind, bits(at)))), f"{point}|malformed"
    yield "a key of no algorithm", pem(made(key, public_key=der(0x30, der(0x30, bytes.fromhex("06032a0304")), bits(numbers)))), ec_kind

    yield "bytes after the request", pem(made(key, tail=b"\0")), malformed
    yield "another request after the request", pem(made(key, tail=whole)), malformed
    yield "bytes after its last field", pem(made(key, info_tail=b"\5\0")), malformed
    yield "another version", pem(made(key, version=b"\2\1\1")), malformed
    yield "no attributes", pem(made(key, attributes=b"")), malformed
    yield "a length in more bytes than it needs", pem(b"\x30\x83\0" + len(whole[4:] if whole[1] == 0x82 else whole[3:]).to_bytes(2, "big")
                                                      + (whole[4:] if whole[1] == 0x82 else whole[3:])), malformed
    yield "a length without an end (BER)", pem(b"\x30\x80" + (whole[4:] if whole[1] == 0x82 else whole[3:]) + b"\0\0"), malformed
    yield "cut", pem(whole[:-1]), malformed
    yield "nothing in it", pem(b""), "malformed|base 64"
    yield "a certificate's text", pem(whole, "CERTIFICATE"), "no certificate signing request"
    yield "a private key before it", key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8,
                                                       serialization.NoEncryption()).decode() + good, "no certificate signing request"
    yield "two requests", good + pem(made(other)), "more than one PEM block"
    yield "a block without an end after it", good + "-----BEGIN CERTIFICATE REQUEST-----\n", "more than one PEM block"
    yield "fields before its base 64", good.replace("-----\n", "-----\nProc-Type: 4,ENCRYPTED\n\n", 1), "base 64"
    yield "no base 64", good.replace("\n", "\n*", 1), "base 64"
    yield "8 KiB of wishes", by_library(key, (san(*(x509.DNSName(f"{n}.{'x' * 50}.test") for n in range(120))), False)), "no certificate signing request"
    yield "no text", "", "no certificate signing request|malformed"


def requests_are_refused(bench):
    issued = bench.ledger("SELECT count(*) FROM issued")
    n = 0
    for what, csr, reason in attacks_by_requests():
        bench.refused(what, message_of(csr), bench.token_a, "INVALID_ARGUMENT", CSR_WORDS, reason)
        n += 1
    assert bench.ledger("SELECT count(*) FROM issued") == issued
    print(f"     {n} requests, each refused with its reason")


def messages_that_are_too_large(bench):
    status, _, _ = bench.ask(message_of("A" * 70000), bench.token_a)
    assert status == "RESOURCE_EXHAUSTED", status
    bench.refused("text that is none", message_of("A" * 60000), bench.token_a, "INVALID_ARGUMENT", CSR_WORDS, "no certificate signing")


def keys_of_others(bench):
    """A request that was seen gives nobody else a certificate; whose key it is renews with it."""
    message = message_of(by_library(ec.generate_private_key(ec.SECP256R1())))
    assert bench.ask(message, bench.token_a)[0] == "OK"
    for _ in range(2):
        got = bench.ask(message, bench.join_token())
        assert got[:2] == ("INVALID_ARGUMENT", "csr: its key is another identity's; make a new key"), got
    assert bench.ledger("SELECT reason FROM audit ORDER BY id DESC LIMIT 1") == [("the key is another identity's",)]
    assert bench.ask(message, bench.token_b)[0] == "OK"


# ---- tokens -------------------------------------------------------------------------------------------------------------------

def tokens_are_refused(bench):
    message = message_of(by_library(ec.generate_private_key(ec.SECP256R1())))
    lower = ("authorization", f"bearer {bench.token_a}")
    assert bench.ask(message, None, (lower,))[0] == "OK", "a scheme has no case (RFC 7235, 2.1)"
    for what, value in (("none", None), ("another scheme", f"Basic {bench.token_a}"), ("nothing after the scheme", "Bearer"), ("no scheme", bench.token_a),
                        ("a space too many", f"Bearer  {bench.token_a}"), ("something after it", f"Bearer {bench.token_a} x"),
                        ("two in one", f"Bearer {bench.token_a},{bench.token_b}"), ("a JWT", "Bearer eyJhbGciOiJub25lIn0.e30.")):
        metadata = (("authorization", value),) if value is not None else ()
        bench.refused(what, message, None, "UNAUTHENTICATED", OPAQUE, "there is no token|the token is unknown", metadata)
    # Of two, which one counts would depend on who reads them.
    for first, second in ((bench.token_a, bench.token_b), (bench.token_a, bench.token_a), (bench.token_a, "x"), ("x", bench.token_a)):
        status, _, certificates = bench.ask(message, first, (("authorization", f"Bearer {second}"),))
        assert status in ("INTERNAL", "INVALID_ARGUMENT", "UNKNOWN") and not certificates, status


def shown_to_many_at_once(bench):
    """A join token gives one certificate, however many show it in one moment."""
    key = ec.generate_private_key(ec.SECP256R1())
    message = message_of(by_library(key))
    for _ in range(5):
        token = bench.join_token()
        before = bench.ledger("SELECT count(*) FROM issued")[0][0]
        with concurrent.futures.ThreadPoolExecutor(16) as pool:
            answers = list(pool.map(lambda _: bench.ask(message, token), range(16)))
        assert sorted(answer[0] for answer in answers) == ["OK"] + ["UNAUTHENTICATED"] * 15, [answer[:2] for answer in answers]
        assert {answer[1] for answer in answers} == {"", OPAQUE}
        judged(bench, next(answer[2] for answer in answers if answer[2]), key, VM)
        assert bench.ledger("SELECT count(*) FROM issued")[0][0] == before + 1


def who_asks_too_often(bench):
    """A node's requests have their rate, and another's notices nothing."""
    with bench.client() as client:
        seen, asked = set(), 0
        while ca_test.RESOURCE_EXHAUSTED not in seen:
            assert asked < 200000, "never"
            streams = [client.start(b"\xff", bench.token_a) for _ in range(50)]
            answers = client.wait(*streams)
            seen |= {answer.status for answer in answers}
            asked += len(streams)
        assert seen == {ca_test.INVALID_ARGUMENT, ca_test.RESOURCE_EXHAUSTED}, seen
        assert asked >= 1000, asked  # so many at once are nobody's mistake
        message = bench.message()
        ca_test.check_certificate(bench, client.ask(message, bench.token_b), PROXY)
    bench.until("it may ask again", lambda: bench.ask(message, bench.token_a)[0] == "OK")


def ends(bench):
    bench.channel.close()
    assert bench.ca.end() == 0


CHECKS = (wishes_are_not_heard, requests_are_refused, messages_that_are_too_large, keys_of_others, tokens_are_refused, shown_to_many_at_once, who_asks_too_often, ends)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    ca_test.play_checks("ca-attacks", Bench, CHECKS)

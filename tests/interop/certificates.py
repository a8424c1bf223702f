"""Certificates that no CA should issue, made by the openssl command: expired ones, two identities, other authorities."""
import os
import sqlite3
import ssl
import subprocess
import time

HOUR_S = 3600
ORDINARY = ("basicConstraints=critical,CA:FALSE", "keyUsage=critical,digitalSignature",
            "extendedKeyUsage=serverAuth,clientAuth")
AUTHORITY = ("basicConstraints=critical,CA:TRUE", "keyUsage=critical,keyCertSign,cRLSign")
CONFIGURATION = """
[ca]
default_ca = this
[this]
database = {folder}/index
new_certs_dir = {folder}
rand_serial = yes
default_md = sha256
policy = any
unique_subject = no
[any]
organizationName = optional
commonName = optional
[made]
{extensions}
"""


def openssl(*arguments, **more):
    return subprocess.run(["openssl", *arguments], check=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                          **more).stdout


def write(path, text):
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
        file.write(text)


def read(path):
    with open(path, encoding="utf-8") as file:
        return file.read()


def subject_of(certificate):
    """As -subj wants it; none of our subjects has characters that need more care."""
    text = openssl("x509", "-in", certificate, "-noout", "-subject", "-nameopt", "RFC2253").split("=", 1)[1].strip()
    return "/" + "/".join(reversed(text.split(",")))


class Signer:
    """Whoever signs: a certificate, its key and what lies between it and the root."""

    def __init__(self, folder, certificate, key, chain=""):
        self.folder, self.certificate, self.key, self.chain, self.made = folder, certificate, key, chain, 0
        os.makedirs(folder, exist_ok=True)

    def make(self, uris=(), extensions=ORDINARY, names=(), begins_s=-HOUR_S, ends_s=HOUR_S, subject="/O=weir test",
             chain=True, self_signed=False):
        """A certificate with a new key: (chain, key), files. Times count from now."""
        self.made += 1
        path = f"{self.folder}/{self.made}"
        san = ["URI:" + uri.replace("#", r"\#") for uri in uris] + [f"DNS:{name}" for name in names]
        lines = list(extensions) + (["subjectAltName=" + ",".join(san)] if san else [])
        write(path + ".conf", CONFIGURATION.format(folder=self.folder, extensions="\n".join(lines)))
        write(self.folder + "/index", "")
        openssl("req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", subject,
                "-keyout", path + ".key", "-out", path + ".csr")
        by = ["-selfsign", "-keyfile", path + ".key"] if self_signed else ["-cert", self.certificate, "-keyfile", self.key]
        openssl("ca", "-batch", "-notext", "-config", path + ".conf", "-extensions", "made", *by, "-in", path + ".csr",
                "-out", path + ".leaf", "-startdate", self.date(begins_s), "-enddate", self.date(ends_s))
        rest = "" if self_signed or not chain else read(self.certificate) + self.chain
        write(path + ".pem", read(path + ".leaf") + rest)
        return path + ".pem", path + ".key"

    @staticmethod
    def date(seconds):
        return time.strftime("%Y%m%d%H%M%SZ", time.gmtime(time.time() + seconds))

    def signer(self, folder, certificate_key, root=False):
        """A certificate that was made here, as a signer itself."""
        certificate, key = certificate_key
        return Signer(folder, certificate, key, "" if root else read(self.certificate) + self.chain)


def new_root(folder, subject="/O=weir test/CN=another root"):
    maker = Signer(folder, None, None)
    certificate, key = maker.make(extensions=AUTHORITY, subject=subject, self_signed=True)
    return Signer(folder + "/of", certificate, key)


def lab_intermediate(lab):
    """The lab's own issuing intermediate: what it signs is good, if it should be."""
    state = sqlite3.connect(f"file:{lab.run}/ca/state/{state_file(lab)}?mode=ro", uri=True)
    try:
        certificate, key = state.execute("SELECT certificate, key FROM authority WHERE kind = 'intermediate' "
                                         "ORDER BY id DESC LIMIT 1").fetchone()
    finally:
        state.close()
    folder = lab.work + "/intermediate"
    os.makedirs(folder)
    write(folder + "/ca.pem", certificate)
    write(folder + "/ca.key", key)
    return Signer(folder, folder + "/ca.pem", folder + "/ca.key")


def state_file(lab):
    return next(name for name in os.listdir(lab.run + "/ca/state") if name.endswith((".db", ".sqlite")))


# ---- each class of certificate that must be refused ------------------------------------------------------


def der(tag, *contents):
    data = b"".join(contents)
    n = len(data)
    size = bytes((n,)) if n < 128 else bytes((0x81, n)) if n < 256 else bytes((0x82, n >> 8, n & 255))
    return bytes((tag,)) + size + data


def der_items(data):
    """The elements of a SEQUENCE, each whole."""
    def header(at):
        n, at = data[at + 1], at + 2
        if n < 128:
            return n, at
        return int.from_bytes(data[at:at + n - 128], "big"), at + n - 128
    size, at = header(0)
    end, items = at + size, []
    while at < end:
        size, begin = header(at)
        items.append(data[at:begin + size])
        at = begin + size
    return items


def clone_of(root, folder, uri):
    """CVE-2026-93302: a copy of the trust anchor with a key of one's own and whatever identity is wanted, and still with
    the anchor's signature, which is now wrong: (certificate, key), files."""
    path = folder + "/clone"
    openssl("genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", path + ".key")
    key = ssl.PEM_cert_to_DER_cert(openssl("pkey", "-in", path + ".key", "-pubout").replace("PUBLIC KEY", "CERTIFICATE"))
    pem = read(root)
    first = pem[:pem.index("-----END CERTIFICATE-----")] + "-----END CERTIFICATE-----\n"
    tbs, algorithm, signature = der_items(ssl.PEM_cert_to_DER_cert(first))
    fields = der_items(tbs)
    san = der(0x30, bytes.fromhex("0603551d11"), der(0x04, der(0x30, der(0x86, uri.encode()))))
    kept = [e for e in der_items(der_items(b"\x30" + fields[7][1:])[0]) if bytes.fromhex("0603551d0e") in e]  # the key's number
    usage = bytes.fromhex("300e0603551d0f0101ff040403020780")  # digitalSignature
    fields[6], fields[7] = key, der(0xa3, der(0x30, usage, san, *kept))
    write(path + ".pem", ssl.DER_cert_to_PEM_cert(der(0x30, der(0x30, *fields), algorithm, signature)))
    return path + ".pem", path + ".key"


def refused_classes(lab, signer, roots, account, for_client):
    """(what it is, its files, what the log says of it): none of these is `account` of the lab's mesh. for_client: they are
    shown by a client, else by a server. The last one must stay the last: intermediates that others sent before are not
    there to complete a chain with."""
    name = f"spiffe://cluster.local/ns/shop/sa/{account}"
    foreign = new_root(lab.work + "/foreign")
    forged = new_root(lab.work + "/forged", subject_of(roots))
    leaf_signer = signer.signer(lab.work + "/leaf", signer.make([name]))
    other_use = ORDINARY[:2] + ("extendedKeyUsage=" + ("serverAuth" if for_client else "clientAuth"),)
    critical = ORDINARY + ("1.2.3.4.5=critical,ASN1:NULL",)
    only_signs = (ORDINARY[0], "keyUsage=critical,keyCertSign", ORDINARY[2])
    return [
        ("another root", foreign.make([name]), "trusted root"),
        ("a root that has the name of ours", forged.make([name]), "signature"),
        ("a copy of our root with another key", clone_of(roots, lab.work, name), "self-issued"),
        ("self-signed", foreign.make([name], self_signed=True), ""),
        ("signed by a leaf", leaf_signer.make([name]), ""),
        ("expired", signer.make([name], begins_s=-2 * HOUR_S, ends_s=-HOUR_S), "expired"),
        ("expired a minute ago", signer.make([name], begins_s=-2 * HOUR_S, ends_s=-60), "expired"),
        ("not yet valid", signer.make([name], begins_s=25 * HOUR_S, ends_s=26 * HOUR_S), "not yet valid"),
        ("two identities", signer.make([f"spiffe://cluster.local/ns/shop/sa/other-than-{account}", name]), "more than one URI"),
        ("two identities, ours first", signer.make([name, f"spiffe://cluster.local/ns/shop/sa/other-than-{account}"]), "more than one URI"),
        ("no identity, a DNS name", signer.make(names=[f"{account}.shop.svc.cluster.local"]), "no URI"),
        ("no identity, no name at all", signer.make(), "no URI"),
        ("a CA's certificate", signer.make([name], AUTHORITY), "CA"),
        ("a leaf that may only sign certificates", signer.make([name], only_signs), ""),
        ("the use of the other side only", signer.make([name], other_use), "the extended key usage is not for " + ("clients" if for_client else "servers")),
        ("an unknown critical extension", signer.make([name], critical), "ritical extension"),
        ("a trust domain in upper case", signer.make(["spiffe://CLUSTER.LOCAL/ns/shop/sa/" + account]), ""),
        ("a query", signer.make([name + "?x=y"]), ""),
        ("a fragment", signer.make([name + "#x"]), ""),
        ("a port", signer.make(["spiffe://cluster.local:80/ns/shop/sa/" + account]), ""),
        ("a user", signer.make([f"spiffe://{account}@cluster.local/ns/shop/sa/{account}"]), ""),
        ("an empty part", signer.make(["spiffe://cluster.local/ns//shop/sa/" + account]), ""),
        ("two dots", signer.make(["spiffe://cluster.local/ns/shop/../shop/sa/" + account]), ""),
        ("a percent sign", signer.make(["spiffe://cluster.local/ns/shop/sa/%61" + account[1:]]), ""),
        ("a slash at the end", signer.make([name + "/"]), ""),
        ("not SPIFFE", signer.make(["https://cluster.local/ns/shop/sa/" + account]), ""),
        ("an identity of 2,100 bytes", signer.make([name + "a" * 2100]), ""),
        ("the intermediate left out", signer.make([name], chain=False), "trusted root"),
    ]

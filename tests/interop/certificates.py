"""Certificates that no CA should issue, made by the openssl command: expired ones, two identities, other authorities."""
import os
import sqlite3
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

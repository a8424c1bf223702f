#!/usr/bin/python3
"""A client of the SPIFFE Workload API of another make (grpcio), and what it has to be told.

usage: workload_api.py SOCKET COMMAND
  svid IDENTITY ROOTS   fetches an X.509-SVID, which must be this identity's, and its bundle one of the roots; openssl verifies it
  denied [svid|bundles] it must be refused with PERMISSION_DENIED
  strict                calls that are none: without the metadata, of another method, of another service
  watch IDENTITY        prints the serial of each SVID that comes and how many roots it has, until the stream ends; then its status
  roots                 prints how many roots there are in each bundle that comes, until the stream ends; then its status
  crowd N               opens connections until one is turned away, which must be the one after N; others are served meanwhile
"""
import contextlib
import socket
import ssl
import subprocess
import sys
import tempfile

import grpc

HEADER = (("workload.spiffe.io", "true"),)
ANSWER_S = 20


def varint(data, at):
    value = shift = 0
    while True:
        byte = data[at]
        value |= (byte & 127) << shift
        at, shift = at + 1, shift + 7
        if byte < 128:
            return value, at


def fields(data):
    """Of a message whose fields all are texts, bytes or messages."""
    found, at = {}, 0
    while at < len(data):
        key, at = varint(data, at)
        assert key & 7 == 2, key
        size, at = varint(data, at)
        found.setdefault(key >> 3, []).append(data[at:at + size])
        at += size
    return found


def ders(data):
    """Certificates one after another."""
    while data:
        assert data[:2] == b"\x30\x82", data[:4]
        size = 4 + int.from_bytes(data[2:4], "big")
        yield data[:size]
        data = data[size:]


def call(channel, method, metadata=HEADER, message=b""):
    return channel.unary_stream(f"/SpiffeWorkloadAPI/{method}")(message, metadata=metadata, timeout=ANSWER_S)


def status_of(stream):
    try:
        for _ in stream:
            return "answered"
    except grpc.RpcError as error:
        return f"{error.code().name}: {error.details()}"
    return "ended"


def svid_of(message, identity):
    svid, = (fields(svid) for svid in fields(message)[1])
    assert svid[1] == [identity.encode()], svid[1]
    return svid


def fetch(channel, identity, roots):
    stream = call(channel, "FetchX509SVID")
    svid = svid_of(next(stream), identity)
    chain, bundle = list(ders(svid[2][0])), list(ders(svid[4][0]))
    assert len(chain) >= 2 and bundle
    with tempfile.TemporaryDirectory() as folder:
        def write(name, *certificates):
            with open(f"{folder}/{name}", "w", encoding="ascii") as file:
                file.writelines(map(ssl.DER_cert_to_PEM_cert, certificates))
            return f"{folder}/{name}"

        leaf, rest, root = write("leaf", chain[0]), write("rest", *chain[1:]), write("root", *bundle)
        with open(f"{folder}/key", "wb") as file:
            file.write(svid[3][0])

        def openssl(*arguments):
            return subprocess.run(["openssl", *arguments], check=True, capture_output=True, text=True).stdout

        assert "OK" in openssl("verify", "-CAfile", root, "-untrusted", rest, leaf)
        assert f"URI:{identity}" in openssl("x509", "-in", leaf, "-noout", "-ext", "subjectAltName")
        assert openssl("x509", "-in", leaf, "-noout", "-pubkey") == \
            openssl("pkey", "-inform", "DER", "-in", f"{folder}/key", "-pubout")
    with open(roots, encoding="ascii") as file:
        known = file.read()
    assert all(ssl.DER_cert_to_PEM_cert(der).strip() in known for der in bundle), "another root"
    bundles = fields(next(call(channel, "FetchX509Bundles")))[2]
    domain = identity.split("/")[2]
    assert [fields(entry) for entry in bundles] == [{1: [f"spiffe://{domain}".encode()], 2: [svid[4][0]]}]


def strict(channel):
    for metadata in ((), (("workload.spiffe.io", "false"),), (("workload.spiffe.io", ""),)):
        for method in ("FetchX509SVID", "FetchX509Bundles"):
            said = status_of(call(channel, method, metadata))
            assert said.startswith("INVALID_ARGUMENT: the metadata workload.spiffe.io"), (method, said)
    for method in ("FetchJWTSVID", "FetchJWTBundles", "ValidateJWTSVID", "X"):
        assert status_of(call(channel, method)).startswith("UNIMPLEMENTED"), method
    other = channel.unary_unary("/envoy.service.secret.v3.SecretDiscoveryService/FetchSecrets")
    try:
        other(b"", metadata=HEADER, timeout=ANSWER_S)
        raise AssertionError("another service answered")
    except grpc.RpcError as error:
        assert error.code() == grpc.StatusCode.UNIMPLEMENTED
    # Requests are empty: what else is said in them changes nothing.
    assert status_of(call(channel, "FetchX509SVID", message=b"\xff" * 1000)) == "answered"


def each(channel, method, tell):
    stream = channel.unary_stream(f"/SpiffeWorkloadAPI/{method}")(b"", metadata=HEADER)
    try:
        for message in stream:
            print(*tell(message), flush=True)
    except grpc.RpcError as error:
        print("ended", error.code().name, flush=True)


def watch(channel, identity):
    def tell(message):
        svid = svid_of(message, identity)
        leaf = next(ders(svid[2][0]))
        at = leaf.index(b"\xa0\x03\x02\x01\x02") + 5  # the INTEGER after `[0] version v3`
        return "serial", leaf[at + 2:at + 2 + leaf[at + 1]].lstrip(b"\0").hex(), "roots", len(list(ders(svid[4][0])))
    each(channel, "FetchX509SVID", tell)


def roots_of_each(channel):
    def tell(message):
        bundle, = fields(message)[2]
        return "roots", len(list(ders(fields(bundle)[2][0])))
    each(channel, "FetchX509Bundles", tell)


def crowd(path, most):
    """A connection that is served has the server's first frame; another one has its end."""
    with contextlib.ExitStack() as stack:
        served = 0
        while True:
            one = stack.enter_context(socket.socket(socket.AF_UNIX))
            one.settimeout(ANSWER_S)
            one.connect(path)
            try:
                if not one.recv(1):
                    break
            except ConnectionResetError:
                break
            served += 1
        assert served == most, served
        print("full", flush=True)
        sys.stdin.read()  # until others were looked at


def main():
    path, command, *arguments = sys.argv[1:]
    if command == "crowd":
        crowd(path, int(arguments[0]))
        return
    with grpc.insecure_channel(f"unix:{path}") as channel:
        if command == "svid":
            fetch(channel, *arguments)
        elif command == "strict":
            strict(channel)
        elif command == "watch":
            watch(channel, *arguments)
        elif command == "roots":
            roots_of_each(channel)
        else:
            for method in ("FetchX509SVID", "FetchX509Bundles"):
                said = status_of(call(channel, method))
                assert said == "PERMISSION_DENIED: no identity is issued to this process", said


main()

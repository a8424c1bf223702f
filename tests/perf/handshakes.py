"""Counts whole handshakes: TCP, TLS 1.3 with both certificates, HTTP/2's preface and the server's SETTINGS, which says that it took our certificate.

usage: handshakes.py ADDRESS PORT CERTIFICATE KEY ROOTS SECONDS
"""
import socket
import ssl
import sys
import time

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes([0, 0, 0, 4, 0, 0, 0, 0, 0])
SETTINGS = 4


def one(address, context):
    with socket.create_connection(address, 10) as plain, context.wrap_socket(plain) as s:
        s.sendall(PREFACE)
        frame = s.recv(9)
        assert len(frame) == 9 and frame[3] == SETTINGS, f"not an HTTP/2 server: {frame}"


host, port, certificate, key, roots, seconds = sys.argv[1:]
context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
context.check_hostname = False
context.minimum_version = ssl.TLSVersion.TLSv1_3
context.load_verify_locations(roots)
context.load_cert_chain(certificate, key)
context.set_alpn_protocols(["h2"])
context.options |= ssl.OP_NO_TICKET  # no session is resumed
done, end = 0, time.monotonic() + float(seconds)
while time.monotonic() < end:
    one((host, int(port)), context)
    done += 1
print(done)

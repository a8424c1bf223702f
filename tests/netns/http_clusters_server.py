#!/usr/bin/env python3
"""A pod's server for http_clusters_test: answers the pod's name; 500 while fails.POD is in the folder, /well 503 while unwell.POD is (and
notes who asked), /slow for a byte that somebody has written to the pipe `go` there.

usage: http_clusters_server.py POD FOLDER"""
import http.server
import os
import socketserver
import sys

POD, FOLDER = sys.argv[1], sys.argv[2]


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = 65536  # one packet an answer: a head by itself makes its body wait for an acknowledgement

    def do_GET(self):
        status = 500 if os.path.exists(f"{FOLDER}/fails.{POD}") else 200
        if self.path == "/well":
            status = 503 if os.path.exists(f"{FOLDER}/unwell.{POD}") else 200
            with open(f"{FOLDER}/checks.{POD}", "a", encoding="ascii") as f:
                print(self.client_address[0], self.headers["host"], file=f)
        if self.path.startswith("/slow"):
            with open(f"{FOLDER}/go", "rb", buffering=0) as f:
                f.read(1)
        self.send_response(status)
        self.send_header("content-length", str(len(POD) + 1))
        self.end_headers()
        self.wfile.write(f"{POD}\n".encode())

    def log_message(self, format, *args):  # pylint: disable=redefined-builtin
        pass


class Server(http.server.ThreadingHTTPServer):
    request_queue_size = 128

    def server_bind(self):
        socketserver.TCPServer.server_bind(self)  # HTTPServer's asks a DNS that is not there for its own name, for seconds


Server(("0.0.0.0", 9000), Handler).serve_forever()

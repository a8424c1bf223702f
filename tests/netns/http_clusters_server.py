#!/usr/bin/env python3
"""A pod's server for http_clusters_test and resilience_test: answers the pod's name; 500 while fails.POD is in the folder, every second
time while half.POD is, nothing for a minute while hangs.POD is; /well 503 while unwell.POD is (and notes who asked), /slow for a byte that
somebody has written to the pipe `go` there, and /again the second time, after a first one of 500: both note their path in came.POD, once
they wait. The path of each POST becomes a line of posts.POD, and every fourth one is
broken off after that while cuts.POD is.

usage: http_clusters_server.py POD FOLDER"""
import http.server
import itertools
import os
import socketserver
import sys
import time

POD, FOLDER = sys.argv[1], sys.argv[2]
COUNTER = itertools.count()
SEEN = set()


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = 65536  # one packet an answer: a head by itself makes its body wait for an acknowledgement

    def do_GET(self):
        status = 500 if os.path.exists(f"{FOLDER}/fails.{POD}") else 200
        if os.path.exists(f"{FOLDER}/half.{POD}") and next(COUNTER) % 2:
            status = 500
        if os.path.exists(f"{FOLDER}/hangs.{POD}"):
            time.sleep(60)
        if self.path == "/well":
            status = 503 if os.path.exists(f"{FOLDER}/unwell.{POD}") else 200
            with open(f"{FOLDER}/checks.{POD}", "a", encoding="ascii") as f:
                print(self.client_address[0], self.headers["host"], file=f)
        again = self.path.startswith("/again") and self.path in SEEN
        if self.path.startswith("/again") and not again:
            SEEN.add(self.path)
            status = 500
        if self.path.startswith("/slow") or again:
            with open(f"{FOLDER}/came.{POD}", "a", encoding="ascii") as f:
                print(self.path, file=f)
            with open(f"{FOLDER}/go", "rb", buffering=0) as f:
                f.read(1)
        self.send_response(status)
        self.send_header("content-length", str(len(POD) + 1))
        self.end_headers()
        self.wfile.write(f"{POD}\n".encode())

    def do_POST(self):
        self.rfile.read(int(self.headers["content-length"]))
        with open(f"{FOLDER}/posts.{POD}", "a", encoding="ascii") as f:
            print(self.path, file=f)
        if os.path.exists(f"{FOLDER}/cuts.{POD}") and next(COUNTER) % 4 == 3:
            self.close_connection = True
        else:
            self.do_GET()

    def log_message(self, format, *args):  # pylint: disable=redefined-builtin
        pass


class Server(http.server.ThreadingHTTPServer):
    request_queue_size = 128

    def server_bind(self):
        socketserver.TCPServer.server_bind(self)  # HTTPServer's asks a DNS that is not there for its own name, for seconds


Server(("0.0.0.0", 9000), Handler).serve_forever()

#!/usr/bin/python3
"""An HTTPS server that answers with what it was asked, for kube_client_test.c. Writes certificate and kubeconfig into the folder given,
says `ready`, and ends with its standard input."""
import http.server
import json
import ssl
import subprocess
import sys
import threading

folder = sys.argv[1]
subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "1", "-subj", "/CN=x",
                "-addext", "subjectAltName=DNS:localhost", "-keyout", f"{folder}/key.pem", "-out", f"{folder}/cert.pem"],
               check=True, stderr=subprocess.DEVNULL)
ended = threading.Event()


class Echo(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, format, *args):
        pass

    def echo(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0))).decode()
        if self.path == "/silent":
            ended.wait()
        if self.path == "/big":
            body = "x" * 100000
        said = json.dumps({"method": self.command, "path": self.path, "type": self.headers.get("Content-Type"), "body": body,
                           "token": self.headers.get("Authorization")}).encode()
        self.send_response(429 if self.path == "/busy" else 200)
        self.send_header("Content-Length", str(len(said)))
        if self.path == "/busy":
            self.send_header("Retry-After", "7")
        self.end_headers()
        self.wfile.write(said)

    do_GET = do_POST = do_PATCH = echo


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request, client_address):
        pass


server = Server(("127.0.0.1", 0), Echo)
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(f"{folder}/cert.pem", f"{folder}/key.pem")
server.socket = context.wrap_socket(server.socket, server_side=True)
with open(f"{folder}/kubeconfig", "w", encoding="ascii") as file:
    json.dump({"current-context": "c", "contexts": [{"name": "c", "context": {"cluster": "k", "user": "u"}}],
               "clusters": [{"name": "k", "cluster": {"server": f"https://localhost:{server.server_address[1]}/",
                                                      "certificate-authority": "cert.pem"}}],
               "users": [{"name": "u", "user": {"token": "t0k"}}]}, file)
threading.Thread(target=server.serve_forever, daemon=True).start()
print("ready", flush=True)
sys.stdin.read()
ended.set()

#!/usr/bin/python3
"""Knocks at an address again and again with new connections, and counts how that goes.

usage: knock.py HOST PORT PATH PAUSE_MS    (ends at SIGTERM, and prints its counts as one JSON line)

Each knock is a whole HTTP request on a connection of its own. `good` is an answer of 200 to its end;
everything else is counted by what it was: refused, reset, timeout, short (an end before the answer's).
"""
import json
import selectors
import signal
import socket
import sys
import time

PATIENCE_S = 20


def knock(host, port, request):
    with socket.create_connection((host, port), timeout=PATIENCE_S) as connection:
        connection.sendall(request)
        answer = b""
        while part := connection.recv(65536):
            answer += part
    head, _, body = answer.partition(b"\r\n\r\n")
    lengths = [line.split(b":")[1] for line in head.split(b"\r\n")
               if line.lower().startswith(b"content-length:")]
    if not head.startswith(b"HTTP/1.1 200") or not lengths or int(lengths[0]) != len(body):
        return "short"
    return "good"


def main():
    host, port, path, pause_ms = sys.argv[1], int(sys.argv[2]), sys.argv[3], int(sys.argv[4])
    request = f"GET {path} HTTP/1.1\r\nHost: knock\r\nConnection: close\r\n\r\n".encode()
    counts = {"good": 0, "refused": 0, "reset": 0, "timeout": 0, "short": 0, "other": 0}
    worst = 0.0
    ended = []
    signal.signal(signal.SIGTERM, lambda *_: ended.append(True))
    pause = selectors.DefaultSelector()
    while not ended:
        begin = time.monotonic()
        try:
            how = knock(host, port, request)
        except ConnectionRefusedError:
            how = "refused"
        except (ConnectionResetError, BrokenPipeError):
            how = "reset"
        except TimeoutError:
            how = "timeout"
        except OSError:
            how = "other"
        counts[how] += 1
        took = time.monotonic() - begin
        worst = max(worst, took)
        if how != "good" or took > 2:
            print(f"{time.time():.3f} {how} after {took:.3f} s", file=sys.stderr, flush=True)
        pause.select(pause_ms / 1000)
    counts["bad"] = sum(counts.values()) - counts["good"]
    counts["worstMs"] = round(worst * 1000)
    print(json.dumps(counts), flush=True)


if __name__ == "__main__":
    main()

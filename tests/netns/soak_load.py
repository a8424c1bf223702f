#!/usr/bin/python3
"""The soak test's client: new connections one after another, and streams that last, until SIGTERM.

usage: soak_load.py HOST PORT PAUSE_MS STREAM_S...

One loop knocks: a whole HTTP request on a connection of its own, again after PAUSE_MS. Each STREAM_S is a loop of streams that take
about so many seconds, read slowly (0: one that lasts until the end). What did not go well is a JSON line at once: what it was (knock
or stream), when it began and ended, how. The last line is the counts. An answer that is not what it should be is `short`.
"""
import json
import re
import selectors
import signal
import socket
import sys
import threading
import time

PATIENCE_S = 20
RATE = 24 * 1024  # bytes a second of a stream
ENDLESS = 1 << 30

ending = threading.Event()
lock = threading.Lock()
counts = {"knock": 0, "stream": 0, "bytes": 0, "worstMs": 0}


def request(connection, path):
    connection.sendall(f"GET {path} HTTP/1.1\r\nHost: soak\r\nConnection: close\r\n\r\n".encode())


def head_of(connection):
    answer = b""
    while b"\r\n\r\n" not in answer:
        part = connection.recv(4096)
        if not part:
            return None, b""
        answer += part
    head, _, body = answer.partition(b"\r\n\r\n")
    length = re.search(rb"(?i)\ncontent-length: *(\d+)", head)
    return (int(length[1]) if head.startswith(b"HTTP/1.1 200") and length else None), body


def knock(connection):
    request(connection, "/whoami")
    length, body = head_of(connection)
    while length is not None and (part := connection.recv(65536)):
        body += part
    return "good" if len(body) == length else "short"


def stream(connection, seconds):
    request(connection, f"/big?bytes={ENDLESS if seconds == 0 else int(seconds * RATE)}")
    length, body = head_of(connection)
    if length is None:
        return "short"
    got, begin = len(body), time.monotonic()
    while got < length:
        # As fast as RATE says, and at the end the rest at once.
        ahead = got / RATE - (time.monotonic() - begin)
        if ahead > 0 and ending.wait(ahead) and seconds == 0:
            return "good"
        if ending.is_set() and seconds == 0:
            return "good"
        part = connection.recv(8192)
        if not part:
            return "short"
        got += len(part)
        with lock:
            counts["bytes"] += len(part)
    return "good"


def one(what, address, play):
    begin, how = time.time(), "good"
    try:
        with socket.socket(socket.AF_INET6 if ":" in address[0] else socket.AF_INET) as connection:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16384)
            connection.settimeout(PATIENCE_S)
            connection.connect(address)
            how = play(connection)
    except ConnectionRefusedError:
        how = "refused"
    except (ConnectionResetError, BrokenPipeError):
        how = "reset"
    except TimeoutError:
        how = "timeout"
    except OSError as error:
        how = repr(error)
    end = time.time()
    with lock:
        if how == "good":
            counts[what] += 1
        else:
            print(json.dumps({"what": what, "begin": begin, "end": end, "how": how}), flush=True)
        if what == "knock":
            counts["worstMs"] = max(counts["worstMs"], round((end - begin) * 1000))


def again_and_again(what, address, play, pause_s):
    while not ending.is_set():
        one(what, address, play)
        ending.wait(pause_s)


def main():
    host, port, pause_ms = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][4][:2]
    threads = [threading.Thread(target=again_and_again, args=("knock", address, knock, pause_ms / 1000))]
    for seconds in map(float, sys.argv[4:]):
        play = lambda connection, seconds=seconds: stream(connection, seconds)
        threads.append(threading.Thread(target=again_and_again, args=("stream", address, play, 0.1)))
    signal.signal(signal.SIGTERM, lambda *_: ending.set())
    for thread in threads:
        thread.start()
    selector = selectors.DefaultSelector()
    while not ending.is_set():
        selector.select(0.2)
    for thread in threads:
        thread.join()
    print(json.dumps(counts), flush=True)


if __name__ == "__main__":
    main()

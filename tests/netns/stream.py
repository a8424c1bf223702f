#!/usr/bin/python3
"""A download that is read slowly until it is told to take the rest: a connection that lives as long as a test wants it to.

usage: stream.py HOST PORT BYTES

Prints `begun` when the answer has begun. It reads 4 KiB every 50 ms, and all the rest at once after a line on its standard
input, or that one's end. Then it prints `whole`, or, as soon as it notices, `broken after N bytes: HOW`, with an exit status
of 1. The bytes are looked at, too (tests/perf/origin.c: byte i is i modulo 251).
"""
import select
import socket
import sys

PATIENCE_S = 60
SLOWLY, EVERY_S = 4096, 0.05
AT_ONCE = 1 << 16
CYCLE = bytes(range(251)) * (AT_ONCE // 251 + 2)


def take(connection, most):
    part = connection.recv(most)
    if not part:
        raise ConnectionError("the end")
    return part


def read(connection, size):
    """The number of bytes so far, after each part."""
    connection.sendall(f"GET /big?bytes={size} HTTP/1.1\r\nHost: stream\r\nConnection: close\r\n\r\n".encode())
    answer = b""
    while b"\r\n\r\n" not in answer:
        answer += take(connection, SLOWLY)
    head, _, part = answer.partition(b"\r\n\r\n")
    if not head.startswith(b"HTTP/1.1 200"):
        raise ConnectionError(head.decode(errors="replace"))
    print("begun", flush=True)
    got, slowly = 0, True
    while True:
        if part != CYCLE[got % 251:got % 251 + len(part)]:
            raise ConnectionError("other bytes")
        got += len(part)
        yield got
        if got >= size:
            return
        slowly = slowly and not select.select([sys.stdin], [], [], EVERY_S)[0]
        part = take(connection, SLOWLY if slowly else AT_ONCE)


def main():
    host, port, size = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    got = 0
    try:
        with socket.create_connection((host, port), timeout=PATIENCE_S) as connection:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16384)
            for got in read(connection, size):
                pass
    except OSError as error:
        print(f"broken after {got} bytes: {error}")
        sys.exit(1)
    print("whole")


if __name__ == "__main__":
    main()

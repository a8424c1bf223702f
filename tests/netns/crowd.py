#!/usr/bin/python3
"""Many connections at once, from one process: opens them, says so, and then tells of their ends.

usage: crowd.py ADDRESS PORT NUMBER [talk|silent]

talk: each sends a request and waits for its answer before it counts as open. silent: sends nothing.
Prints `open N` once all are, `refused N` if some were not to be had, and after each change, at most every
50 ms, `ended N at UNIX-TIME`. Ends when all have ended or its standard input does. A line `leave SECONDS` there makes it close all
that are open by itself, evenly over that time; then it prints `left N`.
"""
import selectors
import socket
import sys
import time

IN_FLIGHT = 128
REQUEST = b"GET /whoami HTTP/1.1\r\nHost: crowd\r\n\r\n"


class Crowd:
    def __init__(self, address, port, number, talk):
        self.to = socket.getaddrinfo(address, port, type=socket.SOCK_STREAM)[0]
        self.number, self.talk = number, talk
        self.loop = selectors.DefaultSelector()
        self.begun = self.opened = self.refused = self.ended = self.left = 0
        self.stop = False
        self.leaving = []
        self.leave_at = self.leave_each = 0

    def begin(self):
        family, kind, proto, _, at = self.to
        s = socket.socket(family, kind, proto)
        s.setblocking(False)
        s.connect_ex(at)
        self.begun += 1
        self.loop.register(s, selectors.EVENT_WRITE, "connecting")

    def connected(self, s):
        if s.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) != 0:
            return self.drop(s, opened=False)
        if self.talk:
            s.send(REQUEST)
            self.loop.modify(s, selectors.EVENT_READ, "asking")
        else:
            self.opened += 1
            self.loop.modify(s, selectors.EVENT_READ, "open")

    def readable(self, s, state):
        try:
            data = s.recv(65536)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self.drop(s, opened=state == "open")
        elif state == "asking":
            self.opened += 1
            self.loop.modify(s, selectors.EVENT_READ, "open")

    def drop(self, s, opened):
        self.loop.unregister(s)
        s.close()
        if opened:
            self.ended += 1
        else:
            self.refused += 1

    def told(self, line):
        words = line.split()
        if words[:1] == [b"leave"]:
            self.leaving = [key.fileobj for key in self.loop.get_map().values() if key.data == "open"]
            self.leave_at, self.leave_each = time.time(), float(words[1]) / max(1, len(self.leaving))
        self.stop = not line

    def leave(self):
        while self.leaving and time.time() >= self.leave_at:
            s = self.leaving.pop()
            self.leave_at += self.leave_each
            if s.fileno() < 0:
                continue
            self.loop.unregister(s)
            s.close()
            self.left += 1

    def turn(self, wait):
        for key, _ in self.loop.select(wait):
            if key.data == "stdin":
                self.told(sys.stdin.buffer.readline())
            elif key.data == "connecting":
                self.connected(key.fileobj)
            else:
                self.readable(key.fileobj, key.data)

    def run(self):
        while self.opened + self.refused < self.number:
            while self.begun < self.number and self.begun - self.opened - self.refused < IN_FLIGHT:
                self.begin()
            self.turn(1)
        print("refused", self.refused, flush=True)
        print("open", self.opened, flush=True)
        self.loop.register(sys.stdin, selectors.EVENT_READ, "stdin")
        told = told_at = 0
        while not self.stop and self.ended + self.left < self.opened:
            self.turn(0.001 if self.leaving else 0.05)
            self.leave()
            now = time.time()
            if self.ended != told and (now - told_at > 0.05 or self.ended == self.opened):
                told, told_at = self.ended, now
                print(f"ended {told} at {now:.3f}", flush=True)
        if self.left:
            print("left", self.left, flush=True)


if __name__ == "__main__":
    Crowd(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4:] != ["silent"]).run()

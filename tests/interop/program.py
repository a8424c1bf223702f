"""A process of a test, and the lines of one of its outputs."""
import queue
import re
import subprocess
import threading
import time

DEADLINE_S = 30


class Program:
    def __init__(self, arguments, stream, **more):
        self.process = subprocess.Popen(arguments, text=True, **{stream: subprocess.PIPE}, **more)
        self.lines, self.log = queue.Queue(), []
        threading.Thread(target=self.read, args=(getattr(self.process, stream),), daemon=True).start()

    def read(self, stream):
        for line in stream:
            self.lines.put(line)
        self.lines.put(None)

    def line(self, good=""):
        """Waits for the first line that this (a pattern, or a function) finds something in, and returns that."""
        find = re.compile(good).search if isinstance(good, str) else good
        end = time.monotonic() + DEADLINE_S
        while True:
            try:
                line = self.lines.get(timeout=max(0.001, end - time.monotonic()))
            except queue.Empty:
                line = None
            assert line is not None, f"it ended, or said nothing of the kind: {[text[-3000:] for text in self.log[-10:]]}"
            self.log.append(line)
            found = find(line)
            if found:
                return found

    def end(self):
        self.process.terminate()
        assert self.process.wait(DEADLINE_S) in (0, -15), self.process.returncode

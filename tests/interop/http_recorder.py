"""An application that keeps what it hears, in a thread of its own."""
import contextlib
import selectors
import threading


class Recorder(threading.Thread):
    """heard: what were messages; begun: by connection, what has not become one. A connection that its client ends is ended."""

    def __init__(self, listener, is_whole, answer):
        super().__init__(daemon=True)
        self.listener, self.is_whole, self.answer = listener, is_whole, answer
        self.heard, self.begun, self.ended, self.lock = [], {}, [], threading.Lock()
        self.start()

    def run(self):
        with selectors.DefaultSelector() as selector:
            self.listener.setblocking(False)
            selector.register(self.listener, selectors.EVENT_READ)
            while True:
                for key, _ in selector.select():
                    if key.fileobj is self.listener:
                        with contextlib.suppress(BlockingIOError):
                            sock = self.listener.accept()[0]
                            sock.setblocking(False)
                            selector.register(sock, selectors.EVENT_READ)
                    else:
                        self.hear(selector, key.fileobj)

    def hear(self, selector, sock):
        try:
            part = sock.recv(1 << 16)
        except OSError:
            part = b""
        with self.lock:
            data = self.begun.pop(sock, b"") + part
            if self.is_whole(data):
                self.heard.append(data)
                sock.send(self.answer)
            elif part:
                self.begun[sock] = data
            elif data:
                self.ended.append(data)
        if not part:
            selector.unregister(sock)
            sock.close()

    def take(self):
        """The messages since the last time."""
        with self.lock:
            heard, self.heard = self.heard, []
        return heard

    def take_begun(self):
        """What else came on connections since the last time, also on those that have ended."""
        with self.lock:
            begun, self.begun, self.ended = [*self.begun.values(), *self.ended], {}, []
        return begun

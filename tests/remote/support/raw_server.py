# SPDX-License-Identifier: Apache-2.0
"""Servers that answer nothing or nonsense: what a function does with each connection."""
import socket
import threading
import time


class Raw:
    """A server that does to every connection what `serve` does; counts them."""

    def __init__(self, case, serve):
        self.listener = socket.socket()
        self.listener.bind(('127.0.0.1', 0))
        self.listener.listen(64)
        self.port = self.listener.getsockname()[1]
        self.serve, self.n, self.is_over = serve, 0, False
        threading.Thread(target=self.accept, daemon=True).start()
        case.addCleanup(self.close)

    def close(self):
        self.is_over = True
        self.listener.close()

    def accept(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            self.n += 1
            threading.Thread(target=self.one, args=(connection,), daemon=True).start()

    def one(self, connection):
        try:
            self.serve(self, connection)
        except OSError:
            pass
        finally:
            connection.close()

    def trickle(self, connection, data, seconds=0.1):
        while not self.is_over:
            connection.sendall(data)
            time.sleep(seconds)


def stall(server, connection):
    while not server.is_over:
        time.sleep(0.05)


CLOSED = []


def closed_port():
    """One at which nobody listens, nor will while this test runs: it is bound."""
    CLOSED.append(socket.socket())
    CLOSED[-1].bind(('127.0.0.1', 0))
    return CLOSED[-1].getsockname()[1]

# SPDX-License-Identifier: Apache-2.0
"""A relay before a server that is not ours, over loopback: counts the bytes that come from it, whatever it logs."""
import socket
import threading


class Relay:
    def __init__(self, url):
        host, port = url.split('://')[1].split(':')
        self.there = (host, int(port))
        self.n_bytes = 0  # of answers
        self.lock = threading.Lock()
        self.listener = socket.create_server(('127.0.0.1', 0))
        self.url = 'http://127.0.0.1:%d' % self.listener.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def close(self):
        self.listener.close()

    def accept(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            server = socket.create_connection(self.there)
            threading.Thread(target=self.move, args=(client, server, False), daemon=True).start()
            threading.Thread(target=self.move, args=(server, client, True), daemon=True).start()

    def move(self, source, target, is_counted):
        try:
            while True:
                data = source.recv(1 << 16)
                if not data:
                    break
                if is_counted:
                    with self.lock:
                        self.n_bytes += len(data)
                target.sendall(data)
        except OSError:
            pass
        for end in (source, target):
            try:
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
        source.close()  # the other thread closes the other one

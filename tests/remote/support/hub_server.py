# SPDX-License-Identifier: Apache-2.0
"""A Hugging Face hub over loopback, as the library huggingface_hub sees one: repositories with
commits and branches, X-Repo-Commit, ETags that are git's SHA-1 of small files and X-Linked-Etag that
is the SHA-256 of large ones, which are on another host. Standard library only."""
import hashlib
import http.server
import re
import threading
import time
import urllib.parse


def git_sha1(data):
    return hashlib.sha1(b'blob %d\0' % len(data) + data).hexdigest()


class Hub:
    """repositories['owner/name'] = {'refs': {'main': commit}, 'commits': {commit: {file: bytes}}}"""

    def __init__(self):
        self.repositories, self.large = {}, set()
        self.log = []  # (host, method, path, authorization)
        self.token = None  # needed, when it is set
        self.damage = 0  # how many contents get another bit
        self.cut = 0  # how many are broken off in the middle
        self.broken = set()  # names of files for which the hub answers that it cannot now
        self.etag_of = None  # function of (file, bytes)
        self.headers = {}  # more of them, or others
        self.slow = 0.0
        self.lock = threading.Lock()
        self.hosts = [Host(self, 'hub'), Host(self, 'cdn')]
        self.url, self.cdn = (h.url for h in self.hosts)

    def close(self):
        for host in self.hosts:
            host.shutdown()
            host.server_close()

    def commit(self, files, name='owner/name', branch='main'):
        found = self.repositories.setdefault(name, {'refs': {}, 'commits': {}})
        commit = hashlib.sha1(repr(sorted(files.items())).encode()).hexdigest()
        found['commits'][commit] = dict(files)
        found['refs'][branch] = commit
        return commit

    def asked(self, method, host=None):
        return [p for h, m, p, _ in self.log if m == method and host in (None, h)]


class Host(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, hub, name):
        super().__init__(('127.0.0.1', 0), Handler)
        self.hub, self.name = hub, name
        self.url = 'http://localhost:%d' % self.server_address[1]
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def handle_error(self, request, client_address):
        pass


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = 'HTTP/1.1'

    def log_message(self, *args):
        pass

    def do_GET(self):
        hub = self.server.hub
        path = urllib.parse.unquote(self.path.split('?')[0])
        with hub.lock:
            hub.log.append((self.server.name, self.command, path,
                            self.headers.get('Authorization')))
        if self.server.name == 'cdn':
            return self.content(hub.blobs[path[1:]], [('ETag', '"of-the-cdn"')])
        if hub.token is not None and self.headers.get('Authorization') != 'Bearer ' + hub.token:
            return self.answer(401, [('X-Error-Code', 'RepoNotFound')])
        if path.rpartition('/')[2] in hub.broken:
            return self.answer(503, [])
        found = re.fullmatch(r'/((?:datasets/|spaces/)?[^/]+/[^/]+)/resolve/(.+)', path)
        repository = hub.repositories.get(found.group(1)) if found else None
        if repository is None:
            return self.answer(404, [('X-Error-Code', 'RepoNotFound')])
        for revision in list(repository['refs']) + list(repository['commits']):
            if found.group(2).startswith(revision + '/'):
                file = found.group(2)[len(revision) + 1:]
                return self.file(repository, repository['refs'].get(revision, revision), file)
        return self.answer(404, [('X-Error-Code', 'RevisionNotFound')])

    do_HEAD = do_GET

    def file(self, repository, commit, file):
        hub = self.server.hub
        data = repository['commits'][commit].get(file)
        headers = {'X-Repo-Commit': commit}
        if data is None:
            return self.answer(404, [('X-Error-Code', 'EntryNotFound'), *headers.items()])
        if file in hub.large:
            digest = hashlib.sha256(data).hexdigest()
            hub.blobs = dict(getattr(hub, 'blobs', {}), **{digest: data})
            headers.update({'X-Linked-Etag': '"%s"' % digest, 'X-Linked-Size': str(len(data)),
                            'Location': '%s/%s' % (hub.cdn, digest)})
        else:
            headers['ETag'] = '"%s"' % git_sha1(data)
        if hub.etag_of is not None:
            headers.update({'ETag': hub.etag_of(file, data)})
        headers.update(hub.headers)
        headers = [h for h in headers.items() if h[1] is not None]
        if file in hub.large:
            return self.answer(302, headers)
        return self.content(data, headers)

    def answer(self, status, headers=(), body=b'', length=None):
        self.send_response(status)
        for name, value in headers:
            self.send_header(name, value)
        self.send_header('Content-Length', str(len(body) if length is None else length))
        self.end_headers()
        if self.command != 'HEAD':
            self.wfile.write(body)

    def content(self, data, headers):
        hub = self.server.hub
        length = len(data)
        if self.command == 'GET':
            time.sleep(hub.slow)
            with hub.lock:
                if hub.damage > 0:
                    hub.damage -= 1
                    data = data[:-1] + bytes([data[-1] ^ 1])
                if hub.cut > 0:
                    hub.cut -= 1
                    data, self.close_connection = data[:len(data) // 2], True
        asked = re.fullmatch(r'bytes=(\d+)-(\d*)', self.headers.get('Range') or '')
        if asked and self.command == 'GET':
            begin, end = int(asked.group(1)), min(int(asked.group(2) or length - 1) + 1, length)
            return self.answer(206, list(headers) + [
                ('Content-Range', 'bytes %d-%d/%d' % (begin, end - 1, length))], data[begin:end])
        return self.answer(200, list(headers) + [('Accept-Ranges', 'bytes')], data, length)

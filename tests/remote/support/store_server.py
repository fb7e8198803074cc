# SPDX-License-Identifier: Apache-2.0
"""A store over loopback that can misbehave: the JSON interface of Google Cloud Storage, written from its
description, with generations and their preconditions, resumable uploads, hashes, pages and tokens; and
the REST interface of S3 (s3_part.py).

Faults are a list of Fault: each says which requests it is for, what to do with them, and how often.
Standard library only; listens on 127.0.0.1 and nowhere else."""

import base64
import hashlib
import http.server
import json
import re
import socket
import struct
import threading
import time
import urllib.parse

import aws_part
import s3_part

CRC_TABLE = []
for _n in range(256):
    _c = _n
    for _ in range(8):
        _c = _c >> 1 ^ 0x82f63b78 if _c & 1 else _c >> 1
    CRC_TABLE.append(_c)


def crc32c_slowly(data):
    crc = 0xffffffff
    for byte in data:
        crc = CRC_TABLE[(crc ^ byte) & 255] ^ crc >> 8
    return crc ^ 0xffffffff


def crc32c(data):
    """base64 of the big-endian checksum, as the store tells it; remembered, Python is slow."""
    key = hashlib.sha1(data).digest()
    if key not in crc32c.known:
        crc32c.known[key] = base64.b64encode(struct.pack('>I', crc32c_slowly(data))).decode()
    return crc32c.known[key]


crc32c.known = {}


class Fault:
    """what: a status ('503'), 'reset' (close at once), 'stall', 'truncate' (half of the body),
    'damage' (another bit), 'lose' (do it, then close without an answer), 'hash' (a wrong x-goog-hash
    and crc32c), 'huge' (2**62 bytes, it says); more for uploads to S3: s3_part.py. when: a regular
    expression over 'METHOD /path?query'. times: how many requests."""

    def __init__(self, what, when='.', times=1, skip=0):
        self.what, self.when, self.times, self.skip = what, re.compile(when), times, skip

    def take(self, line):
        if self.times <= 0 or not self.when.search(line):
            return False
        if self.skip > 0:
            self.skip -= 1
            return False
        self.times -= 1
        return True


CLOCK_BEHIND = 0  # seconds by which the client's clock is ahead


class Object:
    def __init__(self, data, generation):
        self.data, self.generation = bytes(data), generation
        self.updated = time.time() - CLOCK_BEHIND
        self.etag = '"%s"' % hashlib.md5(self.data).hexdigest()
        self.checksum = None


class Store(s3_part.S3State, aws_part.AwsState):
    """The state behind the server; tests look into it."""

    def __init__(self):
        s3_part.S3State.__init__(self)
        aws_part.AwsState.__init__(self)
        self.lock = threading.RLock()
        self.buckets = {'bucket': {}}
        self.uploads = {}
        self.counter = int(time.time() * 1e6)
        self.faults = []
        self.log = []  # 'METHOD /path?query'
        self.latency = 0.0
        self.token = None  # the only bearer token that is taken; None: none is needed
        self.tokens_given = 0
        self.token_seconds = 3600
        self.page = 1000
        self.hides_crc = False
        self.forgets = 0  # uploads in chunks: done, but nobody answers, nor knows them again
        self.bytes_sent = 0
        self.on_request = None
        self.answer_with = None  # this body, whatever was asked
        self.seen_authorization = []

    def put(self, bucket, name, data):
        with self.lock:
            self.counter += 1
            self.buckets[bucket][name] = Object(data, self.counter)
            return self.buckets[bucket][name]

    def get(self, name, bucket='bucket'):
        with self.lock:
            found = self.buckets[bucket].get(name)
            return None if found is None else found.data

    def names(self, prefix='', bucket='bucket'):
        with self.lock:
            return sorted(n for n in self.buckets[bucket] if n.startswith(prefix))

    def snapshot(self):
        with self.lock:
            return {b: dict(o) for b, o in self.buckets.items()}


class Abort(Exception):
    """The connection ends here."""


class Handler(aws_part.AwsPart, s3_part.S3Part, http.server.BaseHTTPRequestHandler):
    protocol_version = 'HTTP/1.1'
    disable_nagle_algorithm = True
    timeout = 60

    def log_message(self, *args):
        pass

    crc32c = staticmethod(crc32c)

    @property
    def store(self):
        return self.server.store

    # one request

    def handle_any(self):
        store = self.store
        line = '%s %s' % (self.command, self.path)
        self.body = self.rfile.read(int(self.headers.get('Content-Length') or 0))
        self.fault = None
        with store.lock:
            store.log.append(line)
            store.seen_authorization.append(self.headers.get('Authorization'))
            for fault in store.faults:
                if fault.take(line):
                    self.fault = fault.what
                    break
        if store.on_request is not None:
            store.on_request(line)
        if store.latency:
            time.sleep(store.latency)
        try:
            self.misbehave()
            if store.answer_with is not None:
                return self.answer(200, store.answer_with)
            url = urllib.parse.urlsplit(self.path)
            self.query = dict(urllib.parse.parse_qsl(url.query, keep_blank_values=True))
            self.route(url.path)
        except Abort:
            self.close_connection = True
            try:
                self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER,
                                           struct.pack('ii', 1, 0))
                self.connection.close()
            except OSError:
                pass
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True

    do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = handle_any

    def misbehave(self):
        if self.fault is None:
            return
        if self.fault.isdigit():
            status = int(self.fault)
            self.fault = None
            self.answer(status, b'{"error": {"message": "asked to fail"}}')
            raise BrokenPipeError
        if self.fault == 'reset':
            raise Abort
        if self.fault == 'stall':
            time.sleep(self.server.stall_seconds)
            raise Abort

    def answer(self, status, body=b'', headers=(), content_type='application/json'):
        if self.fault == 'lose':
            raise Abort
        if self.fault == 'damage' and body:
            body = bytes([body[0] ^ 1]) + body[1:]
        self.send_response(status)
        self.send_header('Content-Type', content_type)
        length = len(body)
        names = [h[0].lower() for h in headers]
        for name, value in headers:
            self.send_header(name, value)
        if 'content-length' not in names:
            self.send_header('Content-Length', str(length))
        self.end_headers()
        if self.command == 'HEAD':
            return
        if self.fault == 'truncate':
            self.wfile.write(body[:length // 2])
            self.wfile.flush()
            raise Abort
        self.wfile.write(body)
        self.store.bytes_sent += length

    def json(self, value, status=200, headers=()):
        self.answer(status, json.dumps(value).encode(), headers)

    def fail(self, status, message):
        self.json({'error': {'code': status, 'message': message}}, status)

    def route(self, path):
        store = self.store
        if path == '/token':
            return self.give_token()
        if path.startswith('/computeMetadata/'):
            if self.headers.get('Metadata-Flavor') != 'Google':
                return self.fail(403, 'no flavor')
            return self.give_token([('Metadata-Flavor', 'Google')])
        gcs = re.fullmatch(r'(/upload|/download)?/storage/v1/b/([^/]+)/o(?:/(.+))?', path)
        if gcs is None:
            return self.aws(path) or self.s3(path)
        if store.token is not None and self.headers.get('Authorization') != 'Bearer ' + store.token:
            return self.fail(401, 'Invalid Credentials')
        service, bucket, name = gcs.groups()
        with store.lock:
            if bucket not in store.buckets:
                return self.fail(404, 'The specified bucket does not exist.')
        name = urllib.parse.unquote(name) if name else None
        if service == '/upload':
            return self.upload(bucket)
        if self.command == 'DELETE':
            return self.gcs_delete(bucket, name)
        if name is None:
            return self.gcs_list(bucket)
        return self.gcs_get(bucket, name)

    # tokens

    def give_token(self, headers=()):
        store = self.store
        with store.lock:
            store.tokens_given += 1
            if store.on_token is not None and not store.on_token(self):
                return self.json({'error': 'invalid_grant', 'error_description': 'bad grant'}, 400)
            store.token = 'token-%d' % store.tokens_given
            self.json({'access_token': store.token, 'expires_in': store.token_seconds,
                       'token_type': 'Bearer'}, headers=headers)

    # Google Cloud Storage

    def resource(self, bucket, name, found):
        crc = crc32c(found.data)
        if self.fault == 'hash':
            crc = 'AAAAAA=='
        updated = time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(found.updated))
        told = {} if self.store.hides_crc else {'crc32c': crc}
        return {'kind': 'storage#object', 'name': name, 'bucket': bucket,
                'generation': str(found.generation),
                'size': str(1 << 62 if self.fault == 'huge' else len(found.data)), **told,
                'md5Hash': base64.b64encode(hashlib.md5(found.data).digest()).decode(),
                'updated': '%s.%03dZ' % (updated, int(found.updated % 1 * 1000))}

    def gcs_get(self, bucket, name):
        store = self.store
        with store.lock:
            found = store.buckets[bucket].get(name)
        wanted = self.query.get('generation')
        if found is None or wanted not in (None, str(found.generation)):
            return self.fail(404, 'No such object: %s/%s' % (bucket, name))
        if self.query.get('alt') != 'media':
            return self.json(self.resource(bucket, name, found))
        crc = 'AAAAAA==' if self.fault == 'hash' else crc32c(found.data)
        headers = [('X-Goog-Hash', 'crc32c=' + crc), ('Accept-Ranges', 'bytes')]
        return self.content(found.data, headers)

    def content(self, data, headers):
        asked = re.fullmatch(r'bytes=(\d+)-(\d*)', self.headers.get('Range') or '')
        if asked is None:
            return self.answer(200, data, headers, 'application/octet-stream')
        begin = int(asked.group(1))
        end = min(int(asked.group(2) or len(data)) + 1, len(data))
        if begin >= len(data):
            return self.answer(416)
        headers = headers + [('Content-Range', 'bytes %d-%d/%d' % (begin, end - 1, len(data)))]
        return self.answer(206, data[begin:end], headers, 'application/octet-stream')

    def matching(self, bucket, after):
        """Names and prefixes of one page, and what continues it."""
        prefix, delimiter = self.query.get('prefix', ''), self.query.get('delimiter')
        limit = min(int(self.query.get('maxResults') or self.query.get('max-keys') or 1000),
                    self.store.page)
        with self.store.lock:
            names = sorted(n for n in self.store.buckets[bucket] if n.startswith(prefix))
        entries = []
        for name in names:
            rest = name[len(prefix):]
            if delimiter and delimiter in rest:
                entries.append((prefix + rest.split(delimiter)[0] + delimiter, True))
            else:
                entries.append((name, False))
        entries = sorted(set(entries))
        entries = [e for e in entries if e[0] > after]
        more = entries[limit - 1][0] if len(entries) > limit else ''
        return entries[:limit], more

    def gcs_list(self, bucket):
        entries, more = self.matching(bucket, self.query.get('pageToken', ''))
        with self.store.lock:
            items = [self.resource(bucket, n, self.store.buckets[bucket][n])
                     for n, is_prefix in entries if not is_prefix
                     if n in self.store.buckets[bucket]]
        value = {'kind': 'storage#objects', 'items': items,
                 'prefixes': [n for n, is_prefix in entries if is_prefix]}
        if more:
            value['nextPageToken'] = more
        return self.json(value)

    def condition_holds(self, bucket, name, wanted):
        found = self.store.buckets[bucket].get(name)
        return wanted is None or int(wanted) == (found.generation if found else 0)

    def gcs_delete(self, bucket, name):
        if self.query.get('upload_id'):
            self.store.uploads.pop(self.query['upload_id'], None)
            return self.answer(499)
        with self.store.lock:
            if name not in self.store.buckets[bucket]:
                return self.fail(404, 'No such object')
            if not self.condition_holds(bucket, name, self.query.get('ifGenerationMatch')):
                return self.fail(412, 'conditionNotMet')
            del self.store.buckets[bucket][name]
        return self.answer(204)

    def upload(self, bucket):
        if self.command == 'DELETE':
            self.store.uploads.pop(self.query.get('upload_id'), None)
            return self.answer(499)
        if self.query.get('upload_id'):
            return self.resume_upload(bucket)
        name, wanted = self.query['name'], self.query.get('ifGenerationMatch')
        if self.query['uploadType'] == 'resumable':
            with self.store.lock:
                self.store.counter += 1
                key = 'u%d' % self.store.counter
                self.store.uploads[key] = [bucket, name, wanted, bytearray(), None]
            where = 'http://%s%s&upload_id=%s' % (self.headers['Host'], self.path, key)
            return self.answer(200, b'', [('Location', where)])
        boundary = re.search(r'boundary=(\S+)', self.headers['Content-Type']).group(1).encode()
        parts = self.body.split(b'--' + boundary)
        meta = json.loads(parts[1].split(b'\r\n\r\n', 1)[1])
        data = parts[2].split(b'\r\n\r\n', 1)[1][:-2]
        if meta['crc32c'] != crc32c(data):
            return self.fail(400, 'Provided CRC32C does not match')
        return self.publish(bucket, name, wanted, data)

    def publish(self, bucket, name, wanted, data):
        if self.fault == 'damage':
            data = bytes([data[0] ^ 1]) + data[1:]
            self.fault = None
        with self.store.lock:
            if not self.condition_holds(bucket, name, wanted):
                return self.fail(412, 'At least one of the pre-conditions did not hold.')
            made = self.store.put(bucket, name, data)
        return self.json(self.resource(bucket, name, made))

    def resume_upload(self, bucket):
        upload = self.store.uploads.get(self.query['upload_id'])
        if upload is None:
            return self.fail(404, 'no such upload')
        _, name, wanted, data, finished = upload
        if finished == 412:
            return self.fail(412, 'At least one of the pre-conditions did not hold.')
        if finished is not None:
            return self.json(finished)
        chunk = re.fullmatch(r'bytes (\d+)-(\d+)/(\d+|\*)', self.headers['Content-Range'])
        total = self.headers['Content-Range'].split('/')[1]
        if chunk:
            begin, last = int(chunk.group(1)), int(chunk.group(2))
            if begin > len(data) or last - begin + 1 != len(self.body):
                return self.fail(400, 'bytes are missing')
            kept = self.body
            if self.fault == 'half':  # keeps a part of the chunk only, as stores may
                kept, total, self.fault = self.body[:len(self.body) // 2], '*', None
            data[begin:] = kept
        if total != '*' and len(data) == int(total):
            with self.store.lock:
                if not self.condition_holds(bucket, name, wanted):
                    return self.fail(412, 'At least one of the pre-conditions did not hold.')
                content = bytes(data)
                if self.fault == 'damage':
                    content = bytes([content[0] ^ 1]) + content[1:]
                    self.fault = None
                made = self.store.put(bucket, name, content)
                upload[4] = self.resource(bucket, name, made)
                if self.store.forgets > 0:
                    self.store.forgets -= 1
                    upload[4] = 412
                    raise Abort
            return self.json(upload[4])
        headers = [('Range', 'bytes=0-%d' % (len(data) - 1))] if data else []
        return self.answer(308, b'', headers)


Store.on_token = None


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    stall_seconds = 5

    def __init__(self, store=None, handler=Handler):
        super().__init__(('127.0.0.1', 0), handler)
        self.store = store if store is not None else Store()
        self.thread = threading.Thread(target=self.serve_forever, daemon=True)

    @property
    def url(self):
        return 'http://127.0.0.1:%d' % self.server_address[1]

    def handle_error(self, request, client_address):
        pass  # a client that was killed

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *args):
        self.shutdown()
        self.server_close()

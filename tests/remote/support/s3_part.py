# SPDX-License-Identifier: Apache-2.0
"""The half of the store over loopback (store_server.py) that speaks S3, written from Amazon's manual and
as strict as the real one: SigV4 over what was sent, the payload's own hash, a clock, a region, session
tokens; Content-MD5 and checksums; conditional writes; parts with their tags. A body sent as a form is
taken for a form, as such servers do: the object is empty."""

import base64
import calendar
import hashlib
import hmac
import re
import time
import urllib.parse

MAX_SKEW = 900


class S3State:
    """What tests set; store_server.Store has it too."""

    def __init__(self):
        self.s3_keys = {}  # id: (secret, session token or None); empty: nothing is checked
        self.s3_expired = set()  # ids that have run out
        self.s3_late = []  # ids with which was asked when they had
        self.s3_until = {}  # id: when it runs out
        self.s3_region = None  # the only one that is right
        self.s3_clock = 0.0  # the store's time - this machine's
        self.s3_conditions = 'kept'  # 'ignored', 'unknown' (501)
        self.s3_etags = 'md5'  # 'opaque', 'kms' (with the header that says so), 'random' (looks like an MD5)
        self.s3_checksums = True  # are checksums kept and told?
        self.s3_hosts = None  # buckets are also named in the host: "bucket.localhost"
        self.s3_seen = []  # (id, method, path) of each request that was let in

    @property
    def s3_key(self):
        raise AttributeError

    @s3_key.setter
    def s3_key(self, pair):
        self.s3_keys = {pair[0]: (pair[1], None)}


class Refused(Exception):
    def __init__(self, status, code, message='', more='', headers=()):
        super().__init__(code)
        self.status, self.code, self.headers = status, code, list(headers)
        self.text = ('<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>%s</Code><Message>%s'
                     '</Message>%s</Error>' % (code, message or code, more))


def escape(text):
    return text.replace('&', '&amp;').replace('<', '&lt;').replace('>', '&gt;')


def quote(text):
    return urllib.parse.quote(text, safe='-_.~')


class S3Part:
    """Mixed into the handler: self.store, self.query, self.body, self.answer()."""

    # signatures

    def signature_refused(self, service):
        try:
            self.s3_let_in(service)
        except Refused as refused:
            return refused
        return None

    def s3_let_in(self, wanted='s3'):
        store = self.store
        header = self.headers.get('Authorization') or ''
        found = re.fullmatch(r'AWS4-HMAC-SHA256 Credential=([^/]+)/(\d{8})/([^/]+)/([^/]+)/aws4_request, '
                             r'SignedHeaders=([^,]+), Signature=([0-9a-f]{64})', header)
        if found is None:
            raise Refused(403, 'AccessDenied', 'no signature')
        key_id, day, region, service, signed, signature = found.groups()
        if key_id not in store.s3_keys:
            raise Refused(403, 'InvalidAccessKeyId')
        secret, token = store.s3_keys[key_id]
        stamp = self.headers.get('x-amz-date') or ''
        self.s3_check_time(stamp, day)
        if service != wanted or (store.s3_region not in (None, region)):
            raise Refused(400, 'AuthorizationHeaderMalformed', 'wrong region',
                          '<Region>%s</Region>' % store.s3_region,
                          [('x-amz-bucket-region', store.s3_region)] if store.s3_region else [])
        payload = self.s3_check_payload(wanted)
        self.s3_check_signed(signed.split(';'))
        want = self.s3_signature(secret, '%s/%s/%s' % (day, region, service), stamp, signed, payload)
        if not hmac.compare_digest(want, signature):
            raise Refused(403, 'SignatureDoesNotMatch', 'The request signature we calculated differs')
        if self.headers.get('x-amz-security-token') != token:
            raise Refused(400, 'InvalidToken')
        if key_id in store.s3_expired or time.time() > store.s3_until.get(key_id, 1e12):
            store.s3_late.append(key_id)
            raise Refused(400, 'ExpiredToken', 'The provided token has expired.')
        if wanted == 's3':
            store.s3_seen.append((key_id, self.command, self.path))

    def s3_check_time(self, stamp, day):
        try:
            seconds = calendar.timegm(time.strptime(stamp, '%Y%m%dT%H%M%SZ'))
        except ValueError:
            raise Refused(403, 'AccessDenied', 'no X-Amz-Date') from None
        if abs(seconds - time.time() - self.store.s3_clock) > MAX_SKEW or not stamp.startswith(day):
            raise Refused(403, 'RequestTimeTooSkewed')

    def s3_check_payload(self, service):
        told = self.headers.get('x-amz-content-sha256')
        if told is None and service != 's3':
            return hashlib.sha256(self.body).hexdigest()
        if told is None:
            raise Refused(400, 'InvalidRequest', 'Missing required header: x-amz-content-sha256')
        if told != hashlib.sha256(self.body).hexdigest():
            raise Refused(400, 'XAmzContentSHA256Mismatch')
        return told

    def s3_check_signed(self, signed):
        """host, content-type and all of x-amz-* must be signed, and what is signed must be there."""
        must = {n.lower() for n in self.headers if n.lower().startswith('x-amz-')} | {'host'}
        if self.headers.get('Content-Type') is not None:
            must.add('content-type')
        missing = [n for n in must if n not in signed] + [n for n in signed if n not in
                                                         {h.lower() for h in self.headers}]
        if missing or signed != sorted(signed):
            raise Refused(403, 'AccessDenied', 'headers not signed, or not sent: %s' % missing)

    def s3_signature(self, secret, place, stamp, signed, payload):
        path, _, query = self.path.partition('?')
        pairs = sorted((quote(n), quote(v))
                       for n, v in urllib.parse.parse_qsl(query, keep_blank_values=True))
        fields = ''.join('%s:%s\n' % (n, ' '.join((self.headers.get(n) or '').split()))
                         for n in signed.split(';'))
        # the path as S3 wants it: each byte encoded once, the slashes kept
        path = urllib.parse.quote(urllib.parse.unquote_to_bytes(path), safe='/-_.~')
        request = '\n'.join([self.command, path, '&'.join('%s=%s' % p for p in pairs), fields, signed,
                             payload])
        scope = place + '/aws4_request'
        text = '\n'.join(['AWS4-HMAC-SHA256', stamp, scope,
                          hashlib.sha256(request.encode()).hexdigest()])
        key = ('AWS4' + secret).encode()
        for part in scope.split('/'):
            key = hmac.new(key, part.encode(), hashlib.sha256).digest()
        return hmac.new(key, text.encode(), hashlib.sha256).hexdigest()

    def date_time_string(self, timestamp=None):
        now = time.time() + self.store.s3_clock if timestamp is None else timestamp
        return super().date_time_string(now)

    # requests

    def xml(self, text, status=200, headers=()):
        self.answer(status, text.encode(), headers, 'application/xml')

    def s3(self, path):
        store = self.store
        try:
            if store.s3_keys:
                self.s3_let_in()
            host = self.headers.get('Host', '').split(':')[0]
            if store.s3_hosts and host.endswith('.' + store.s3_hosts):
                path = '/' + host[:-len(store.s3_hosts) - 1] + path
            bucket, _, name = path[1:].partition('/')
            name = urllib.parse.unquote(name)
            if bucket not in store.buckets:
                raise Refused(404, 'NoSuchBucket', 'The specified bucket does not exist')
            if not name:
                return self.s3_list(bucket)
            if self.command in ('GET', 'HEAD'):
                return self.s3_get(bucket, name)
            if self.command == 'DELETE':
                return self.s3_delete(bucket, name)
            if (self.headers.get('Content-Type') or '').startswith('application/x-www-form-urlencoded'):
                self.body = b''
            return self.s3_write(bucket, name)
        except Refused as refused:
            return self.xml(refused.text, refused.status, refused.headers)

    def s3_headers(self, found):
        headers = [('ETag', found.etag), ('Last-Modified', self.date_time_string(found.updated))]
        if self.fault == 'huge':
            headers.append(('Content-Length', str(1 << 62)))
        if self.store.s3_etags == 'kms':
            headers.append(('x-amz-server-side-encryption', 'aws:kms'))
        return headers

    def s3_get(self, bucket, name):
        found = self.store.buckets[bucket].get(name)
        if found is None:
            raise Refused(404, 'NoSuchKey')
        if self.headers.get('If-Match') not in (None, found.etag):
            raise Refused(412, 'PreconditionFailed')
        headers = self.s3_headers(found) + [('Accept-Ranges', 'bytes')]
        if self.headers.get('x-amz-checksum-mode') == 'ENABLED' and found.checksum:
            headers.append(('x-amz-checksum-crc32c', found.checksum))
        return self.content(found.data, headers)

    def s3_delete(self, bucket, name):
        if 'uploadId' in self.query:
            self.store.uploads.pop(self.query['uploadId'], None)
        else:
            self.store.buckets[bucket].pop(name, None)
        return self.answer(204)

    def s3_condition(self, bucket, name):
        match, none = self.headers.get('If-Match'), self.headers.get('If-None-Match')
        if self.store.s3_conditions == 'ignored' or (match is None and none is None):
            return
        if self.store.s3_conditions == 'unknown':
            raise Refused(501, 'NotImplemented')
        found = self.store.buckets[bucket].get(name)
        if match is not None and found is None:
            raise Refused(404, 'NoSuchKey')
        if (match is not None and match != found.etag) or (none == '*' and found is not None):
            raise Refused(412, 'PreconditionFailed')

    def s3_check_body(self):
        md5 = self.headers.get('Content-MD5')
        if md5 is not None and base64.b64decode(md5) != hashlib.md5(self.body).digest():
            raise Refused(400, 'BadDigest')
        told = self.headers.get('x-amz-checksum-crc32c')
        if told is not None and told != self.crc32c(self.body):
            raise Refused(400, 'BadDigest')
        return told

    def s3_keep(self, bucket, name, data, etag, checksum):
        """An object with the tag that such a store gives."""
        store = self.store
        made = store.put(bucket, name, data)
        made.etag = '"%s"' % etag
        if store.s3_etags in ('opaque', 'kms'):
            made.etag = '"opaque-%d"' % made.generation
        if store.s3_etags == 'random':
            made.etag = '"%s"' % hashlib.md5(str(made.generation).encode()).hexdigest()
        made.checksum = checksum if store.s3_checksums else None
        return made

    def damaged(self):
        """The body as it is kept."""
        if self.fault == 'damage' and self.body:
            self.fault = None
            return bytes([self.body[0] ^ 1]) + self.body[1:]
        if self.fault == 'shorten' and self.body:
            self.fault = None
            return self.body[:-1]
        return self.body

    def s3_write(self, bucket, name):
        if 'uploads' in self.query or 'uploadId' in self.query:
            return self.s3_parts(bucket, name)
        with self.store.lock:
            self.s3_condition(bucket, name)
            checksum = self.s3_check_body()
            data = self.damaged()
            made = self.s3_keep(bucket, name, data, hashlib.md5(data).hexdigest(), checksum)
        return self.answer(200, b'', self.s3_headers(made))

    def s3_parts(self, bucket, name):
        store = self.store
        if 'uploads' in self.query:
            store.counter += 1
            key = 's%d/+ ' % store.counter
            store.uploads[key] = {}
            return self.xml('<InitiateMultipartUploadResult xmlns="x"><UploadId>%s</UploadId>'
                            '</InitiateMultipartUploadResult>' % key)
        parts = store.uploads.get(self.query['uploadId'])
        if parts is None:
            raise Refused(404, 'NoSuchUpload')
        if 'partNumber' in self.query:
            self.s3_check_body()
            data = self.damaged()
            etag = hashlib.md5(data).hexdigest()
            if store.s3_etags in ('opaque', 'kms'):
                etag = 'part-' + etag[:8]
            elif store.s3_etags == 'random':
                etag = hashlib.md5(etag.encode()).hexdigest()
            parts[int(self.query['partNumber'])] = (data, '"%s"' % etag)
            return self.answer(200, b'', [('ETag', '"%s"' % etag)])
        return self.s3_complete(bucket, name, parts)

    def s3_complete(self, bucket, name, parts):
        told = re.findall(r'<PartNumber>(\d+)</PartNumber><ETag>([^<]+)</ETag>', self.body.decode())
        if not told or any(parts.get(int(n), (b'', ''))[1] != etag for n, etag in told):
            raise Refused(400, 'InvalidPart')
        if self.fault == 'late':  # 200, and then an error
            self.fault = None
            return self.xml('<Error><Code>InternalError</Code><Message>again</Message></Error>')
        data = b''.join(parts[int(n)][0] for n, _ in told)
        if self.fault == 'forget':  # the last part is lost
            self.fault = None
            data = b''.join(parts[int(n)][0] for n, _ in told[:-1])
        tags = b''.join(hashlib.md5(parts[int(n)][0]).digest() for n, _ in told)
        etag = '%s-%d' % (hashlib.md5(tags).hexdigest(), len(told))
        with self.store.lock:
            made = self.s3_keep(bucket, name, data, etag, None)
            self.store.uploads.pop(self.query['uploadId'])
        return self.xml('<CompleteMultipartUploadResult xmlns="x"><ETag>%s</ETag>'
                        '</CompleteMultipartUploadResult>' % escape(made.etag))

    def s3_list(self, bucket):
        entries, more = self.matching(bucket, self.query.get('continuation-token', ''))
        is_encoded = self.query.get('encoding-type') == 'url'

        def shown(text):
            return urllib.parse.quote_plus(text, safe='/') if is_encoded else escape(text)

        def told(name):
            found = self.store.buckets[bucket].get(name)
            return '' if found is None else '<LastModified>%s</LastModified><ETag>%s</ETag><Size>%d</Size>' % (
                time.strftime('%Y-%m-%dT%H:%M:%S.000Z', time.gmtime(found.updated)), escape(found.etag).replace('"', '&quot;'), len(found.data))
        items = ''.join('<CommonPrefixes><Prefix>%s</Prefix></CommonPrefixes>' % shown(n)
                        if is_prefix else '<Contents><Key>%s</Key>%s</Contents>' % (shown(n), told(n))
                        for n, is_prefix in entries)
        tail = '<IsTruncated>false</IsTruncated>'
        if more:
            tail = ('<IsTruncated>true</IsTruncated><NextContinuationToken>%s'
                    '</NextContinuationToken>' % escape(more))
        if is_encoded:
            tail += '<EncodingType>url</EncodingType>'
        self.xml('<?xml version="1.0"?><ListBucketResult xmlns="x">%s%s</ListBucketResult>'
                 % (items, tail))

# SPDX-License-Identifier: Apache-2.0
"""task.hub_module_url and https:// paths against a server with a certificate authority of its own:
good modules, hostile ones, redirects, the cache that is shared with TensorFlow Hub."""
import gzip
import hashlib
import http.server
import io
import json
import os
import re
import shutil
import socket
import ssl
import subprocess
import sys
import tarfile
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), 'support'))
import remote_case  # noqa: E402
from remote_case import e2e  # noqa: E402

MODULE = os.path.join(e2e.SOURCE, 'tests/goldens/hub/small.tar.gz')
# the golden module: make_hub_goldens.py
MODEL = ('task.model.encoder.bert.hidden_size=8,task.model.encoder.bert.intermediate_size=16,'
         'task.model.encoder.bert.max_position_embeddings=8,task.model.encoder.bert.vocab_size=24,'
         'task.model.encoder.bert.dropout_rate=0.0,'
         'task.model.encoder.bert.attention_dropout_rate=0.0,'
         'task.train_data.seq_length=8,task.validation_data.seq_length=8')


def make_tar(entries, compress=True):
    """entries: (name, bytes), or a TarInfo."""
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode='w') as out:
        for entry in entries:
            if isinstance(entry, tarfile.TarInfo):
                out.addfile(entry)
                continue
            info = tarfile.TarInfo(entry[0])
            info.size = len(entry[1])
            out.addfile(info, io.BytesIO(entry[1]))
    return gzip.compress(raw.getvalue(), 9) if compress else raw.getvalue()


def content_of(folder):
    """What docs/files.md says the digest of a module's files is, by the commands that it names."""
    command = ("find . -type f -printf '%P\\n' | LC_ALL=C sort | xargs -d '\\n' sha256sum"
               ' | sha256sum')
    done = subprocess.run(command, shell=True, cwd=folder, capture_output=True, check=True)
    return done.stdout.decode().split()[0]


def special(name, kind, target=''):
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info


class Handler(http.server.BaseHTTPRequestHandler):
    """Serves server.pages: path -> bytes, ('redirect', where), ('status', n)."""
    protocol_version = 'HTTP/1.1'

    def log_message(self, *args):
        pass

    def do_GET(self):
        self.server.log.append((self.command, self.path, self.headers.get('Authorization')))
        page = self.server.pages.get(self.path.split('?')[0], ('status', 404))
        if isinstance(page, tuple) and page[0] == 'redirect':
            return self.send(302, b'', [('Location', page[1])])
        if isinstance(page, tuple):
            return self.send(page[1], b'')
        asked = re.fullmatch(r'bytes=(\d+)-(\d+)', self.headers.get('Range') or '')
        tag = [('ETag', '"%s"' % hashlib.md5(page).hexdigest())]
        if asked and self.server.has_ranges:
            begin, end = int(asked.group(1)), min(int(asked.group(2)) + 1, len(page))
            return self.send(206, page[begin:end], tag + [
                ('Content-Range', 'bytes %d-%d/%d' % (begin, end - 1, len(page)))])
        if self.server.has_ranges:
            tag.append(('Accept-Ranges', 'bytes'))
        return self.send(200, page, tag)

    do_HEAD = do_GET

    def send(self, status, body, headers=()):
        self.send_response(status)
        for name, value in headers:
            self.send_header(name, value)
        self.send_header('Content-Length', str(len(body)))
        self.end_headers()
        if self.command != 'HEAD':
            self.wfile.write(body)


class HttpsServer(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, certificate):
        super().__init__(('127.0.0.1', 0), Handler)
        self.pages, self.log, self.has_ranges = {}, [], True
        if certificate:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*certificate)
            self.socket = context.wrap_socket(self.socket, server_side=True)
        self.url = '%s://localhost:%d' % ('https' if certificate else 'http',
                                          self.server_address[1])
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def handle_error(self, request, client_address):
        pass


def make_authority(folder):
    """A certificate authority and a certificate for localhost; None without openssl."""
    def run(*args):
        return subprocess.run(['openssl'] + list(args), cwd=folder, capture_output=True, check=True)
    with open(os.path.join(folder, 'ext'), 'w', encoding='utf-8') as out:
        out.write('subjectAltName=DNS:localhost,IP:127.0.0.1\n')
    try:
        run('req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes',
            '-days', '2', '-subj', '/CN=test authority', '-keyout', 'ca.key', '-out', 'ca.pem')
        run('req', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-subj',
            '/CN=localhost', '-keyout', 'server.key', '-out', 'server.csr')
        run('x509', '-req', '-in', 'server.csr', '-CA', 'ca.pem', '-CAkey', 'ca.key', '-days', '2',
            '-CAcreateserial', '-extfile', 'ext', '-out', 'server.pem')
    except (OSError, subprocess.CalledProcessError):
        return None
    return os.path.join(folder, 'server.pem'), os.path.join(folder, 'server.key')


class HttpsCase(e2e.Case):
    def setUp(self):
        super().setUp()
        certificate = make_authority(self.folder)
        if certificate is None:
            self.skipTest('there is no openssl')
        self.server = HttpsServer(certificate)
        self.addCleanup(self.server.server_close)
        self.addCleanup(self.server.shutdown)
        rows = e2e.make_rows(16, seq_length=8, vocab=24)
        for name in ('train.tf_record', 'eval.tf_record'):
            e2e.write_records(self.path(name), rows)
        self.cache = self.path('cache')
        self.write('handles', '')
        self.env = dict(remote_case.CLEAN, HOME=self.folder, TFHUB_CACHE_DIR=self.cache,
                        SSL_CERT_FILE=self.path('ca.pem'), BERT_TRAIN_RETRY_SECONDS='2',
                        BERT_TRAIN_HUB_HANDLES=self.path('handles'))
        with open(MODULE, 'rb') as source:
            self.module = source.read()

    def hub(self, handle, override='', expect=0, more=(), model_dir='out', **how):
        override = '%s,task.hub_module_url=%s%s' % (MODEL, handle, override)
        return self.train(mode='train', override=override, expect=expect, more=more,
                          model_dir=model_dir, run_how=dict(how, env=self.env))

    def slot(self, handle):
        return os.path.join(self.cache, hashlib.sha1(handle.encode()).hexdigest())


class SignedUrls(HttpsCase):
    """What signs a URL is used, and stands nowhere: no message, no file."""

    def url(self, name, signature, more='&v=1'):
        return '%s/data/%s?X-Amz-Signature=%s%s' % (self.server.url, name, signature, more)

    def job(self, signature, expect=0, override='', mode='train'):
        paths = ','.join("task.%s_data.input_path='%s'" % (part, self.url(name, signature))
                         for part, name in (('train', 'train.tf_record'),
                                            ('validation', 'eval.tf_record')))
        return self.train(mode=mode, override='%s,%s%s' % (MODEL, paths, override), expect=expect,
                          more=['--verbosity=1'], run_how={'env': self.env})

    def nowhere(self, result, *secrets):
        for secret in secrets:
            self.assertNotIn(secret, result.stdout + result.stderr)
            for folder, _, names in os.walk(self.path('out')):
                for name in names:
                    with open(os.path.join(folder, name), 'rb') as source:
                        self.assertNotIn(secret.encode(), source.read(), name)

    def test_a_job(self):
        for name in ('train.tf_record', 'eval.tf_record'):
            with open(self.path(name), 'rb') as source:
                self.server.pages['/data/' + name] = source.read()
        result = self.job('S1GNATURE', override=',trainer.train_steps=5')
        self.nowhere(result, 'S1GNATURE')
        self.assertTrue(any('S1GNATURE' in path for _, path, _ in self.server.log))
        with open(self.path('out', 'params.yaml'), encoding='utf-8') as source:
            self.assertIn('?X-Amz-Signature=...&v=1', source.read())
        # signed anew it is the same run
        result = self.job('ANOTH3R', override=',trainer.train_steps=10')
        self.nowhere(result, 'S1GNATURE', 'ANOTH3R')
        self.assertNotIn('input_path', result.stderr)

    def test_failures(self):
        self.nowhere(self.job('S1GNATURE', expect=3), 'S1GNATURE')
        self.server.pages['/data/train.tf_record'] = ('status', 403)
        self.nowhere(self.job('S1GNATURE', expect=3), 'S1GNATURE')
        self.server.pages['/data/train.tf_record'] = b'no records'
        self.nowhere(self.job('S1GNATURE', expect=3), 'S1GNATURE')

    def test_what_params_yaml_lacks_is_said(self):
        result = self.job('...', expect=2)
        self.assertIn('is left out of params.yaml', self.one_error(result))


class Modules(HttpsCase):
    def test_a_module(self):
        handle = self.server.url + '/tensorflow/small/4'
        self.server.pages['/tensorflow/small/4'] = ('redirect', '/files/small')
        self.server.pages['/files/small'] = self.module
        result = self.hub(handle)
        self.assertIn('loaded 39', result.stderr)
        self.assertIn('vocabulary %s/assets/vocab.txt, do_lower_case true' % self.slot(handle),
                      result.stderr)
        self.assertIn('tf-hub-format=compressed', self.server.log[0][1])
        # the cache is TensorFlow Hub's: folder, descriptor; no lock, nothing temporary
        self.assertTrue(os.path.isfile(self.slot(handle) + '/saved_model.pb'))
        with open(self.slot(handle) + '.descriptor.txt', encoding='utf-8') as source:
            self.assertTrue(source.read().startswith('Module: %s\nDownload Time: ' % handle))
        names = sorted(os.path.splitext(n)[1] for n in os.listdir(self.cache))
        self.assertEqual(names, ['', '.txt', '.txt'])
        # again: from the cache, also without the server
        self.server.pages.clear()
        self.hub(handle, more=['--offline'], model_dir='again')
        self.same_values(self.path('out', 'ckpt-20'), self.path('again', 'ckpt-20'))
        # the same from a folder, an archive, and as an init_checkpoint
        self.hub(self.slot(handle), model_dir='folder')
        self.same_values(self.path('out', 'ckpt-20'), self.path('folder', 'ckpt-20'))
        self.hub(MODULE, model_dir='archive')
        self.same_values(self.path('out', 'ckpt-20'), self.path('archive', 'ckpt-20'))

    def test_what_another_program_cached(self):
        handle = 'https://tfhub.dev/tensorflow/small/4'
        os.makedirs(self.slot(handle))
        with tarfile.open(MODULE) as archive:
            archive.extractall(self.slot(handle))
        self.hub(handle, more=['--offline'])
        result = self.hub(handle, override=self.pin('0' * 64), expect=3, model_dir='o2',
                          more=['--offline'])
        self.assertIn('but not its archive', self.one_error(result))
        self.assertIn('content:' + content_of(self.slot(handle)), self.one_error(result))
        self.hub(handle, override=self.pin('content:' + content_of(self.slot(handle))),
                 more=['--offline'], model_dir='o3')

    def pin(self, text):
        return ",task.hub_module_sha256='%s'" % text

    def test_pins(self):
        self.server.pages['/m.tar.gz'] = self.module
        handle = self.server.url + '/m.tar.gz'
        digest = hashlib.sha256(self.module).hexdigest()
        wrong = '0' * 64
        result = self.hub(handle, override=self.pin(wrong), expect=3)
        self.assertIn('it is not the module that was pinned', self.one_error(result))
        self.assertIn(digest, self.one_error(result))
        self.assertFalse(os.path.exists(self.slot(handle)))
        result = self.hub(handle, override=self.pin(digest.upper()))
        self.assertIn('its archive has the SHA-256 ' + digest, result.stderr)
        result = self.hub(handle, override=self.pin(wrong), expect=3, model_dir='o2')
        self.assertIn('pinned', self.one_error(result))
        for text in (digest[:-1], digest + '0', 'content:' + digest[1:], digest[:-1] + 'g', 'x'):
            result = self.hub(handle, override=self.pin(text), expect=2, model_dir='o2')
            self.assertIn('64 digits', self.one_error(result))

    def test_a_pin_of_the_content(self):
        self.server.pages['/m.tar.gz'] = self.module
        handle = self.server.url + '/m.tar.gz'
        with tarfile.open(MODULE) as archive:
            archive.extractall(self.path('folder'))
        right, wrong = 'content:' + content_of(self.path('folder')), 'content:' + '0' * 64
        for where in (handle, MODULE, self.path('folder')):
            result = self.hub(where, override=self.pin(wrong), expect=3, model_dir='o2')
            self.assertIn(right, self.one_error(result))
            self.assertEqual(os.path.exists(self.slot(handle)), where != handle)
            self.hub(where, override=self.pin(right), model_dir='o%d' % len(where))
            self.hub(where, override=self.pin(right), more=['--offline'], model_dir='o2')
            shutil.rmtree(self.path('o2'))
        result = self.hub(self.path('folder'), override=self.pin('0' * 64), expect=2)
        self.assertIn('is a folder', self.one_error(result))

    def test_a_cache_that_was_forged(self):
        """What is written beside the module proves nothing."""
        self.server.pages['/m.tar.gz'] = self.module
        handle = self.server.url + '/m.tar.gz'
        digest = hashlib.sha256(self.module).hexdigest()
        evil = self.path('evil')
        with tarfile.open(MODULE) as archive:
            archive.extractall(evil)
        self.write('evil/assets/vocab.txt', '\n'.join('e%d' % i for i in range(24)))
        for offline in ([], ['--offline']):
            for n, forge in enumerate(('note', 'archive', 'both')):
                shutil.rmtree(self.cache, ignore_errors=True)
                os.makedirs(self.cache)
                shutil.copytree(evil, self.slot(handle))
                with open(self.slot(handle) + '.sha256.txt', 'w', encoding='utf-8') as out:
                    out.write('%s\ncontent:%s\n' % (digest, content_of(evil)))
                if forge != 'note':
                    data = self.module if forge == 'both' else b'another archive'
                    with open(self.slot(handle) + '.archive', 'wb') as out:
                        out.write(data)
                result = self.hub(handle, override=self.pin(digest), expect=3, more=offline,
                                  model_dir='f%d' % n)
                words = {'note': 'but not its archive', 'archive': 'that was pinned',
                         'both': 'vocab.txt is not as it is in the archive'}[forge]
                if forge == 'note' and not offline:
                    words = 'vocab.txt is not as it is in the archive'
                self.assertIn(words, self.one_error(result))
        # a file more, a file less, another name
        shutil.rmtree(self.cache)
        self.hub(handle, override=self.pin(digest), model_dir='g')
        for change in ('more', 'less', 'name'):
            shutil.copytree(self.slot(handle), self.path('kept'))
            if change == 'more':
                self.write(os.path.join(self.slot(handle), 'assets/zzz'), b'')
            else:
                vocab = os.path.join(self.slot(handle), 'assets/vocab.txt')
                os.rename(vocab, self.path('gone') if change == 'less' else vocab + 'x')
            result = self.hub(handle, override=self.pin(digest), expect=3, more=['--offline'],
                              model_dir='g2')
            self.assertIn('is not as it is in the archive', self.one_error(result))
            shutil.rmtree(self.slot(handle))
            os.rename(self.path('kept'), self.slot(handle))
        self.hub(handle, override=self.pin(digest), more=['--offline'], model_dir='g3')

    def test_a_pin_that_comes_later(self):
        self.server.pages['/m.tar.gz'] = self.module
        handle = self.server.url + '/m.tar.gz'
        digest = hashlib.sha256(self.module).hexdigest()
        self.hub(handle)
        self.hub(handle, override=self.pin(digest), model_dir='o2')
        n_asked = len(self.server.log)
        self.hub(handle, override=self.pin(digest), model_dir='o3')
        self.assertEqual(len(self.server.log), n_asked)
        self.assertEqual([n for n in os.listdir(self.cache) if 'tmp' in n or 'lock' in n], [])

    def test_a_cache_of_others(self):
        self.server.pages['/m.tar.gz'] = self.module
        handle = self.server.url + '/m.tar.gz'
        old = os.umask(0)
        try:
            self.hub(handle)
        finally:
            os.umask(old)
        self.assertEqual(os.stat(self.cache).st_mode & 0o777, 0o700)
        self.assertEqual(os.stat(self.slot(handle)).st_mode & 0o777, 0o700)
        for path in (self.cache, self.slot(handle)):
            for mode in (0o777, 0o1777, 0o770, 0o702):
                os.chmod(path, mode)
                result = self.hub(handle, expect=4, model_dir='o2')
                self.assertIn('others may write to this cache', self.one_error(result))
                self.assertIn(path + ':', self.one_error(result))
            os.chmod(path, 0o755)
            if os.geteuid() == 0:
                os.chown(path, 12345, 12345)
                result = self.hub(handle, expect=4, model_dir='o2')
                self.assertIn('belongs to user 12345', self.one_error(result))
                os.chown(path, 0, 0)
        os.chmod(self.cache, 0o777)
        self.env['BERT_TRAIN_SHARED_CACHE'] = '1'
        self.hub(handle, model_dir='o4')
        self.env['BERT_TRAIN_SHARED_CACHE'] = ''
        os.chmod(self.cache, 0o700)
        os.rename(self.cache, self.path('real'))
        os.symlink(self.path('real'), self.cache)
        self.hub(handle, model_dir='o3')
        if os.geteuid() == 0:
            os.lchown(self.cache, 12345, 12345)
            result = self.hub(handle, expect=4, model_dir='o2')
            self.assertIn('is a link that belongs to user 12345', self.one_error(result))

    def test_a_model_that_differs(self):
        result = self.hub(MODULE, expect=None, override=(
            ',task.model.encoder.bert.num_layers=3,task.model.encoder.bert.hidden_activation=relu'))
        self.assertNotEqual(result.code, 0)
        error = self.one_error(result)
        self.assertIn('the module has num_layers 2, hidden_activation gelu', error)
        self.assertIn('task.model.encoder has num_layers 3, hidden_activation relu', error)

    def test_places_of_the_table(self):
        self.server.pages['/mirror/a/b/4.tar.gz'] = self.module
        self.write('handles', '# mirrors\nhttps://localhost:1/  %s/none/*.tar.gz\n'
                   'https://localhost:1/  %s/mirror/*.tar.gz\n' % (self.server.url, self.server.url))
        self.hub('https://localhost:1/a/b/4')

    def test_a_dead_host(self):
        result = self.hub('https://localhost:1/a/4', expect=3)
        self.assertIn('could not be fetched', self.one_error(result))
        self.assertIn('set task.hub_module_url to that path', self.one_error(result))
        result = self.hub(self.server.url + '/gone', expect=3)
        self.assertIn('404', self.one_error(result))
        result = self.hub(self.server.url + '/gone', expect=3, more=['--offline'])
        self.assertIn('a run with --offline or --dry_run fetches nothing', self.one_error(result))
        self.assertFalse(os.path.isdir(self.path('out')))

    def test_an_authority_that_is_not_known(self):
        self.server.pages['/m.tar.gz'] = self.module
        self.env['SSL_CERT_FILE'] = ''
        result = self.hub(self.server.url + '/m.tar.gz', expect=3)
        self.assertIn('certificate', self.one_error(result).lower())

    def test_redirects_stay_on_tls(self):
        plain = HttpsServer(None)
        self.addCleanup(plain.server_close)
        self.addCleanup(plain.shutdown)
        plain.pages['/m.tar.gz'] = self.module
        self.server.pages['/m.tar.gz'] = ('redirect', plain.url + '/m.tar.gz')
        result = self.hub(self.server.url + '/m.tar.gz', expect=3)
        self.assertIn('not followed', self.one_error(result))
        self.assertEqual(plain.log, [])
        self.server.pages['/m.tar.gz'] = ('redirect', '/m.tar.gz')
        result = self.hub(self.server.url + '/m.tar.gz', expect=3)
        self.assertIn('in a circle', self.one_error(result))
        self.server.pages['/m.tar.gz'] = ('redirect', 'file:///etc/passwd')
        result = self.hub(self.server.url + '/m.tar.gz', expect=3)
        self.assertIn('not followed', self.one_error(result))

    def test_http_is_refused(self):
        result = self.hub('http://localhost/m.tar.gz', expect=None)
        self.assertIn('use https://', self.one_error(result))

    def test_the_lock_of_one_that_was_killed(self):
        handle = self.server.url + '/m.tar.gz'
        self.server.pages['/m.tar.gz'] = self.module
        gone = subprocess.Popen(['true'])
        gone.wait()
        os.makedirs(self.slot(handle) + '.abc.tmp/variables')
        with open(self.slot(handle) + '.lock', 'w', encoding='utf-8') as out:
            out.write('%s.%d.abc' % (socket.gethostname(), gone.pid))
        result = self.hub(handle)
        self.assertIn('is gone: removed', result.stderr)
        self.assertEqual([n for n in os.listdir(self.cache) if 'tmp' in n or 'lock' in n], [])

    def test_what_killed_ones_left(self):
        """Folders and files under temporary names of this module go; what is named otherwise stays."""
        handle = self.server.url + '/m.tar.gz'
        self.server.pages['/m.tar.gz'] = self.module
        slot = self.slot(handle)
        os.makedirs(self.cache, mode=0o700, exist_ok=True)
        uid = '0123456789abcdef' * 2
        os.makedirs('%s.%s.tmp/deep' % (slot, uid))
        left = ['%s%s.tmp-0123456789abcdef' % (slot, tail)
                for tail in ('.descriptor.txt', '.sha256.txt')]
        mine = ['%s.mine.tmp' % slot, '%s/%s.%s.tmp' % (self.cache, 'f' * 40, uid),
                '%s.descriptor.txt.tmp-mine' % slot]
        for path in left + mine + ['%s.%s.tmp/deep/part' % (slot, uid)]:
            with open(path, 'w', encoding='utf-8') as out:
                out.write('torn')
        self.hub(handle)
        self.assertEqual(sorted(n for n in os.listdir(self.cache) if 'tmp' in n),
                         sorted(os.path.basename(path) for path in mine))

    def test_a_stop_while_waiting(self):
        handle = self.server.url + '/m.tar.gz'
        os.makedirs(self.cache)
        with open(self.slot(handle) + '.lock', 'w', encoding='utf-8') as out:
            out.write('host.1.abc')
        override = '%s,task.hub_module_url=%s' % (MODEL, handle)
        sent = []

        def stop(child):
            sent.append(time.monotonic())
            child.terminate()
        result = e2e.run(self.args(mode='train', override=override), cwd=self.folder, env=self.env,
                         when_said=('another process is fetching it', stop))
        self.assertEqual(result.code, 143, str(result))
        self.assertLess(time.monotonic() - sent[0], 4 * e2e.SLOW)
        self.assertIn('has done nothing for 600 s', result.stderr)

    def test_a_lock_is_waited_for(self):
        handle = self.server.url + '/m.tar.gz'
        self.server.pages['/m.tar.gz'] = self.module
        os.makedirs(self.cache)
        lock = self.slot(handle) + '.lock'
        with open(lock, 'w', encoding='utf-8') as out:
            out.write('host.1.abc')

        def other(_child):
            with tarfile.open(MODULE) as archive:
                archive.extractall(self.slot(handle) + '.abc.tmp')
            os.rename(self.slot(handle) + '.abc.tmp', self.slot(handle))
            os.unlink(lock)
        result = self.hub(handle, when_said=('another process is fetching it', other))
        self.assertIn('another process is fetching it', result.stderr)
        self.assertEqual(self.server.log, [])


class Hostile(HttpsCase):
    """Nothing is written outside, nothing stays in the cache, one sentence says what was wrong."""

    def refused(self, archive, words, expect=3):
        self.server.pages['/bad.tar.gz'] = archive
        handle = self.server.url + '/bad.tar.gz'
        result = self.hub(handle, expect=expect)
        self.assertRegex(self.one_error(result), words)
        self.assertEqual(os.listdir(self.cache), [])
        self.assertFalse(os.path.exists(self.path('escaped')))
        self.assertFalse(os.path.exists('/tmp/bt-escaped'))

    def test_paths(self):
        for name in ('../escaped', '../../escaped', 'a/../../../escaped', '/tmp/bt-escaped',
                     'a/../b', '..', './../escaped'):
            self.refused(make_tar([('saved_model.pb', b'x'), (name, b'x')]),
                         'absolute|leaves the folder')

    def test_links(self):
        for kind in (tarfile.SYMTYPE, tarfile.LNKTYPE):
            self.refused(make_tar([special('a', kind, '../../escaped'), ('a', b'x')]), 'it is a link')
            self.refused(make_tar([('b', b'x'), special('a', kind, 'b')]), 'it is a link')

    def test_devices(self):
        for kind in (tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE):
            self.refused(make_tar([special('dev', kind)]), 'neither a file nor a folder')

    def test_names_twice(self):
        self.refused(make_tar([('a', b'1'), ('a', b'2')]), 'twice')
        self.refused(make_tar([('a', b'1'), ('a/b', b'2')]), 'a file is where a folder must be')
        self.refused(make_tar([('.bert-train-archive', b'2')]), 'twice')

    def test_strange_names(self):
        self.refused(make_tar([('a\nb', b'1')]), 'characters that no name needs')
        self.refused(make_tar([('/'.join('d' * 40), b'1')]), 'too deep')

    def test_bombs(self):
        self.refused(make_tar([('f%d' % i, b'') for i in range(10001)]), 'more than 10000 entries')

    def test_wrong_types(self):
        self.refused(b'<html><body>This model has moved</body></html>', 'no archive')
        self.refused(b'', 'no archive|nothing in it')
        self.refused(gzip.compress(b'no tar'), 'no archive')
        self.refused(self.module[:len(self.module) // 2], 'damaged')
        self.refused(make_tar([('readme', b'no module')]), 'no saved_model.pb')

    def test_a_module_of_something_else(self):
        self.server.pages['/x.tar.gz'] = make_tar([('saved_model.pb', b''),
                                                   ('variables/variables.index', b'short')])
        result = self.hub(self.server.url + '/x.tar.gz', expect=3)
        self.assertIn('variables.index', self.one_error(result))


class Files(HttpsCase):
    """https:// and hf:// as paths."""

    def publish(self, folder, at):
        for base, _, names in os.walk(folder):
            for name in names:
                with open(os.path.join(base, name), 'rb') as source:
                    path = os.path.relpath(os.path.join(base, name), folder)
                    self.server.pages[at + '/' + path] = source.read()

    def test_data_and_weights(self):
        self.train(model_dir='first', override=MODEL, mode='train')
        self.publish(self.path('first'), '/first')
        self.publish(self.folder, '/data')
        url = self.server.url
        for self.server.has_ranges in (True, False):
            shutil.rmtree(self.path('out'), ignore_errors=True)
            result = self.train(mode='train', override=(
                MODEL + ',task.train_data.input_path=%s/data/train.tf_record,'
                'task.init_checkpoint=%s/first/ckpt-20' % (url, url)), run_how={'env': self.env})
            self.assertIn('loaded 39', result.stderr)

    def test_what_cannot_be_done_there(self):
        result = self.train(override='task.train_data.input_path=%s/a*' % self.server.url,
                            expect=None, run_how={'env': self.env})
        self.assertIn('a web server has no list of its files', self.one_error(result))
        result = self.train(model_dir=self.server.url + '/out', expect=None, override=MODEL,
                            run_how={'env': self.env})
        self.assertIn('can be read only', self.one_error(result))

    def test_hugging_face(self):
        tensors = hf_tensors()
        names = sorted(tensors)
        parts = {'model-00001-of-00002.safetensors': names[::2],
                 'model-00002-of-00002.safetensors': names[1::2]}
        os.makedirs(self.path('repo'))
        for file, part in parts.items():
            self.write('repo/' + file, safetensors({n: tensors[n] for n in part}))
        index = {'metadata': {}, 'weight_map': {n: f for f, part in parts.items() for n in part}}
        self.write('repo/model.safetensors.index.json', json.dumps(index))
        self.write('one.safetensors', safetensors(tensors))
        for name in ('repo', 'one.safetensors'):
            self.train(mode='train', model_dir='out-' + name,
                       override=MODEL + ',task.init_checkpoint=' + name)
        self.same_values(self.path('out-repo', 'ckpt-20'), self.path('out-one.safetensors', 'ckpt-20'))
        self.publish(self.path('repo'), '/owner/name/resolve/main')
        self.env.update(HF_ENDPOINT=self.server.url, HF_TOKEN='hf-s3cret')
        other = HttpsServer((self.path('server.pem'), self.path('server.key')))
        self.addCleanup(other.server_close)
        self.addCleanup(other.shutdown)
        for file in parts:  # large files are elsewhere, as on the real hub
            path = '/owner/name/resolve/main/' + file
            other.pages[path] = self.server.pages[path]
            self.server.pages[path] = ('redirect', other.url + path)
        result = self.train(mode='train', model_dir='out-hf', run_how={'env': self.env},
                            override=MODEL + ',task.init_checkpoint=hf://owner/name')
        self.same_values(self.path('out-repo', 'ckpt-20'), self.path('out-hf', 'ckpt-20'))
        self.assertNotIn('s3cret', result.stderr)
        self.assertTrue(all(a == 'Bearer hf-s3cret' for _, _, a in self.server.log))
        self.assertGreater(len(other.log), 0)
        self.assertEqual([a for _, _, a in other.log if a], [], 'a token went to another host')

    def test_strange_redirects(self):
        """The host that a token is for and the one that is connected to are found by one parser."""
        other = HttpsServer((self.path('server.pem'), self.path('server.key')))
        self.addCleanup(other.server_close)
        self.addCleanup(other.shutdown)
        self.env.update(HF_ENDPOINT=self.server.url, HF_TOKEN='hf-s3cret')
        here, there = (s.url[len('https://'):] for s in (self.server, other))
        port = here.split(':')[1]
        vocab = b'[PAD]\n[UNK]\n[CLS]\n[SEP]\nhello\n'
        self.server.pages['/f'] = other.pages['/f'] = vocab
        rows = [('//%s/f' % there, 'there'), ('https:/%s/f' % there, 'there'),
                ('https://%s/f#@%s/f' % (there, here), 'there'),
                ('https://%s/f?@%s/f' % (there, here), 'there'),
                ('https://%s/f' % here.upper(), 'here'), ('/f', 'here'), ('/../../x/../f', 'here'),
                ('https://127.0.0.1:%s/f' % port, 'no token'),
                ('https://%s@%s/f' % (here, there), 'no'),
                ('https://%s\\@%s/f' % (here, there), 'no'), ('https://%s%%40%s/f' % (here, there), 'no'),
                ('https://%s%%00.%s/f' % (here, there), 'no'), ('https:///%s/f' % there, 'there'),
                ('\\\\%s\\f' % there, 'no'), ('/\\%s/f' % there, 'no'),
                ('http://%s/f' % there, 'no'), ('https://%s\t/f' % there, 'no'),
                ('https://m\u00fcnchen.example/f', 'no'), ('javascript:alert(1)', 'no'),
                ('https://[fe80::1%25lo]/f', 'no')]
        for where, what in rows:
            self.server.pages['/owner/name/resolve/main/vocab.txt'] = ('redirect', where)
            self.server.log, other.log = [], []
            result = e2e.run(['--vocab_file=hf://owner/name/vocab.txt'], name='bert-tokenize',
                             env=self.env, stdin=b'hello\n')
            self.assertEqual(result.code == 0, what != 'no', (where, str(result)))
            self.assertEqual(len(other.log) > 0, what == 'there', where)
            self.assertEqual([a for _, _, a in other.log if a], [], where)
            tokens = [a for _, p, a in self.server.log if p.startswith('/f')]
            self.assertEqual(all(tokens), what != 'no token', where)
            self.assertNotIn('s3cret', result.stderr)
            if what == 'no':
                self.assertRegex(result.stderr, 'error: .*(redirects to|no such file)', where)

    def test_an_index_that_reaches_out(self):
        os.makedirs(self.path('repo'))
        for name in ('../one.safetensors', '/etc/passwd', 'x.bin', '.x.safetensors', 5):
            self.write('repo/model.safetensors.index.json',
                       json.dumps({'weight_map': {'a': name}}))
            result = self.train(mode='train', override=MODEL + ',task.init_checkpoint=repo',
                                expect=3)
            self.assertIn('not a *.safetensors file beside it', self.one_error(result))


def hf_tensors():
    """The variables of a BERT under Hugging Face's names, for MODEL: {name: (shape, bytes)}."""
    import random
    import struct
    rng = random.Random(3)
    shapes = {'embeddings.word_embeddings.weight': [24, 8],
              'embeddings.position_embeddings.weight': [8, 8],
              'embeddings.token_type_embeddings.weight': [2, 8],
              'embeddings.LayerNorm.weight': [8], 'embeddings.LayerNorm.bias': [8],
              'pooler.dense.weight': [8, 8], 'pooler.dense.bias': [8]}
    for i in range(2):
        base = 'encoder.layer.%d.' % i
        for name in ('attention.self.query', 'attention.self.key', 'attention.self.value',
                     'attention.output.dense'):
            shapes[base + name + '.weight'], shapes[base + name + '.bias'] = [8, 8], [8]
        shapes[base + 'intermediate.dense.weight'] = [16, 8]
        shapes[base + 'intermediate.dense.bias'] = [16]
        shapes[base + 'output.dense.weight'], shapes[base + 'output.dense.bias'] = [8, 16], [8]
        for name in ('attention.output.LayerNorm', 'output.LayerNorm'):
            shapes[base + name + '.weight'], shapes[base + name + '.bias'] = [8], [8]
    out = {}
    for name, shape in shapes.items():
        n = shape[0] * (shape[1] if len(shape) > 1 else 1)
        out['bert.' + name] = (shape, struct.pack('<%df' % n, *(rng.gauss(0, 0.2) for _ in range(n))))
    return out


def safetensors(tensors):
    import struct
    header, at, body = {}, 0, b''
    for name, (shape, data) in tensors.items():
        header[name] = {'dtype': 'F32', 'shape': shape, 'data_offsets': [at, at + len(data)]}
        at += len(data)
        body += data
    text = json.dumps(header).encode()
    return struct.pack('<Q', len(text)) + text + body


if __name__ == '__main__':
    remote_case.main()

# SPDX-License-Identifier: Apache-2.0
"""hf:// and its cache against a hub over loopback; judged by PyPI's huggingface_hub: what it cached we
use, what we cached it finds, and both lay it out alike."""
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import threading

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), 'support'))
import remote_case  # noqa: E402
from remote_case import e2e  # noqa: E402
from hub_server import Hub, git_sha1  # noqa: E402

HERE = os.path.dirname(os.path.abspath(__file__))
VOCAB = b'[PAD]\n[UNK]\n[CLS]\n[SEP]\nhello\n'
LARGE = VOCAB + b''.join(b'word%d\n' % i for i in range(2000))
VARIABLES = ('HF_HOME', 'HF_HUB_CACHE', 'HUGGINGFACE_HUB_CACHE', 'XDG_CACHE_HOME', 'HF_TOKEN_PATH',
             'HUGGING_FACE_HUB_TOKEN', 'HF_HUB_OFFLINE', 'TRANSFORMERS_OFFLINE',
             'HF_HUB_DISABLE_IMPLICIT_TOKEN', 'BERT_TRAIN_SHARED_CACHE')


class HfCase(e2e.Case):
    def setUp(self):
        super().setUp()
        self.hub = Hub()
        self.addCleanup(self.hub.close)
        self.hub.large.add('large.txt')
        self.files = {'vocab.txt': VOCAB, 'large.txt': LARGE, 'sub/folder/vocab.txt': VOCAB + b'x\n'}
        self.head = self.hub.commit(self.files)
        self.env = dict(remote_case.CLEAN, **{name: '' for name in VARIABLES})
        self.env.update(HOME=self.folder, HF_HOME=self.path('hf'), HF_ENDPOINT=self.hub.url,
                        BERT_TRAIN_RETRY_SECONDS='2', BERT_TRAIN_STALL_SECONDS='2')
        self.cache = self.path('hf/hub')

    def read(self, file='vocab.txt', name='owner/name', expect=0, env=None, **how):
        """A file of the hub, through the cheapest program that reads one; the words that it knows."""
        result = e2e.run(['--vocab_file=hf://%s/%s' % (name, file)], name='bert-tokenize',
                         env=dict(self.env, **(env or {})), stdin=b'hello x y\n', **how)
        if expect is not None:
            self.assertEqual(result.code, expect, str(result))
        return result

    def one(self, result):
        return self.one_error(result, 'bert-tokenize')

    def repo(self, *names):
        return os.path.join(self.cache, 'models--owner--name', *names)

    def tree(self, folder):
        """What must be alike: {path: link or content}, without locks and tags of other programs."""
        found = {}
        for base, folders, names in os.walk(folder):
            folders[:] = [f for f in folders if f not in ('.locks', 'trees')]
            for name in names + [f for f in folders if os.path.islink(os.path.join(base, f))]:
                path = os.path.join(base, name)
                key = os.path.relpath(path, folder)
                if name == 'CACHEDIR.TAG':
                    continue
                if os.path.islink(path):
                    found[key] = 'link ' + os.readlink(path)
                else:
                    with open(path, 'rb') as source:
                        found[key] = source.read()
        return found


class Cache(HfCase):
    def test_the_layout(self):
        for file in self.files:
            self.read(file)
        self.read('none.txt', expect=3)
        digest = hashlib.sha256(LARGE).hexdigest()
        self.assertEqual(self.tree(self.cache), {'models--owner--name/' + k: v for k, v in {
            'refs/main': self.head.encode(), '.no_exist/%s/none.txt' % self.head: b'',
            'blobs/' + git_sha1(VOCAB): VOCAB, 'blobs/' + git_sha1(VOCAB + b'x\n'): VOCAB + b'x\n',
            'blobs/' + digest: LARGE,
            'snapshots/%s/vocab.txt' % self.head: 'link ../../blobs/' + git_sha1(VOCAB),
            'snapshots/%s/large.txt' % self.head: 'link ../../blobs/' + digest,
            'snapshots/%s/sub/folder/vocab.txt' % self.head:
                'link ../../../../blobs/' + git_sha1(VOCAB + b'x\n')}.items()})

    def test_the_second_run_transfers_nothing(self):
        for file in self.files:
            self.read(file)
            self.hub.log.clear()
            self.read(file)
            self.assertEqual(self.hub.asked('GET'), [])
            self.assertEqual(len(self.hub.asked('HEAD')), 1)
            for name in ('HF_HUB_OFFLINE', 'TRANSFORMERS_OFFLINE'):
                self.hub.log.clear()
                self.read(file, env={name: '1'})
                self.assertEqual(self.hub.log, [])
            self.read(file, name='owner/name@' + self.head)  # a commit does not change
            self.assertEqual(self.hub.log, [])

    def test_what_is_not_there_offline(self):
        result = self.read(expect=3, env={'HF_HUB_OFFLINE': 'yes'})
        self.assertIn('HF_HUB_OFFLINE', result.stderr)
        self.assertEqual(self.hub.log, [])
        self.assertFalse(os.path.exists(self.cache))

    def test_a_branch_that_moved(self):
        self.read()
        self.read('large.txt')
        changed = dict(self.files, **{'large.txt': LARGE + b'x\n'})
        second = self.hub.commit(changed)
        self.hub.log.clear()
        self.assertEqual(self.read().stdout, 'hello [UNK] [UNK]\n')
        self.assertEqual(self.hub.asked('GET'), [])  # the same blob
        self.assertEqual(self.read('large.txt').stdout, 'hello x [UNK]\n')
        self.assertEqual(len(self.hub.asked('GET', 'cdn')), 1)
        with open(self.repo('refs/main'), encoding='utf-8') as source:
            self.assertEqual(source.read(), second)
        # the old one is still there, by its name
        result = self.read('large.txt', name='owner/name@' + self.head)
        self.assertEqual(result.stdout, 'hello [UNK] [UNK]\n')
        self.assertEqual(len(self.hub.asked('GET', 'cdn')), 1)

    def test_revisions_and_kinds(self):
        self.hub.commit({'v': VOCAB + b'x\n'}, branch='refs/pr/1')
        self.hub.commit({'v': VOCAB + b'y\n'}, branch='a/b')
        self.hub.commit({'v': VOCAB + b'x\ny\n'}, name='datasets/owner/name')
        for name, want in (('owner/name@refs/pr/1', 'hello x [UNK]\n'),
                           ('owner/name@refs%2Fpr%2F1', 'hello x [UNK]\n'),
                           ('owner/name@a%2Fb', 'hello [UNK] y\n'),
                           ('datasets/owner/name', 'hello x y\n')):
            self.assertEqual(self.read('v', name=name).stdout, want)
            self.assertEqual(self.read('v', name=name, env={'HF_HUB_OFFLINE': '1'}).stdout, want)
        self.assertTrue(os.path.exists(self.repo('refs/refs/pr/1')))
        self.assertTrue(os.path.isdir(os.path.join(self.cache, 'datasets--owner--name')))
        for path, words in (('hf://owner/name@none/v', 'no such revision'),
                            ('hf://owner/none/v', 'no such repository')):
            result = e2e.run(['--vocab_file=' + path], name='bert-tokenize', env=self.env)
            self.assertEqual(result.code, 3)
            self.assertIn(words, self.one(result))

    def test_names_that_lead_elsewhere(self):
        for path in ('owner/name/../x', 'owner/name/a/../../x', 'owner/..', '../name/x',
                     'owner/name@../x', 'owner/name@a%2F..%2Fb/x', 'owner/name//x', 'owner/name/x/',
                     'owner/name/a\\b', 'owner'):
            result = e2e.run(['--vocab_file=hf://' + path], name='bert-tokenize', env=self.env)
            self.assertIn(result.code, (2, 3), (path, str(result)))
            self.assertEqual(self.hub.log, [], path)

    def test_headers_that_lead_elsewhere(self):
        """What cannot be a name in the cache is read without it."""
        for name, value in (('X-Repo-Commit', '../../x'), ('X-Repo-Commit', '/x'),
                            ('X-Repo-Commit', None), ('X-Repo-Commit', 'a' * 100),
                            ('ETag', '"../../../x"'), ('ETag', None), ('ETag', '".hidden"'),
                            ('ETag', '"%s"' % ('a' * 300))):
            self.hub.headers = {name: value}
            self.assertEqual(self.read().stdout, 'hello [UNK] [UNK]\n', (name, value))
            self.assertFalse(os.path.exists(self.repo('blobs')), (name, value))
        outside = [n for n in os.listdir(self.folder) if n not in ('hf', 'model.yaml', 'run.yaml')]
        self.assertEqual(sorted(outside), ['eval.tf_record', 'train.tf_record'])

    def test_a_size_that_cannot_be(self):
        self.hub.large.add('vocab.txt')
        self.hub.headers = {'X-Linked-Size': str(1 << 62)}
        result = self.read(expect=3)
        self.assertIn('the server says that it has %d bytes' % (1 << 62), result.stderr)

    def test_damage(self):
        for file in ('vocab.txt', 'large.txt'):
            self.hub.damage = 1
            self.assertIn('asked for again', self.read(file).stderr)
            shutil.rmtree(self.cache)
            self.hub.damage = 100
            self.assertIn('damaged on the way', self.one(self.read(file, expect=3)))
            self.hub.damage = 0
            self.assertEqual(os.listdir(self.repo('blobs')), [])
            self.assertFalse(os.path.exists(self.repo('snapshots')))
            self.hub.cut = 1
            self.read(file)
            shutil.rmtree(self.cache)

    def test_what_another_size_has_in_the_cache_is_fetched_again(self):
        self.read('large.txt')
        blob = self.repo('blobs', hashlib.sha256(LARGE).hexdigest())
        with open(blob, 'wb') as out:
            out.write(LARGE[:100])
        self.read('large.txt')
        with open(blob, 'rb') as source:
            self.assertEqual(source.read(), LARGE)

    def test_a_hub_that_is_away(self):
        self.read()
        self.env['HF_ENDPOINT'] = 'http://localhost:9'
        self.assertIn('taken from the cache, which has commit ' + self.head, self.read().stderr)
        self.assertIn('localhost', self.one(self.read('large.txt', expect=4)))

    def test_many_at_once(self):
        self.hub.slow = 1.0
        threads = [threading.Thread(target=self.read, args=(file,))
                   for file in ('large.txt', 'large.txt', 'large.txt', 'vocab.txt')]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(len(self.hub.asked('GET', 'cdn')), 1, self.hub.log)
        self.assertEqual(len(os.listdir(self.repo('blobs'))), 2)

    def test_one_that_is_killed(self):
        """What it left goes when the next one fetches."""
        self.hub.slow = 30.0
        result = e2e.run(['--vocab_file=hf://owner/name/large.txt'], name='bert-tokenize',
                         env=self.env, stop_when=(lambda: self.hub.asked('GET', 'cdn'),
                                                  signal.SIGKILL))
        self.assertEqual(result.code, -9, str(result))
        self.assertEqual(len(os.listdir(self.repo('blobs'))), 1)
        self.hub.slow = 0.0
        self.read('large.txt')
        self.assertEqual(os.listdir(self.repo('blobs')), [hashlib.sha256(LARGE).hexdigest()])

    def test_where_it_is(self):
        for env, where in (({'HF_HUB_CACHE': 'a'}, 'a'), ({'HUGGINGFACE_HUB_CACHE': 'b'}, 'b'),
                           ({'HF_HUB_CACHE': 'c', 'HUGGINGFACE_HUB_CACHE': 'no'}, 'c'),
                           ({'HF_HOME': '', 'XDG_CACHE_HOME': 'd'}, 'd/huggingface/hub'),
                           ({'HF_HOME': '', 'HOME': 'e'}, 'e/.cache/huggingface/hub'),
                           ({'HF_HOME': '~/f', 'HOME': 'g'}, 'g/f/hub')):
            env = {k: self.path(v) if v and v[0] != '~' else v for k, v in env.items()}
            self.read(env=env)
            self.assertTrue(os.path.isdir(self.path(where, 'models--owner--name')), where)
            self.assertEqual(os.stat(self.path(where)).st_mode & 0o777, 0o700)

    def test_a_cache_of_others(self):
        self.read()
        os.chmod(self.cache, 0o777)
        self.assertIn('others may write to this cache', self.one(self.read(expect=4)))
        self.read(env={'BERT_TRAIN_SHARED_CACHE': '1'})
        os.chmod(self.cache, 0o755)
        if os.geteuid() == 0:
            os.chown(self.cache, 12345, 12345)
            self.assertIn('belongs to user 12345', self.one(self.read(expect=4)))

    def test_tokens(self):
        self.hub.token = 's3cret-token'
        os.makedirs(self.path('hf'))
        self.write('elsewhere', 's3cret-token\n')
        refused = self.read(expect=3)
        self.assertIn('401', self.one(refused))
        for n, (env, file) in enumerate((
                ({'HF_TOKEN': 's3cret-token'}, None), ({'HF_TOKEN': ' s3cret-token\r\n'}, None),
                ({'HUGGING_FACE_HUB_TOKEN': 's3cret-token'}, None),
                ({'HF_TOKEN_PATH': self.path('elsewhere')}, None), ({}, 's3cret-token\n'))):
            if file is not None:
                self.write('hf/token', file)
            shutil.rmtree(self.cache, ignore_errors=True)
            result = self.read('large.txt', env=env)
            self.assertNotIn('s3cret', result.stderr + result.stdout)
        self.assertEqual([a for h, _, _, a in self.hub.log if h == 'cdn' and a], [])
        self.assertEqual(len(self.hub.asked('GET', 'cdn')), 5)
        self.assertIn('401', self.one(self.read('large.txt', expect=3, env={
            'HF_HUB_DISABLE_IMPLICIT_TOKEN': '1'})))
        result = self.read(expect=2, env={'HF_TOKEN': 's3cret token'})
        self.assertNotIn('s3cret', result.stderr)
        result = self.read(expect=2, env={'HF_ENDPOINT': 'http://example.com'})
        self.assertIn('https://', self.one(result))


class Training(HfCase):
    def test_weights_in_parts(self):
        """A training from hf://, and again without the hub: the bits of the local files."""
        import hub  # its names of a BERT's tensors
        tensors = hub.hf_tensors()
        names = sorted(tensors)
        parts = {'model-00001-of-00002.safetensors': names[::2],
                 'model-00002-of-00002.safetensors': names[1::2]}
        files = {f: hub.safetensors({n: tensors[n] for n in part}) for f, part in parts.items()}
        files['model.safetensors.index.json'] = json.dumps(
            {'metadata': {}, 'weight_map': {n: f for f, part in parts.items() for n in part}}).encode()
        self.hub.large.update(parts)
        self.hub.commit(files, name='owner/bert')
        os.makedirs(self.path('repo'))
        for name, data in files.items():
            self.write('repo/' + name, data)
        rows = e2e.make_rows(16, seq_length=8, vocab=24)
        for name in ('train.tf_record', 'eval.tf_record'):
            e2e.write_records(self.path(name), rows)
        for out, where, env in (('local', 'repo', {}), ('first', 'hf://owner/bert', {}),
                                ('second', 'hf://owner/bert', {'HF_HUB_OFFLINE': '1'})):
            self.hub.log.clear()
            self.train(mode='train', model_dir=out, run_how={'env': dict(self.env, **env)},
                       override=hub.MODEL + ',task.init_checkpoint=' + where)
            self.assertEqual(len(self.hub.asked('GET', 'cdn')), 2 if out == 'first' else 0)
            self.assertEqual(self.hub.log != [], out == 'first')
            self.same_values(self.path('local', 'ckpt-20'), self.path(out, 'ckpt-20'))


class Facts(HfCase):
    """What lies in a repository beside the weights decides as in a folder (folder_facts.py)."""

    def start(self, name, expect=0, more=''):
        folder = e2e.golden('folders/' + name)
        files = {}
        for file in os.listdir(folder):
            with open(os.path.join(folder, file), 'rb') as source:
                files[file] = source.read()
        rows = json.loads(files.pop('expected.json'))['rows']
        self.rows = [row for row in rows if '\u03a3' not in row['text']]
        self.hub.commit(files)
        self.write('texts.tsv', 'sentence\n' + ''.join(row['text'] + '\n' for row in self.rows))
        result = e2e.run(['--experiment=bert/sentence_prediction', '--mode=predict', '--model_dir=out',
                          '--params_override=task.init_checkpoint=hf://owner/name,'
                          'task.validation_data.input_path=texts.tsv,'
                          'task.validation_data.text_fields=[sentence]' + more],
                         cwd=self.path(), env=self.env)
        self.assertEqual(result.code, expect, str(result))
        return result

    def test_probabilities_of_transformers(self):
        for name in ('cased', 'uncased', 'accents_kept', 'shards'):
            shutil.rmtree(self.path('out'), ignore_errors=True)
            shutil.rmtree(self.path('hf'), ignore_errors=True)
            result = self.start(name)
            self.assertIn('hf://owner/name/config.json supplies what was not set: ', result.stderr)
            with open(self.path('out/predictions.tsv'), encoding='utf-8') as source:
                lines = [line.split('\t') for line in source.read().splitlines()]
            self.assertEqual(len(lines), 1 + len(self.rows))
            for cells, row in zip(lines[1:], self.rows):
                for got, want in zip(cells[2:], row['probabilities']):
                    self.assertLess(abs(float(got) - want), 1e-5, (name, row['text']))
            if name == 'uncased':
                self.assertEqual(lines[0][2:], ['probability_bad', 'probability_so', 'probability_good'])

    def test_a_request_that_fails_is_no_missing_file(self):
        for file in ('tokenizer_config.json', 'config.json', 'tokenizer.json'):
            shutil.rmtree(self.path('hf'), ignore_errors=True)
            self.hub.broken.add(file)
            result = self.start('cased', expect=4)
            self.hub.broken.discard(file)
            self.assertIn('hf://owner/name/' + file, self.one_error(result, 'bert-train'))
            self.assertFalse(os.path.exists(self.path('out')))


class Judge(HfCase):
    """The library itself."""

    def setUp(self):
        super().setUp()
        got = subprocess.run([os.path.join(HERE, 'get_python.sh'), e2e.BUILD, 'huggingface_hub',
                              'huggingface_hub'], capture_output=True, text=True, check=False)
        if got.returncode != 0:
            self.skipTest(got.stderr.strip().splitlines()[-1])
        self.packages = got.stdout.strip()

    def library(self, code, **env):
        program = 'import huggingface_hub as h, json, os\n%s\n' % code
        env = dict(os.environ, **dict(self.env, PYTHONPATH=self.packages, HF_HUB_DISABLE_XET='1',
                                      HF_HUB_DISABLE_TELEMETRY='1', **env))
        done = subprocess.run([sys.executable, '-c', program], capture_output=True, text=True,
                              check=False, env={k: v for k, v in env.items() if v})
        self.assertEqual(done.returncode, 0, done.stderr[-3000:])
        return json.loads(done.stdout.splitlines()[-1])

    def test_what_we_cached_is_found(self):
        for file in self.files:
            self.read(file)
        self.read('none.txt', expect=3)
        self.hub.log.clear()
        paths = self.library('print(json.dumps([h.hf_hub_download("owner/name", f, '
                             'local_files_only=True) for f in %r]))' % list(self.files))
        self.assertEqual(self.hub.log, [])
        for file, path in zip(self.files, paths):
            self.assertEqual(path, self.repo('snapshots', self.head, file))
        found = self.library('print(json.dumps([h.try_to_load_from_cache("owner/name", "vocab.txt"),'
                             'h.try_to_load_from_cache("owner/name", "none.txt") is '
                             'h._CACHED_NO_EXIST]))')
        self.assertEqual(found, [self.repo('snapshots', self.head, 'vocab.txt'), True])
        scan = self.library(
            'i = h.scan_cache_dir()\n'
            'print(json.dumps([[str(w) for w in i.warnings], i.size_on_disk, [[r.repo_id, '
            '[[v.commit_hash, list(v.refs), sorted(f.file_name for f in v.files)] '
            'for v in r.revisions]] for r in i.repos]]))')
        self.assertEqual(scan, [[], sum(map(len, self.files.values())), [['owner/name', [
            [self.head, ['main'], ['large.txt', 'vocab.txt', 'vocab.txt']]]]]])
        # and asking the hub transfers nothing
        self.hub.log.clear()
        self.library('print(json.dumps(h.hf_hub_download("owner/name", "large.txt")))')
        self.assertEqual(self.hub.asked('GET'), [])

    def test_what_it_cached_is_used(self):
        self.library('print(json.dumps([h.hf_hub_download("owner/name", f) for f in %r]))' %
                     list(self.files))
        theirs = self.tree(self.cache)
        self.hub.log.clear()
        for file in self.files:
            self.read(file)
        self.assertEqual(self.hub.asked('GET'), [])
        self.assertEqual(self.tree(self.cache), theirs)
        self.hub.log.clear()
        for file in self.files:
            self.read(file, env={'HF_HUB_OFFLINE': '1'})
        self.assertEqual(self.hub.log, [])

    def test_both_lay_it_out_alike(self):
        second = dict(self.files, **{'vocab.txt': VOCAB + b'y\n'})
        for commit in (self.files, second):
            self.hub.commit(commit)
            for file in self.files:
                self.read(file)
        os.rename(self.cache, self.path('ours'))
        for commit in (self.files, second):
            self.hub.commit(commit)
            self.library('print(json.dumps([h.hf_hub_download("owner/name", f) for f in %r]))' %
                         list(self.files))
        self.assertEqual(self.tree(self.path('ours')), self.tree(self.cache))

    def test_the_lock_is_the_same(self):
        self.read()
        shutil.rmtree(self.repo())
        lock = os.path.join(self.cache, '.locks/models--owner--name', git_sha1(VOCAB) + '.lock')
        holder = subprocess.Popen(
            [sys.executable, '-c', 'import sys, filelock\n'
             'with filelock.FileLock(sys.argv[1]):\n    print("held", flush=True)\n'
             '    sys.stdin.read()\n', lock], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            env=dict(os.environ, PYTHONPATH=self.packages))
        self.addCleanup(holder.wait)
        self.addCleanup(holder.stdout.close)
        self.assertEqual(holder.stdout.readline(), b'held\n')
        words = 'another process is fetching it'
        result = self.read(when_said=(words, lambda _child: holder.stdin.close()))
        self.assertIn(words, result.stderr)


if __name__ == '__main__':
    remote_case.main()

# SPDX-License-Identifier: Apache-2.0
"""What the end-to-end tests share: running the programs, small record files made on the fly, and
readers of their own (event files, tensor bundles, state files), written from the formats' own
descriptions, so that a mistake in the C code is not repeated here. Standard library only."""

import array
import fcntl
import json
import os
import random
import re
import shutil
import struct
import subprocess
import sys
import tempfile
import threading
import time
import unittest

os.environ.setdefault('BERT_TRAIN_LOG_TIMES', 'off')  # lines are compared as they are

SOURCE = os.environ.get(
    'BT_SOURCE_DIR', os.path.abspath(os.path.join(os.path.dirname(__file__), '../../..')))
BUILD = os.environ.get('BT_BUILD_DIR', os.path.join(SOURCE, 'build/release'))
SHARED = os.environ.get('BT_SHARED_DIR', os.path.join(SOURCE, '../shared'))
LONG = os.environ.get('BT_LONG_TESTS', '') not in ('', '0')


def build_option(name):
    """A value of the build's CMakeCache.txt, or ''."""
    try:
        with open(os.path.join(BUILD, 'CMakeCache.txt'), encoding='utf-8') as cache:
            found = re.search(r'^%s:\w+=(.*)$' % re.escape(name), cache.read(), re.M)
    except OSError:
        return ''
    return found.group(1) if found else ''


SANITIZED = build_option('BT_SANITIZE') != ''
# Limits are times of a quiet machine, stretched: they are for what hangs, not for what is slow.
SLOW = float(os.environ.get('BT_TEST_SLOW', '4')) * (5 if SANITIZED else 1)
TIMEOUT = 60 * SLOW


def shared(relative):
    """Path below ../shared, or None where that folder is absent; goldens that a clone has are its own."""
    places = [os.path.join(SHARED, relative)]
    if relative.startswith('goldens/'):
        places = [golden(relative.replace('goldens', 'model_garden', 1)), os.path.join(BUILD, relative)] + places
    found = [path for path in places if os.path.exists(path)]
    return found[0] if found else None


def golden(relative):
    """Path below the project's own goldens."""
    return os.path.join(SOURCE, 'tests/goldens', relative)


def program(name='bert-train'):
    """Of the build; BT_MUTANTS names a folder with programs that stand in for some of them."""
    mutant = os.path.join(os.environ.get('BT_MUTANTS', ''), name)
    return mutant if os.environ.get('BT_MUTANTS') and os.path.exists(mutant) else os.path.join(
        BUILD, name)


SANITIZER_WORDS = ('AddressSanitizer', 'LeakSanitizer', 'runtime error:', 'ThreadSanitizer',
                   'MemorySanitizer')


def words_of(command):
    return ' '.join(repr(w) if isinstance(w, bytes) else w for w in command)


PEAK_LIBRARY = os.path.join(BUILD, 'tests/e2e/libpeak_memory.so')


class Result:
    """Exit status, output, and the largest resident size in bytes (with watch_memory)."""

    def __init__(self, code, stdout, stderr, peak_bytes):
        self.code = code
        self.stdout = stdout
        self.stderr = stderr
        self.peak_bytes = peak_bytes

    def lines(self, prefix):
        return [line for line in self.stderr.splitlines() if line.startswith(prefix)]

    def errors(self, name='bert-train'):
        return self.lines(name + ': error: ')

    def __str__(self):
        return 'exit %s\n--- stdout\n%s\n--- stderr\n%s' % (self.code, self.stdout[-3000:],
                                                           self.stderr[-5000:])


class Pace:
    """What a program says, through a pipe that holds a page (a dozen lines of a training), into a file.
    However busy the machine is, the program does not come far while its test does not look."""

    SET_SIZE = 1031  # F_SETPIPE_SZ of <fcntl.h>; Python 3.10 has a name for it

    def __init__(self, file):
        self.to = file.fileno()
        self.source, self.sink = os.pipe()
        fcntl.fcntl(self.source, self.SET_SIZE, 4096)
        os.set_blocking(self.source, False)
        self.reader = None

    def started(self):
        """The program has its end of the pipe."""
        os.close(self.sink)

    def look(self):
        """Takes what there is; False at the end."""
        try:
            said = os.read(self.source, 65536)
        except BlockingIOError:
            return True
        os.write(self.to, said)
        return said != b''

    def let_go(self):
        """From now on it may say what it likes."""
        def read_all():
            while self.look():
                pass
        os.set_blocking(self.source, True)
        self.reader = threading.Thread(target=read_all, daemon=True)
        self.reader.start()

    def end(self):
        if self.reader is not None:
            self.reader.join(TIMEOUT)
        os.close(self.source)


def run(args, name='bert-train', cwd=None, timeout=None, env=None, before=None, stdin=None,
        stop_when=None, when_said=None, user=None, watch_memory=False, may_die=False):
    """Runs a program to its end. stop_when=(function, signal) sends that signal as soon as the function says
    true, at a Pace; when_said=(words, function) calls that with the child as soon as the words stand on its
    standard error. A program that outlives its timeout (seconds, stretched by SLOW), dies of another signal
    (unless it may_die) or trips a sanitizer is an AssertionError."""
    command = [program(name)] + [a if isinstance(a, bytes) else str(a) for a in args]
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err, \
            tempfile.TemporaryFile() as source, tempfile.NamedTemporaryFile() as peak:
        source.write(stdin or b'')
        source.seek(0)
        if watch_memory:
            assert os.path.exists(PEAK_LIBRARY), 'there is no %s: build it first' % PEAK_LIBRARY
            env = dict(env or {}, LD_PRELOAD=PEAK_LIBRARY, BT_PEAK_FILE=peak.name,
                       ASAN_OPTIONS=os.environ.get('ASAN_OPTIONS', '') + ':verify_asan_link_order=0')
        pace = Pace(err) if stop_when is not None else None
        child = subprocess.Popen(command, cwd=cwd, stdin=source, stdout=out, stderr=pace.sink if pace else err,
                                 env=dict(os.environ, **(env or {})), preexec_fn=before, user=user)
        sent = None
        if stop_when is not None:
            pace.started()
            while child.poll() is None and not stop_when[0]():
                pace.look()
                time.sleep(0.001)
            if child.poll() is None:
                sent = stop_when[1]
                child.send_signal(sent)
            pace.let_go()
        if when_said is not None:
            while child.poll() is None and when_said[0].encode() not in os.pread(err.fileno(), 1 << 20, 0):
                time.sleep(0.005)
            if child.poll() is None:
                when_said[1](child)
        code = wait_for(child, (timeout or 60) * SLOW, command)
        if pace is not None:
            pace.end()
        out.seek(0)
        err.seek(0)
        result = Result(code, out.read().decode('utf-8', 'replace'),
                        err.read().decode('utf-8', 'replace'), kib_of(peak.read()) * 1024 if watch_memory else None)
    for word in SANITIZER_WORDS:
        assert word not in result.stderr, '%s\n%s' % (words_of(command), result)
    if result.code < 0 and sent is None and not may_die:
        raise AssertionError('%s\nkilled by signal %d\n%s' % (words_of(command), -result.code,
                                                            result))
    return result


def read_tree(folder):
    """{relative path: bytes} of all files below it."""
    out = {}
    for where, _folders, names in os.walk(folder):
        for name in names:
            path = os.path.join(where, name)
            with open(path, 'rb') as source:
                out[os.path.relpath(path, folder)] = source.read()
    return out


def instruction_sets():
    """Those of this machine, "ref" among them."""
    return run(['--version']).stdout.split('this machine runs: ')[1].split(';')[0].split()


def kib_of(line):
    """Of what peak_memory.c wrote."""
    return int(re.search(rb'VmHWM:\s*(\d+) kB', line).group(1))


def processor_seconds(pid):
    """What a process has had of the processors: how far it can have come, however busy the machine is."""
    with open('/proc/%d/stat' % pid, encoding='utf-8') as source:
        words = source.read().rsplit(')', 1)[1].split()
    return (int(words[11]) + int(words[12])) / os.sysconf('SC_CLK_TCK')


def memory_of(pid, what):
    """Of a process that is at work: 'VmHWM', the most that was resident; 'VmRSS', what is now."""
    with open('/proc/%d/status' % pid, encoding='utf-8') as source:
        return int(re.search(what + r':\s*(\d+) kB', source.read()).group(1)) * 1024


def wait_for(child, timeout, command):
    """Exit status; kills a child that takes too long."""
    try:
        return child.wait(timeout)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()
        raise AssertionError('still running after %d s: %s' % (timeout, words_of(command))) from None


def make_crc_table():
    table = []
    for byte in range(256):
        for _ in range(8):
            byte = (byte >> 1) ^ (0x82F63B78 if byte & 1 else 0)
        table.append(byte)
    return table


CRC_TABLE = make_crc_table()


def crc32c(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc = CRC_TABLE[(crc ^ byte) & 255] ^ (crc >> 8)
    return crc ^ 0xFFFFFFFF


def masked_crc(data):
    crc = crc32c(data)
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


def varint(value):
    value &= (1 << 64) - 1
    out = bytearray()
    while value >= 128:
        out.append(value & 127 | 128)
        value >>= 7
    out.append(value)
    return bytes(out)


def field(number, data):
    return varint(number << 3 | 2) + varint(len(data)) + data


def encode_example(features):
    """features: {name: [int...] | [float...] | [bytes...]}"""
    out = b''
    for name, values in features.items():
        if values and isinstance(values[0], float):
            body = field(2, field(1, struct.pack('<%df' % len(values), *values)))
        elif values and isinstance(values[0], bytes):
            body = field(1, b''.join(field(1, v) for v in values))
        else:
            body = field(3, field(1, b''.join(varint(v) for v in values)))
        out += field(1, field(1, name.encode()) + field(2, body))
    return field(1, out)


def frame(data):
    head = struct.pack('<Q', len(data))
    return (head + struct.pack('<I', masked_crc(head)) + data +
            struct.pack('<I', masked_crc(data)))


def write_records(path, examples):
    with open(path, 'wb') as out:
        for example in examples:
            out.write(frame(encode_example(example)))
    return path


def read_records(path):
    with open(path, 'rb') as source:
        data = source.read()
    at = 0
    records = []
    while at < len(data):
        n_bytes, crc = struct.unpack_from('<QI', data, at)
        assert crc == masked_crc(data[at:at + 8]), '%s: bad length checksum at %d' % (path, at)
        record = data[at + 12:at + 12 + n_bytes]
        assert struct.unpack_from('<I', data, at + 12 + n_bytes)[0] == masked_crc(record), path
        records.append(record)
        at += 16 + n_bytes
    return records


def make_row(rng, seq_length=16, vocab=100, n_classes=3, label=None):
    """A row whose class can be learned: it is the class of the word after the first."""
    n = rng.randint(6, seq_length)
    ids = [2] + [rng.randint(5, vocab - 1) for _ in range(n - 2)] + [3]
    if label is None:
        label = [ids[1] % n_classes] if n_classes > 1 else [ids[1] / vocab * 5.0]
    pad = [0] * (seq_length - n)
    half = n // 2
    return {'input_ids': ids + pad, 'input_mask': [1] * n + pad,
            'segment_ids': [0] * half + [1] * (n - half) + pad, 'label_ids': label}


def make_rows(n, seed=7, **how):
    rng = random.Random(seed)
    return [make_row(rng, **how) for _ in range(n)]


def read_varint(data, at):
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 127) << shift
        shift += 7
        if byte < 128:
            return value, at


def fields(data):
    """(number, value) of each field of a message: int, or bytes."""
    at = 0
    while at < len(data):
        key, at = read_varint(data, at)
        kind = key & 7
        if kind == 0:
            value, at = read_varint(data, at)
        elif kind in (1, 5):
            n = 8 if kind == 1 else 4
            value = data[at:at + n]
            at += n
        else:
            n, at = read_varint(data, at)
            value = data[at:at + n]
            at += n
        yield key >> 3, value


def read_events(path):
    """[(step, tag, value)] of an event file; the first record must be the version."""
    events = []
    for i, record in enumerate(read_records(path)):
        event = dict(fields(record))
        if i == 0:
            assert event.get(3) == b'brain.Event:2', '%s: no file version' % path
            continue
        if 7 in event:  # SessionLog {status: START}: what was said of this step and later is void
            assert event[7] == b'\x08\x01', '%s: another session log' % path
            continue
        for number, value in fields(event[5]):
            assert number == 1
            events.append((event.get(2, 0),) + read_scalar(dict(fields(value))))
    return events


def read_scalar(summary):
    """A Summary.Value: tensor of the scalars plugin; of figures its bytes; of other plug-ins None."""
    plugin = dict(fields(dict(fields(summary[9]))[1]))
    if plugin[1] in (b'hparams', b'text'):
        return summary[1].decode(), None
    if plugin[1] in (b'pr_curves', b'images'):
        return summary[1].decode(), summary[8]
    assert plugin[1] == b'scalars'
    tensor = dict(fields(summary[8]))
    assert tensor[1] == 1, 'float32'
    raw = tensor[5] if 5 in tensor else tensor[4]
    return summary[1].decode(), struct.unpack('<f', raw)[0]


def names_in(folder):
    """Sorted; those of event files without the time and process in them."""
    return sorted(re.sub(r'(tfevents)\..*', r'\1', name) for name in os.listdir(folder))


def read_event_folder(folder):
    """The events of each file of a folder, oldest file first."""
    if not os.path.isdir(folder):
        return []
    names = sorted(os.listdir(folder), key=lambda n: os.stat(os.path.join(folder, n)).st_mtime_ns)
    return [read_events(os.path.join(folder, n)) for n in names]


def read_block(data, offset, n_bytes):
    """Entries of a sorted-string table's block (LevelDB's format, no compression)."""
    block = data[offset:offset + n_bytes]
    assert data[offset + n_bytes] == 0, 'block is not compressed'
    (n_restarts,) = struct.unpack_from('<I', block, len(block) - 4)
    end = len(block) - 4 * (n_restarts + 1)
    at = 0
    key = b''
    while at < end:
        n_shared, at = read_varint(block, at)
        n_rest, at = read_varint(block, at)
        n_value, at = read_varint(block, at)
        key = key[:n_shared] + block[at:at + n_rest]
        at += n_rest
        yield key, block[at:at + n_value]
        at += n_value


def read_handle(data, at):
    offset, at = read_varint(data, at)
    n_bytes, at = read_varint(data, at)
    return offset, n_bytes, at


class Tensor:
    """dtype is TensorFlow's number; raw is the bytes in the data file, from place on."""

    def __init__(self, dtype, shape, raw, place):
        self.dtype = dtype
        self.shape = shape
        self.raw = raw
        self.place = place

    def floats(self):
        assert self.dtype == 1
        return array.array('f', self.raw)

    def integer(self):
        return struct.unpack('<q', self.raw)[0]


def read_bundle(prefix):
    """{key: Tensor} of a checkpoint; keys of its own state come as they are."""
    with open(prefix + '.index', 'rb') as source:
        index = source.read()
    with open(prefix + '.data-00000-of-00001', 'rb') as source:
        data = source.read()
    assert index[-8:] == struct.pack('<Q', 0xDB4775248B80FB57), prefix
    _offset, _size, at = read_handle(index, len(index) - 48)
    offset, size, _at = read_handle(index, at)
    tensors = {}
    for _key, handle in read_block(index, offset, size):
        block_offset, block_size, _at = read_handle(handle, 0)
        for key, value in read_block(index, block_offset, block_size):
            if key == b'':
                continue
            entry = dict(fields(value))
            shape = [dict(fields(dim)).get(1, 0) for number, dim in fields(entry.get(2, b''))
                     if number == 2]
            start = entry.get(4, 0)
            tensors[key.decode()] = Tensor(entry.get(1, 0), shape,
                                           data[start:start + entry.get(5, 0)], start)
    return tensors


def replace_checksum(index_path, wanted, crc):
    """Gives one entry of an index another checksum, and its block a fitting one."""
    with open(index_path, 'rb') as source:
        index = bytearray(source.read())
    _offset, _size, at = read_handle(index, len(index) - 48)
    offset, size, _at = read_handle(index, at)
    for _key, handle in read_block(index, offset, size):
        block_offset, block_size, _at = read_handle(handle, 0)
        for key, value in read_block(index, block_offset, block_size):
            if key.decode() != wanted:
                continue
            place = index.find(value, block_offset) + len(value) - 4
            assert value[-5] == 6 << 3 | 5, 'the checksum is the last field'
            index[place:place + 4] = struct.pack('<I', crc)
            end = block_offset + block_size
            index[end + 1:end + 5] = struct.pack('<I', masked_crc(index[block_offset:end + 1]))
    with open(index_path, 'wb') as out:
        out.write(index)


def damage_weight(prefix, part, number, everywhere=False):
    """Puts a number into the variable of a checkpoint whose key has such a part, with a checksum that fits."""
    found = read_bundle(prefix)
    key = next(k for k in sorted(found) if part in k and 'OPTIMIZER_SLOT' not in k)
    word = struct.pack('<f', number)
    raw = found[key].raw
    wrong = word * (len(raw) // 4) if everywhere else raw[:20] + word + raw[24:]
    replace_value(prefix, key, found[key].place, wrong)


def replace_value(prefix, key, place, raw):
    """Writes other bytes of a tensor, with a checksum that fits."""
    with open(prefix + '.data-00000-of-00001', 'rb+') as data:
        data.seek(place)
        data.write(raw)
    replace_checksum(prefix + '.index', key, masked_crc(raw))


SUFFIX = '/.ATTRIBUTES/VARIABLE_VALUE'


def trained_values(prefix):
    """The float tensors of a training checkpoint: variables, slots and averages."""
    return {key: t.raw for key, t in read_bundle(prefix).items() if t.dtype == 1}


def read_state_file(folder):
    """(latest name or None, all names)"""
    path = os.path.join(folder, 'checkpoint')
    if not os.path.exists(path):
        return None, []
    with open(path, encoding='utf-8') as source:
        text = source.read()
    latest = re.search(r'^model_checkpoint_path: "(.*)"$', text, re.M)
    return (latest.group(1) if latest else None,
            re.findall(r'^all_model_checkpoint_paths: "(.*)"$', text, re.M))


def read_params(model_dir):
    """The configuration that a run kept: Model Garden's keys, and ours in the file beside them."""
    text = ''
    for name in ('params.yaml', 'params_ours.yaml'):
        path = os.path.join(model_dir, name)
        if name == 'params.yaml' or os.path.exists(path):
            with open(path, encoding='utf-8') as source:
                text += source.read()
    return text


def read_jsonl(model_dir):
    path = os.path.join(model_dir, 'metrics.jsonl')
    if not os.path.exists(path):
        return []
    with open(path, encoding='utf-8') as source:
        text = source.read()
    assert text == '' or text.endswith('\n'), 'a torn last line'
    return [json.loads(line) for line in text.splitlines()]


TINY_MODEL = """\
task:
  model:
    num_classes: 3
    encoder:
      type: bert
      bert:
        hidden_size: 32
        intermediate_size: 64
        max_position_embeddings: 16
        num_attention_heads: 2
        num_layers: 2
        type_vocab_size: 2
        vocab_size: 100
"""

TINY_RUN = """\
runtime:
  distribution_strategy: one_device
task:
  metric_type: accuracy
  train_data:
    input_path: train.tf_record
    is_training: true
    global_batch_size: 4
    seq_length: 16
  validation_data:
    input_path: eval.tf_record
    is_training: false
    drop_remainder: false
    global_batch_size: 8
    seq_length: 16
trainer:
  train_steps: 20
  steps_per_loop: 5
  summary_interval: 10
  checkpoint_interval: 10
  validation_interval: 10
  validation_steps: -1
  max_to_keep: 5
  best_checkpoint_export_subdir: best_ckpt
  best_checkpoint_eval_metric: cls_accuracy
  best_checkpoint_metric_comp: higher
  optimizer_config:
    learning_rate:
      type: polynomial
      polynomial:
        initial_learning_rate: 0.001
        decay_steps: 20
    warmup:
      type: polynomial
      polynomial:
        warmup_steps: 4
"""


class Case(unittest.TestCase):
    """A test with a folder of its own that holds a tiny job: two YAML files, two record files."""

    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix='bt-e2e-')
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)
        self.write('model.yaml', TINY_MODEL)
        self.write('run.yaml', TINY_RUN)
        write_records(self.path('train.tf_record'), make_rows(64, seed=7))
        write_records(self.path('eval.tf_record'), make_rows(20, seed=8))

    def path(self, *names):
        return os.path.join(self.folder, *names)

    def write(self, name, content):
        path = self.path(name)
        with open(path, 'wb') as out:
            out.write(content if isinstance(content, bytes) else content.encode())
        return path

    def args(self, mode='train_and_eval', model_dir='out', override='', files=None, more=()):
        args = ['--experiment=bert/sentence_prediction', '--mode=' + mode,
                '--model_dir=' + model_dir]
        args += ['--config_file=' + f for f in (('model.yaml', 'run.yaml') if files is None else files)]
        if override:
            args.append('--params_override=' + override)
        return args + list(more)

    def train(self, expect=0, run_how=None, **how):
        """Runs bert-train in the folder; the exit status must be the expected one."""
        result = run(self.args(**how), cwd=self.folder, **(run_how or {}))
        if expect is not None:
            self.assertEqual(result.code, expect, str(result))
        return result

    def one_error(self, result, name='bert-train'):
        """The only error line of a result."""
        errors = result.errors(name)
        self.assertEqual(len(errors), 1, str(result))
        return errors[0]

    def same_values(self, prefix_a, prefix_b):
        """Variables, slots and averages of two checkpoints have the same bits."""
        a = trained_values(prefix_a)
        b = trained_values(prefix_b)
        self.assertEqual(sorted(a), sorted(b))
        self.assertGreater(len(a), 0)
        different = [key for key in a if a[key] != b[key]]
        self.assertEqual(different, [], '%s against %s' % (prefix_a, prefix_b))


def main():
    """unittest.main with ctest's codes: 77 when everything was skipped. Reasons are printed."""
    if not os.path.exists(program()):
        print('SKIPPED: there is no %s: build it first' % program())
        sys.exit(77)
    done = unittest.main(verbosity=2, exit=False).result
    for test, why in done.skipped:
        print('SKIPPED: %s: %s' % (test.id(), why))
    if not done.wasSuccessful():
        sys.exit(1)
    if done.testsRun > 0 and len(done.skipped) == done.testsRun:
        sys.exit(77)
    sys.exit(0)

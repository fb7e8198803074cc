# SPDX-License-Identifier: Apache-2.0
"""Writes the tfrecord/ goldens: record files of edge sizes, compressed ones,
damaged ones, and what TensorFlow's readers say of each.

usage: tfrecord.py OUT_DIR
"""

import os, sys, json, gzip, zlib, struct, random, hashlib, base64

os.environ['TF_CPP_MIN_LOG_LEVEL'] = '2'
os.environ['CUDA_VISIBLE_DEVICES'] = '-1'
import tensorflow as tf

out = sys.argv[1]
os.makedirs(out, exist_ok=True)
P = lambda n: os.path.join(out, n)


def payloads():
    r = random.Random(20240607)
    res = [
        b'',
        b'\x00',
        b'a',
        b'\xff' * 7,
        b'12345678',
        b'x' * 127,
        b'y' * 128,
        bytes(range(256)),
        b'z' * 4095,
        b'z' * 4096,
        b'z' * 4097,
    ]
    res.append(bytes(r.randrange(256) for _ in range(65536)))
    blk = bytes(r.randrange(256) for _ in range(1021))
    one_mb = (blk * 1030)[: 1 << 20]
    res.append(one_mb)  # exactly 1 MiB
    res.append(b'')  # empty record last but one
    res.append(b'end')
    return res


def write(name, recs, opt=None):
    with tf.io.TFRecordWriter(P(name), opt) as w:
        for r in recs:
            w.write(r)


recs = payloads()
small = [b'', b'alpha', b'b' * 300, b'', b'delta-delta', b'omega']
write('edge_sizes.tfrecord', recs)
write('edge_sizes.gzip.tfrecord', recs, 'GZIP')
write('edge_sizes.zlib.tfrecord', recs, 'ZLIB')
write('small.tfrecord', small)
write('small.gzip.tfrecord', small, 'GZIP')
write('small.zlib.tfrecord', small, 'ZLIB')
open(P('empty.tfrecord'), 'wb').close()
write('no_records.gzip.tfrecord', [], 'GZIP')
raw = open(P('small.tfrecord'), 'rb').read()
# a plain gzip(1)-made member, two members one after the other
open(P('small.two_members.gzip.tfrecord'), 'wb').write(gzip.compress(raw, mtime=0) + gzip.compress(raw, mtime=0))
# offsets of the records
offs = []
o = 0
for r in small:
    offs.append(o)
    o += 12 + len(r) + 4
assert o == len(raw)


def variant(name, data):
    open(P(name), 'wb').write(data)


def flip(data, pos, bit=0x01):
    b = bytearray(data)
    b[pos] ^= bit
    return bytes(b)


r3 = offs[2]  # the 300 byte record
variant('bad_length_crc_rec0.tfrecord', flip(raw, offs[0] + 8))
variant('bad_length_crc_rec2.tfrecord', flip(raw, r3 + 8))
variant('bad_length_value_rec2.tfrecord', flip(raw, r3 + 0))  # length changed, crc not
variant('bad_data_rec2.tfrecord', flip(raw, r3 + 12 + 5))
variant('bad_data_crc_rec2.tfrecord', flip(raw, r3 + 12 + 300))
variant('bad_data_crc_last.tfrecord', flip(raw, len(raw) - 1))
variant('bad_data_crc_rec0_empty.tfrecord', flip(raw, offs[0] + 12))
variant('truncated_in_length.tfrecord', raw[: r3 + 5])
variant('truncated_in_length_crc.tfrecord', raw[: r3 + 10])
variant('truncated_after_header.tfrecord', raw[: r3 + 12])
variant('truncated_in_data.tfrecord', raw[: r3 + 12 + 100])
variant('truncated_before_data_crc.tfrecord', raw[: r3 + 12 + 300])
variant('truncated_in_data_crc.tfrecord', raw[: r3 + 12 + 302])
variant('truncated_at_boundary.tfrecord', raw[:r3])
variant('trailing_garbage_3.tfrecord', raw + b'abc')
variant('trailing_garbage_16.tfrecord', raw + b'0123456789abcdef')
variant('trailing_zeros_16.tfrecord', raw + b'\0' * 16)


def masked(data):
    # crc32c by table, only used to build a header with a valid length crc
    t = []
    for i in range(256):
        c = i
        for _ in range(8):
            c = (c >> 1) ^ (0x82F63B78 if c & 1 else 0)
        t.append(c)
    c = 0xFFFFFFFF
    for b in data:
        c = t[(c ^ b) & 255] ^ (c >> 8)
    c ^= 0xFFFFFFFF
    return (((c >> 15) | (c << 17)) + 0xA282EAD8) & 0xFFFFFFFF


def hdr(n):
    l = struct.pack('<Q', n)
    return l + struct.pack('<I', masked(l))


variant('huge_length_valid_crc.tfrecord', raw[:r3] + hdr(1 << 40) + b'q' * 64)
variant('max_length_valid_crc.tfrecord', raw[:r3] + hdr((1 << 64) - 1) + b'q' * 64)
variant('text_not_tfrecord.tfrecord', b'this is plain text, no record file at all\n' * 4)
gz = open(P('small.gzip.tfrecord'), 'rb').read()
zl = open(P('small.zlib.tfrecord'), 'rb').read()
variant('truncated.gzip.tfrecord', gz[: len(gz) - 12])
variant('truncated_half.gzip.tfrecord', gz[: len(gz) // 2])
variant('bad_trailer_crc.gzip.tfrecord', flip(gz, len(gz) - 6))
variant('bad_body.gzip.tfrecord', flip(gz, len(gz) // 2, 0x10))
variant('bad_magic.gzip.tfrecord', flip(gz, 0))
variant('trailing_garbage.gzip.tfrecord', gz + b'garbage')
variant('truncated.zlib.tfrecord', zl[: len(zl) - 5])
variant('bad_adler.zlib.tfrecord', flip(zl, len(zl) - 1))
variant('bad_data_crc_rec2.gzip.tfrecord', gzip.compress(flip(raw, r3 + 12 + 5), mtime=0))


def scrub(m):
    import re

    m = re.sub(r'^\{\{function_node [^}]*\}\} ', '', m)
    m = re.sub(r' \[Op:\w+\] name: ?$', '', m)
    return m.replace(out.rstrip('/') + '/', '').replace(out, '')


def read_dataset(name, comp):
    got = []
    try:
        for r in tf.data.TFRecordDataset(P(name), compression_type=comp):
            got.append(r.numpy())
        return got, None
    except Exception as e:  # pylint: disable=broad-except
        return got, {'class': type(e).__name__, 'code': getattr(e, 'error_code', None), 'message': scrub(str(e))}


def read_iter(name, comp):
    got = []
    opt = {'': None, 'GZIP': tf.io.TFRecordOptions('GZIP'), 'ZLIB': tf.io.TFRecordOptions('ZLIB')}[comp]
    try:
        for r in tf.compat.v1.io.tf_record_iterator(P(name), opt):
            got.append(bytes(r))
        return got, None
    except Exception as e:  # pylint: disable=broad-except
        return got, {'class': type(e).__name__, 'code': getattr(e, 'error_code', None), 'message': scrub(str(e))}


def summ(got, err):
    return {
        'records_read': len(got),
        'record_sizes': [len(g) for g in got],
        'record_sha256_16': [hashlib.sha256(g).hexdigest()[:16] for g in got],
        'error': err,
    }


exp = {}
for n in sorted(os.listdir(out)):
    if not n.endswith('.tfrecord'):
        continue
    e = {'bytes': os.path.getsize(P(n)), 'sha256': hashlib.sha256(open(P(n), 'rb').read()).hexdigest()}
    comp = 'GZIP' if '.gzip.' in n else 'ZLIB' if '.zlib.' in n else ''
    if n == 'huge_length_valid_crc.tfrecord':  # kills the process: ask a child
        import subprocess

        rc = subprocess.run(
            [
                sys.executable,
                '-c',
                'import sys, tensorflow as tf\nfor r in tf.data.TFRecordDataset(sys.argv[1]): print("REC", len(r.numpy()), flush=True)',
                P(n),
            ],
            capture_output=True,
        )
        e['compression_type'] = comp
        e['TFRecordDataset'] = {
            'process_exit_status': rc.returncode,
            'note': 'negative: killed by that signal (11 = SIGSEGV)',
            'records_seen': rc.stdout.decode().count('REC'),
        }
        exp[n] = e
        continue
    e['compression_type'] = comp
    e['TFRecordDataset'] = summ(*read_dataset(n, comp))
    e['tf_record_iterator'] = summ(*read_iter(n, comp))
    exp[n] = e
cross = []
for n, comp in [
    ('small.tfrecord', 'GZIP'),
    ('small.tfrecord', 'ZLIB'),
    ('small.gzip.tfrecord', ''),
    ('small.gzip.tfrecord', 'ZLIB'),
    ('small.zlib.tfrecord', ''),
    ('small.zlib.tfrecord', 'GZIP'),
    ('no_such_file.tfrecord', ''),
    ('no_such_file.tfrecord', 'GZIP'),
    ('empty.tfrecord', 'GZIP'),
    ('empty.tfrecord', 'ZLIB'),
]:
    cross.append({'file': n, 'read_as': comp, 'TFRecordDataset': summ(*read_dataset(n, comp))})
# many files in one dataset: an error in the second
got, err = [], None
try:
    for r in tf.data.TFRecordDataset([P('small.tfrecord'), P('bad_data_rec2.tfrecord'), P('small.tfrecord')]):
        got.append(r.numpy())
except Exception as ex:  # pylint: disable=broad-except
    err = {'class': type(ex).__name__, 'message': scrub(str(ex))}
multi = summ(got, err)
# ignore_errors: what is left
got = [r.numpy() for r in tf.data.TFRecordDataset(P('bad_data_rec2.tfrecord')).ignore_errors(log_warning=False)]
ign = summ(got, None)
json.dump(
    {
        'files': exp,
        'wrong_compression': cross,
        'three_files_second_is_bad_data_rec2': multi,
        'bad_data_rec2_with_ignore_errors': ign,
    },
    open(P('expected.json'), 'w'),
    indent=1,
)

# tf.Example wire format
F = tf.train
cases = [
    ('empty_example', {}),
    ('one_int', {'a': [5]}),
    ('int_edges', {'a': [0, 1, 127, 128, 16383, 16384, 2**31 - 1, 2**31, 2**32, 2**63 - 1, -1, -(2**31), -(2**63)]}),
    ('float_edges', {'f': [0.0, -0.0, 1.5, float('inf'), float('-inf'), float('nan'), 3.4028234e38, 1e-45]}),
    ('bytes', {'s': [b'', b'abc', bytes(range(256))]}),
    ('empty_int_list', {'a': ('int', [])}),
    ('empty_float_list', {'a': ('float', [])}),
    ('empty_bytes_list', {'a': ('bytes', [])}),
    ('kind_not_set', {'a': None}),
    ('unicode_key', {'ключ': [1], '': [2]}),
    ('long_list', {'a': list(range(300))}),
]
wire = []
for name, d in cases:
    ft = {}
    for k, v in d.items():
        if v is None:
            ft[k] = F.Feature()
        elif isinstance(v, tuple):
            ft[k] = {
                'int': lambda: F.Feature(int64_list=F.Int64List(value=[])),
                'float': lambda: F.Feature(float_list=F.FloatList(value=[])),
                'bytes': lambda: F.Feature(bytes_list=F.BytesList(value=[])),
            }[v[0]]()
        elif isinstance(v[0], int):
            ft[k] = F.Feature(int64_list=F.Int64List(value=v))
        elif isinstance(v[0], float):
            ft[k] = F.Feature(float_list=F.FloatList(value=v))
        else:
            ft[k] = F.Feature(bytes_list=F.BytesList(value=v))
    ex = F.Example(features=F.Features(feature=ft))
    wire.append({'name': name, 'hex': ex.SerializeToString(deterministic=True).hex()})


def tag(n, w):
    return bytes([n << 3 | w])


def ld(n, b):
    l = len(b)
    v = b''
    while True:
        v += bytes([(l & 127) | (128 if l > 127 else 0)])
        l >>= 7
        if not l:
            break
    return tag(n, 2) + v + b


def entry(k, feat):
    return ld(1, ld(1, k) + ld(2, feat))


int_unpacked = b''.join(tag(1, 0) + bytes([v]) for v in (7, 8, 9))
flt_unpacked = b''.join(tag(1, 5) + struct.pack('<f', v) for v in (1.0, 2.0, 3.0))
odd = [
    ('int_unpacked', ld(1, entry(b'a', ld(3, int_unpacked)))),
    ('int_packed_and_unpacked', ld(1, entry(b'a', ld(3, ld(1, b'\x01\x02') + tag(1, 0) + b'\x03' + ld(1, b'\x04'))))),
    ('float_unpacked', ld(1, entry(b'a', ld(2, flt_unpacked)))),
    (
        'duplicate_key_last_wins',
        ld(1, entry(b'a', ld(3, ld(1, b'\x01\x02\x03'))) + entry(b'a', ld(3, ld(1, b'\x04\x05\x06')))),
    ),
    (
        'two_features_messages',
        ld(1, entry(b'a', ld(3, ld(1, b'\x01\x02\x03')))) + ld(1, entry(b'b', ld(3, ld(1, b'\x04\x05\x06')))),
    ),
    ('value_before_key', ld(1, ld(1, ld(2, ld(3, ld(1, b'\x01\x02\x03'))) + ld(1, b'a')))),
    ('unknown_field', tag(9, 0) + b'\x05' + ld(1, entry(b'a', ld(3, ld(1, b'\x01\x02\x03')) + b''))),
    ('truncated', ld(1, entry(b'a', ld(3, ld(1, b'\x01\x02\x03'))))[:-2]),
    ('garbage', b'\xff\xff\xff\xff'),
    (
        'feature_with_two_kinds',
        ld(1, entry(b'a', ld(2, ld(1, struct.pack('<f', 1.0))) + ld(3, ld(1, b'\x01\x02\x03')))),
    ),
    ('int_list_split_in_two_messages', ld(1, entry(b'a', ld(3, ld(1, b'\x01\x02')) + ld(3, ld(1, b'\x03'))))),
]
spec_int = {'a': tf.io.FixedLenFeature([3], tf.int64)}
spec_flt = {'a': tf.io.FixedLenFeature([3], tf.float32)}
res = []
for name, b in odd + [(w['name'], bytes.fromhex(w['hex'])) for w in wire]:
    row = {'name': name, 'hex': b.hex()}
    for k, s in (
        ('as_int64_3', spec_int),
        ('as_float_3', spec_flt),
        ('as_int64_scalar', {'a': tf.io.FixedLenFeature([], tf.int64)}),
        ('as_int64_3_default_0', {'a': tf.io.FixedLenFeature([3], tf.int64, default_value=[0, 0, 0])}),
        ('as_varlen_int64', {'a': tf.io.VarLenFeature(tf.int64)}),
        ('as_string_scalar', {'a': tf.io.FixedLenFeature([], tf.string)}),
    ):
        try:
            v = tf.io.parse_single_example(tf.constant(b), s)['a']
            if isinstance(v, tf.SparseTensor):
                v = v.values
            v = v.numpy()
            row[k] = v.decode('latin1') if isinstance(v, bytes) else (v.tolist())
        except Exception as e:  # pylint: disable=broad-except
            row[k] = {'error': type(e).__name__, 'message': scrub(str(e))}
    res.append(row)
json.dump(res, open(P('example_wire.json'), 'w'), indent=1)
print('ok', len(exp))

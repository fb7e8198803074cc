#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Makes the small corpus of the fuzz targets (tests/fuzz/corpus) with nothing but Python: inputs
that are sound, so that the replay's changes reach deep. usage: make_corpus.py"""
import gzip
import io
import pathlib
import struct
import tarfile
import zlib

FOLDER = pathlib.Path(__file__).resolve().parent / "corpus"
TABLE = []
for byte in range(256):
    value = byte
    for _ in range(8):
        value = value >> 1 ^ (0x82F63B78 if value & 1 else 0)
    TABLE.append(value)


def masked_crc(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc = TABLE[(crc ^ byte) & 255] ^ crc >> 8
    crc ^= 0xFFFFFFFF
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


def varint(value):
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    out.append(value)
    return bytes(out)


def field(number, value):
    """int: varint; bytes: length-delimited; float: fixed32"""
    if isinstance(value, int):
        return varint(number << 3) + varint(value & (1 << 64) - 1)
    if isinstance(value, float):
        return varint(number << 3 | 5) + struct.pack("<f", value)
    return varint(number << 3 | 2) + varint(len(value)) + value


def frame(data):
    length = struct.pack("<Q", len(data))
    return (length + struct.pack("<I", masked_crc(length)) + data
            + struct.pack("<I", masked_crc(data)))


def feature(key, kind, content):
    return field(1, field(1, key) + field(2, field(kind, content)))


def example():
    ints = b"".join(varint(v & (1 << 64) - 1) for v in (1, 2, -3))
    return field(1, feature(b"a", 3, field(1, ints))
                 + feature(b"f", 2, field(1, struct.pack("<3f", 1, 2, 3)))
                 + feature(b"s", 1, field(1, b"text")))


def unpacked_example():
    return field(1, feature(b"a", 3, field(1, 7) + field(1, 8) + field(1, 9))
                 + feature(b"f", 2, field(1, 1.0) + field(1, 2.0)))


def event():
    tensor = field(1, 1) + field(2, b"") + field(4, struct.pack("<f", 0.5))
    summary = field(1, field(1, b"loss") + field(8, tensor)
                    + field(9, field(1, field(1, b"scalars"))))
    return b"\x09" + struct.pack("<d", 1e9) + field(2, 5) + field(5, summary)


def block(entries):
    out = bytearray()
    for key, value in entries:
        out += varint(0) + varint(len(key)) + varint(len(value)) + key + value
    out += struct.pack("<II", 0, 1)
    return bytes(out)


def table(entries):
    out = bytearray()
    handles = []
    for content in (block(entries), block([])):
        handles.append(varint(len(out)) + varint(len(content)))
        out += content + b"\0" + struct.pack("<I", masked_crc(content + b"\0"))
    content = block([(b"z", handles[0])])
    index = varint(len(out)) + varint(len(content))
    out += content + b"\0" + struct.pack("<I", masked_crc(content + b"\0"))
    return bytes(out) + (handles[1] + index).ljust(40, b"\0") + struct.pack("<Q",
                                                                          0xDB4775248B80FB57)


def sized(data):
    return bytes([len(data)]) + data


def shape(*dims):
    return field(2, b"".join(field(2, field(1, d)) for d in dims))


def fixed32(number, value):
    return varint(number << 3 | 5) + struct.pack("<I", value)


def bundle_entries():
    dims = shape(2, 3)
    whole = field(1, 1) + dims + field(5, 24) + fixed32(6, 0)
    strings = b"\2\3" + bytes(4) + b"abcde"  # in a field that says nothing, after the first 24 bytes
    text = field(1, 7) + shape(2) + field(5, len(strings)) + fixed32(6, 0) + field(15, strings)
    text += field(4, len(sized(whole)) + len(sized(text)) - len(strings))
    extent = field(1, field(1, 1) + field(2, 1)) + field(1, b"")
    sliced = field(1, 1) + dims + field(7, extent)
    return b"".join(sized(e) for e in (whole, text, sliced))


def slice_key(name, *places):
    """OrderedCode of a part of a partitioned variable: numbers below 64 in absolute value."""
    signed = b"".join(bytes([0x80 ^ v & 0xFF]) for place in places for v in place)
    return b"\0" + name + b"\0\1" + b"\1" + bytes([len(places)]) + signed


def bundle_parts():
    """A variable [2,2] in two parts, with the keys of its entries."""
    def extent(start):
        return field(7, field(1, (field(1, start) if start else b"") + field(2, 1)) + field(1, b""))
    parts = [field(1, 1) + shape(1, 2) + field(4, at) + field(5, 8) + fixed32(6, 0) for at in (0, 8)]
    entries = [(slice_key(b"v", (start, 1), (0, -1)), part) for start, part in enumerate(parts)]
    entries.append((b"v", field(1, 1) + shape(2, 2) + extent(0) + extent(1)))
    return b"".join(sized(key) + sized(value) for key, value in entries)


def words(*values):
    return b"".join(struct.pack("<Q", v & (1 << 64) - 1) for v in values)


def run_state(version, metrics, *values, n_steps=2):
    """Older versions lack what the newer ones end their words with (src/train/run_state.c)."""
    new = (words(-1, 1 << 32 | 7, 0, 5) if version >= 4 else b"") + (words(1, 77) if version >= 5 else b"")
    return (struct.pack("<I", 0x42545330 + version) + words(1, 2, 3, 0, 0, 4, n_steps, 8, 30, 40, 0, 0, 0, 1, 1) + new
            + struct.pack("<5d", 1, 0.5, 0.25, 0.1, 0.9) + b"BTMTSS02" + words(*metrics, *values))


def graph():
    child = field(1, field(1, 1) + field(2, b"encoder"))
    slot = field(3, field(1, 1) + field(2, b"m") + field(3, 2))
    variable = field(2, field(1, b"VARIABLE_VALUE") + field(2, b"w") + field(3, b"encoder/w"))
    return (field(1, child + slot) + field(1, variable + field(5, field(1, 1)))
            + field(1, field(4, b"\x0a\x01x")))


SAFETENSORS = (b'{"__metadata__":{"format":"pt"},"a":{"dtype":"F32","shape":[2],"data_offsets":'
               b'[0,8]},"b":{"dtype":"I64","shape":[],"data_offsets":[8,16]}}\n' + bytes(16))
STATE = (b'model_checkpoint_path: "ckpt-20"\nall_model_checkpoint_paths: "ckpt-15"\n'
         b'all_model_checkpoint_paths: "ckpt-20"\nall_model_checkpoint_timestamps: 1.5e9\n'
         b'all_model_checkpoint_timestamps: 1795408355.67\nlast_preserved_timestamp: 1.0\n')
RECORDS = frame(b"") + frame(b"hello") + frame(bytes(range(256)))

TABLE_OF_THREE = table([(b"", b"header"), (b"a/b", b"value"), (b"a/c", b"x" * 40)])
EVENTS = frame(b"\x09" + struct.pack("<d", 1e9) + field(3, b"brain.Event:2")) + frame(event()) * 2

SQUAD = (b'{"version":"2.0","data":[{"title":"T","paragraphs":[{"context":"the cat (acbc) the\\u0301 '
         b'cat. a b","qas":[{"id":"1","question":"the?","is_impossible":false,"answers":[{"text":'
         b'"acbc","answer_start":9}]},{"id":"2","question":"","is_impossible":true,"answers":[]}]'
         b'}]}]}')
SQUAD_ANSWERS = (b'\xef\xbb\xbf{"data":[{"paragraphs":[{"context":"a\\tb \xc3\x89\xe4\xb8\xad c","qas":[{"id":'
                 b'"x","question":"b c a b","answers":[{"text":"A","answer_start":0},{"text":"The '
                 b'\xe4\xb8\xad.","answer_start":5}]}]},{"context":"","qas":[]}]}]}')

SET_INFO = (b'{"name":"t","fileFormat":"tfrecord","splits":[{"filepathTemplate":"s{NUM_SHARDS}","name":'
            b'"train","shardLengths":["1",2]}],"version":"1.0.0"}')
SET_ROW = field(1, feature(b"s", 1, field(1, b"text")) + feature(b"i", 3, field(1, varint(7))))
HTTP = (b'HTTP/1.1 206 Partial Content\r\nContent-Range: bytes 5-9/20\r\n'
        b'x-goog-hash: crc32c=4waSgw==, md5=rL0Y20zC+Fzt72VPzMSk2A==\r\n'
        b'Location: ../b?c=1#d\r\nETag: "x"\r\nRetry-After: 1\r\n\r\n')
GCS_OBJECT = (b'{"kind":"storage#object","name":"a/b","generation":"17","size":"5","crc32c":"4waSgw==",'
              b'"updated":"2026-01-02T03:04:05.678Z"}')
GCS_LIST = (b'{"items":[{"name":"a/b"},{"name":"a/c/"},{"name":"a\\nb"}],"prefixes":["a/d/"],'
            b'"nextPageToken":"t"}')
AWS_FILE = (b'[default]\nregion = eu-west-1\ns3 =\n  addressing_style = path\n[profile "a b"]\n'
            b'role_arn = r\nsource_profile=default\ncredential_process = "/bin/x y" \'z\' \\w\n')
AWS_JSON = (b'{"Version": 1, "Code": "Success", "AccessKeyId": "ASIA", "SecretAccessKey": "s/+", '
            b'"Token": "t==", "Expiration": "2026-01-02T03:04:05+02:00"}')
AWS_STS = (b'<AssumeRoleResponse xmlns="x"><AssumeRoleResult><Credentials><AccessKeyId>ASIA</AccessKeyId>'
           b'</Credentials></AssumeRoleResult></AssumeRoleResponse>')
S3_LIST = (b'<?xml version="1.0"?><ListBucketResult xmlns="x"><Contents><Key>a &amp; b&#x41;</Key>'
           b'</Contents><CommonPrefixes><Prefix>d/</Prefix></CommonPrefixes><IsTruncated>true'
           b'</IsTruncated><NextContinuationToken>t</NextContinuationToken></ListBucketResult>')


def tar(*entries):
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w") as out:
        for name, kind, data in entries:
            info = tarfile.TarInfo(name)
            info.type, info.size = kind, len(data)
            info.linkname = "../x" if kind in (tarfile.SYMTYPE, tarfile.LNKTYPE) else ""
            out.addfile(info, io.BytesIO(data))
    return raw.getvalue()


MODULE = tar(("a/", tarfile.DIRTYPE, b""), ("a/b", tarfile.REGTYPE, b"content"),
             ("saved_model.pb", tarfile.REGTYPE, b"x" * 600))
HOSTILE = tar(("ok", tarfile.REGTYPE, b"1"), ("../out", tarfile.REGTYPE, b"2"),
              ("link", tarfile.SYMTYPE, b""))

WEIGHTS = {
    "bert": b'{"model_type": "bert", "num_attention_heads": 2, "hidden_act": "gelu", "layer_norm_eps": 1e-12}\n'
            b"bert.encoder.layer.0.attention.self.query.weight\nbert.pooler.dense.weight\n"
            b"bert.encoder.layer.12.output.LayerNorm.gamma\nclassifier.weight",
    "albert": b'{"num_hidden_layers": 12, "activation": 1}\n'
              b"encoder.albert_layer_groups.0.albert_layers.0.attention.query.weight\npooler.weight",
    "distilbert": b"[]\ndistilbert.transformer.layer.0.attention.q_lin.weight\nqa_outputs.bias\n",
}

# the first byte says how the rest is read (fuzz_table.c)
TABLES = {
    "tsv_names": b"\x84a\tb\tlabel\r\nb a\ta,\t0\r\n\r\n\xc3\x89\t\"a\"\t1",
    "tsv_numbers": b"\x00a\tno\tb\nb\tyes\ta\n",
    "csv_names": b'\x04a,b,label\r\n"a, ""b""\r\nc",a,1\r\n,"",0\r\n',
    "csv_numbers": b'\x11"a",1.5,b\n"b\n\n",-2e3,\n',
    "csv_ids": b'\x4ca,example_id,label\na,7,x\n"b"b,1,y\nb,-1,y\n',
    "jsonl": b'\x05{"a": "\\u00e9 \\ud83d\\ude00", "b": "x", "label": 0}\n{"label": "1", "a": ""}\n',
    "csv_utf16": b"\x04" + "\ufeffa;label\r\n\"\u00e9;b\";1\r\na \"b\";0".encode("utf-16-le"),
    "csv_utf32_cr": b"\x04" + "\ufeffa,label\r\U0001f600,1\rb,0\r".encode("utf-32-be"),
    "csv_sep": b"\x04\xef\xbb\xbfsep=|\r\na | label\r\n5\" b|1\r\na|0\r\n",
    "csv_tabs": b"\x04a\tlabel\n\"a\tb\"\t1\nb\t0\n",
    "json_list": b'\x05 [{"a": "b]", "label": 1, "x": NaN},\n{"label": 0, "a": "\\u0000b"}\n]\n',
    "json_pretty": b'\x05{\n "a": "b {",\n "x": [1234567890123456789012345, "\\ud83d"],\n "label": 1\n}\n{"a": "",\n"label": 0}',
    "jsonl_numbers": b'\x12{"1": "a", "2": 0.5, "3": null}\n\n{"1": "b", "2": -1}\n',
}

# the same (fuzz_pairs.c): the byte modulo 3 is lines, TSV or JSON lines, 4 a file a side, 8 a chain
PAIRS = {
    "lines": b"\x06a b\n\nb\r\n\x01b\n,\nab\n", "lines_chain": b"\x0ca\n\xc3\xa9\n\x01b\n\nab",
    "lines_left": b"\x09a\ta\n\nb\n", "tsv": b"\x01x\ta\tb\n1\ta b\tb\n2\t\tab\n",
    "tsv_chain": b"\x0ab\ta\nb\ta\n", "tsv_sides": b"\x04a\na b\n\x01b\nb\n",
    "jsonl_chain": b'\x0b{"a": "a", "b": "\\u00e9"}\n{"b": "", "a": "b"}\n',
    "jsonl_left": b'\x1a{"a": "a b"}\n',
}
GOLD = {
    "ids": b"de-000000011\ten-3\n\n10\t0\r\n10\t0\n9\t9223372036854775807", "bad": b"1\t2\n3 4\n",
}

YAML = {
    "file": b"\x04task: {name: '1e3', init_checkpoint: \"a\\u00e9\\nb\"}\ntrainer:\n  train_steps: 1_0\n",
    "anchors": b"\x06task:\n  train_data: &t {seq_length: 9, seed: 07}\n  validation_data:\n    <<: [*t]\n"
               b"    input_path: [a, 'b: c', =, \"yes\"]\n    label_field: |-\n      one\n\n      two\n",
    "override": b"\x00task.model.num_classes=3,trainer.train_steps=5,task.train_data.input_path='a,b'",
    "arrays": b"\x03trainer.optimizer_config.learning_rate.type=stepwise,"
              b"trainer.optimizer_config.learning_rate.stepwise.boundaries[0]=10",
    "flow": b"\x01{task: {name: \"x\\ty\", train_data: {seq_length: 0x10}}}"}
HUGE = (1 << 63) - 1
METRICS = {  # the parts that a set of metrics keeps, and its classes; then what they have summed up
    "two": b"\0" + run_state(5, (3, 2), 3, 2, 1, 2, 1, 1, 2, 3, *[0] * 200, 1, 2, *[0] * 198),
    "three": b"\1" + run_state(3, (1, 3), 4, 2, 1, 2, 1, 1, 1, 3, 0),
    "scores": b"\2" + run_state(4, (12, 1), 2, *[0x3FF0000000000000] * 6, 2, 0x3F8000003F000000, 0),
    "pairs": b"\3" + run_state(4, (16, 0), 1, 2, 3, 1, 2, 1, 0, 0, 0),
    "tags": b"\4" + run_state(5, (96, 3), 3, 2, 1, 1, 1, 1, 1, 2, 0, 7, 1, 0, 1, 79, 1, 2, 1, 66, 2, 6, 1),
    "spans": b"\5" + run_state(5, (128, 2), 3, 2, 1),
    # found: what is counted on from there overflowed
    "huge_steps": b"\1" + run_state(3, (1, 3), *[0] * 9, n_steps=HUGE),
    "huge_two": b"\0" + run_state(4, (3, 2), *[HUGE] * 408), "huge_three": b"\1" + run_state(3, (1, 3), *[HUGE] * 9),
    "huge_scores": b"\2" + run_state(4, (12, 1), HUGE, *[0] * 7), "huge_spans": b"\5" + run_state(4, (128, 2), *[HUGE] * 3),
    "huge_pairs": b"\3" + run_state(4, (16, 0), HUGE, HUGE, 3, *[HUGE] * 6),
    "huge_tags": b"\4" + run_state(4, (96, 3), *[0] * 9, HUGE, 1, 0, HUGE, 79, 1, HUGE, HUGE, 66, 2, HUGE, HUGE),
}
FLAGS = {
    "job": b"--experiment=bert/squad\n--mode=train\n--config_file=a.yaml\n--config_file\nb.yaml\n-v=1\n--nodry_run",
    "odd": b"--verbosity=-0x1_f\n--undefok=x,y\n--nox\n--pretrain_steps= 1_0 \n--log_format=json\n--\n--free",
    "file": b"--mode=eval\narg\0# comment\n--model_dir=x\n//\n --dry_run=t \n--flagfile\nnone",
}
LABELS = {
    "names": b'\x03{"num_labels": 3, "label_names": ["a", "b", "\xc3\xa9"], "processor_type": "MNLI"}',
    "known": b'\x0a{"num_labels": 2, "label_names": ["a", "b"], "processor_type": null}\n',
    "scores": b'\0{\n "num_labels": 0,\n "label_names": null,\n "processor_type": "STS-B"\n}\n',
}
HISTORY = {
    "file": b"\x03{\"kind\": \"train\", \"step\": 5, \"loss\": 1}\n{\"kind\": \"train\", \"step\": 6}\nx\n"
            b"{\"kind\": \"final\", \"step\": 5}\n{\"kind\": \"tra",
    "record": b"\x00{\"kind\": \"train\", \"step\": 5, \"loss\": 0.5, \"lr\": null, \"examples\": 3}",
    "info": b"\x01{\n    \"f1\": NaN,\n    \"best_ckpt_global_step\": 6.0\n}\n",
    "seeds": b"\x02{\"runs\": [{\"seed\": 1, \"params\": 7, \"step\": 2, \"seconds\": 0.1, "
             b"\"values\": {\"f1\": 0.5}}]}\n"}
VOCAB = b"[PAD]\n[UNK]\n[CLS]\n[SEP]\na\nb\n##a\n##b\nthe\ncat\n##s\n'\n,\n\xe4\xb8\xad\n"
TOKENIZER_JSON = (b'{"version": "1.0", "added_tokens": [{"id": 5, "content": "[NEW]", "special": true, "lstrip": false, '
                  b'"rstrip": false, "single_word": false, "normalized": false}], "normalizer": {"type": "BertNormalizer", '
                  b'"clean_text": true, "handle_chinese_chars": true, "strip_accents": null, "lowercase": true}, '
                  b'"pre_tokenizer": {"type": "BertPreTokenizer"}, "post_processor": null, "decoder": null, "model": '
                  b'{"type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##", '
                  b'"max_input_chars_per_word": 100, "vocab": {"[PAD]": 0, "[UNK]": 1, "[CLS]": 2, "[SEP]": 3, "a": 4, '
                  b'"[NEW]": 5, "##b": 6}}}')
TOKENIZER_CONFIG = (b'{"do_lower_case": false, "strip_accents": true, "tokenize_chinese_chars": false, '
                    b'"model_max_length": 512, "tokenizer_class": "BertTokenizer", "added_tokens_decoder": {"0": '
                    b'{"content": "[PAD]"}}}')
FACTS = {"both": TOKENIZER_JSON + b"\0" + TOKENIZER_CONFIG + b"\0\0Ab [NEW] \xc3\xa9",
         "list": TOKENIZER_JSON, "other": b'{"model": {"type": "BPE", "vocab": {}, "merges": []}}\0{}',
         "words": b'{"model": {"vocab": {"[UNK]": 0}, "unk_token": "[UNK]", "type": "WordPiece"}, "normalizer": '
                  b'{"type": "Sequence", "normalizers": [{"type": "NFD"}, {"type": "Lowercase"}, {"type": "StripAccents"}]}}',
         "vocab": b'\0' + TOKENIZER_CONFIG + b"\0" + VOCAB + b"\0a ab"}
SENTENCE = {
    "two": b'[{"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.models.Transformer"}, {"idx": 1, "name": '
           b'"1", "path": "1_Pooling", "type": "sentence_transformers.models.Pooling"}, {"idx": 2, "name": "2", "path": '
           b'"2_Normalize", "type": "sentence_transformers.models.Normalize"}]\0{"word_embedding_dimension": 2, '
           b'"pooling_mode_cls_token": false, "pooling_mode_mean_tokens": true, "pooling_mode_max_tokens": false}\0'
           b'{"max_seq_length": 128, "do_lower_case": false}\0{"prompts": {}, "default_prompt_name": null}',
    "new": b'[{"idx": 0, "path": "", "type": "sentence_transformers.base.modules.Transformer"}, {"path": "1_Pooling", "type": '
           b'"sentence_transformers.sentence_transformer.modules.Pooling"}]\0{"pooling_mode": "max"}\0{}',
    "dense": b'[{"path": "1_Pooling", "type": "x.Pooling"}, {"path": "2_Dense", "type": "x.Dense"}]'}
def crc(data):
    value = (masked_crc(data) - 0xA282EAD8) & 0xFFFFFFFF
    return (value << 15 | value >> 17) & 0xFFFFFFFF


def comm_frame(kind, phase, detail, seq, payload):
    head = b"BtTF" + struct.pack("<IIIQQI", kind, phase, detail, seq, len(payload), crc(payload))
    return head + struct.pack("<I", crc(head)) + payload


def comm_text(text):
    return struct.pack("<I", len(text)) + text


# what ranks 0 and 2 send to rank 1 (fuzz_comm.c has the operations)
COMM_FROM_0 = b"".join(comm_frame(*f) for f in (
    (6, 0, 0, 0, bytes(8)), (6, 1, 0, 0, bytes(12)), (7, 0, 0, 1, b"some bytes"),
    (7, 0, 2, 2, bytes(16)), (6, 0, 1, 3, b"\x80\x3f"), (6, 1, 1, 3, b"\x80\x3f")))
COMM_FROM_2 = b"".join(comm_frame(*f) for f in (
    (6, 0, 0, 0, struct.pack("<2f", 1, 2)), (6, 1, 0, 0, bytes(8)), (7, 0, 0, 1, b""),
    (6, 0, 1, 3, b"\x80\xbf")))
COMM_CONTROL = (comm_frame(3, 0, 0, 4, b"") + comm_frame(5, 0, 0, 9, b"")
                + comm_frame(4, 0, 0, 4, struct.pack("<I", 8) + b"rank 2 is gone"))
COMM_SILENT = comm_frame(4, 0, 0, 4, struct.pack("<I", 8))
# the first byte says what it is; 8: checksums are mended
COMM = {
    "hello": b"\0BTcomm\r\n" + struct.pack("<4I", 1, 2, 3, 1) + bytes(32),
    "answer": b"\1BTansw\r\n" + struct.pack("<2I", 0, 2) + bytes(48),
    "header": b"\2" + comm_frame(6, 1, 0, 77, b""),
    "card": b"\3" + comm_text(b"host") + struct.pack("<3I", 7, 2222, 2) + comm_text(b"10.0.0.1") + comm_text(b"::1"),
    "tf_config": b'\4{"cluster": {"worker": ["a:1", "[::1]:2"], "chief": ["c:3"]}, "task": {"type": "worker", "index": "1"}}',
    "fails_silently": b"\7" + struct.pack("<H", len(COMM_SILENT)) + COMM_SILENT,
    "hosts": b"\5r[01-04,7]n[3-4].x,b", "address": b"\x05[::1]:2222",
    **{name + end: bytes([kind + mend]) + struct.pack("<H", len(first)) + first + rest
       for name, kind, first, rest in (("frames", 6, COMM_FROM_0, COMM_FROM_2), ("control", 7, COMM_CONTROL, b""))
       for end, mend in (("", 0), ("_mended", 8))},
}

CORPUS = {
    "http": {"answer": HTTP},
    "aws": {"file": AWS_FILE, "json": AWS_JSON, "sts": AWS_STS},
    "store": {"object": GCS_OBJECT, "list": GCS_LIST, "s3": S3_LIST},
    # the first byte: 1 checksums are mended, 2 it is packed (fuzz_tar.c)
    "tar": {"module": b"\1" + MODULE, "hostile": b"\0" + HOSTILE, "packed": b"\3" + MODULE,
            "gzip": b"\0" + gzip.compress(MODULE, mtime=0)},
    "saved_model": {"keras": field(1, field(1, 3) + field(5, b'{"a": 1}')),
                    "old": field(2, field(7, field(1, field(4, field(3, b'{"b": 2}')))))},
    "example": {"packed": example(), "unpacked": unpacked_example(), "event": event()},
    # the first byte: 1 checksums are mended, 2 packed with gzip, 4 with zlib (fuzz_record.c)
    "record": {"plain": b"\0" + RECORDS, "mended": b"\1" + RECORDS, "packed_gzip": b"\3" + RECORDS,
               "packed_zlib": b"\5" + RECORDS, "gzip": b"\0" + gzip.compress(RECORDS, mtime=0),
               "zlib": b"\0" + zlib.compress(RECORDS)},
    "sstable": {"small": b"\0" + TABLE_OF_THREE, "mended": b"\1" + TABLE_OF_THREE},
    # 1 checksums are mended, 2 entries have keys (fuzz_bundle.c)
    "bundle": {"entries": b"\1" + bundle_entries(), "plain": b"\0" + bundle_entries(),
               "parts": b"\3" + bundle_parts()},
    # 1 checksums are mended, 2 times the last step (fuzz_events.c)
    "events": {"kept": b"\x0b" + EVENTS, "cut": b"\x09" + EVENTS, "torn": b"\x0a" + EVENTS[:-9]},
    "run_state": METRICS, "flags": FLAGS, "labels": LABELS,
    "graph": {"small": graph()},
    "safetensors": {"two": SAFETENSORS},
    "squad": {"version_2": SQUAD, "answers": SQUAD_ANSWERS,
              "flat": b'[{"id": 7, "context": "a b", "question": "q", "answers": {"text": ["b"], "answer_start": [2]}}]',
              "flat_lines": b'{"id": 7, "context": "a b", "question": "q", "answers": {"text": [], "answer_start": []}}\n'
                            b'{"id": "8", "context": "a b", "question": "b", "answers": [{"text": "a", "answer_start": 0}]}\n'},
    "finetuning": {
        "tsv_header": b"ha\tb\tc\r\n1\t2\t3\r4\t\xc3\xa9\n\n5",
        "tsv_lines": b"t\xef\xbb\xbfa\tb\n\nc\rd\te\n", "tsv_cr": b"ra\rb\tc\r\n\td\t\n",
        "words": b"pthe\tO\n \xc2\xa0\tB-X\r\n\ncat\n", "conll": b"c-DOCSTART- O\n\nthe DT  O\ncat\tNN\tB-X\n \n",
        "conllu": b"c# sent_id = 1\n# text = # a\n1-2\tab\t_\t_\t_\t_\t_\t_\t_\t_\n1\ta\ta\tX\t_\t_\t_\t_\t_\t_\n"
                  b"1.1\tc\t_\t_\t_\t_\t_\t_\t_\t_\n\n# id 7\tx\n# O\n#b I-X\n",
        "jsonl": b'j{"a": "x\\u00e9", "b": [1, {}]}\n\n{"a": 1}\n', "info": b"i" + SET_INFO,
        "features": b'f{"featuresDict":{"features":{"label":{"classLabel":{"numClasses":"3"}}}}}',
        "shard": b"s" + frame(SET_ROW) * 2, "mended": b"m" + frame(SET_ROW) * 3},
    "comm": COMM,
    "table": TABLES,
    # changes of an index of a table (4), one with rows held out (5), records (6); unmended (0): what, where, by what (fuzz_index.c)
    "index": {"table": b"\4", "held_out": b"\5", "records": b"\6", "damaged": b"\0" + b"\0\x50\0\x10", "cut": b"\0" + b"\4\x40\0\0",
              **{f"{name}_{what}": first + bytes([1, at % 256, at // 256, by]) for name, first in (("table", b"\4"), ("held_out", b"\5"), ("records", b"\6"))
                 for at, what, by in ((8, "rows", 247), (24, "facts", 0), (48, "names", 0))},
              **{f"facts_{at}": b"\4" + bytes([1, at % 256, at // 256, 255]) for at in range(72, 600, 132)}},
    "pairs": PAIRS,
    "gold": GOLD,
    "weights": WEIGHTS,
    "yaml": YAML,
    "history": HISTORY,
    "tokenizer": {"python": b"\x02" + VOCAB + b"\0The cat's \xc3\xa9a ab abb, \xe4\xb8\xad \xff\"",
                  "tensorflow": b"\x03" + VOCAB + b"\0[CLS] Ab a\xcc\x81b\tb"},
    "facts": FACTS,
    "sentence": SENTENCE,
    "words": {"conll": b"\x02-DOCSTART- -X- O O\n\nEU NNP B-NP I-ORG\nrejects VBZ I-VP O\n\n# id 7\na DT O I-X\n",
              "comment_last": b"\x02-dOCST\x05ART- -X- O O\n\nEU BZ I-VP O\n\n# id 7\n",
              "columns": b"\x74a\tb\tc\tO\nd\te\tf\tB-X\n",
              "conllu": b"\x00# sent_id = 1\n1-2\tab\t_\t_\t_\t_\t_\t_\t_\t_\n1\ta\ta\tX\t_\t_\t_\t_\t_\t_\n",
              "lines": b'\x01{"tokens": ["a", "\\u00e9"], "ner_tags": ["B-X", "I-X"]}\n{"words": ["c"], "tags": [0]}\n',
              "list": b'\x01[{"tokens": ["a"], "labels": ["O"]}, {"tokens": [], "labels": []}]',
              "member": b'\x03{"version": 1, "data": [{"tokens": ["a"], "pos_tags": ["I-X"]}]}'},
    "state": {"plain": STATE, "escapes": b"model_checkpoint_path: 'a\\\"\\101' \"b\" # c\n"},
}


def main():
    for target, inputs in CORPUS.items():
        (FOLDER / target).mkdir(parents=True, exist_ok=True)
        for name, data in inputs.items():
            (FOLDER / target / name).write_bytes(data)


if __name__ == "__main__":
    main()

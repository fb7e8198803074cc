# SPDX-License-Identifier: Apache-2.0
"""The same text in other bytes: packed, encoded, with other line ends."""
import bz2
import gzip
import io
import lzma
import shutil
import subprocess
import zipfile


def zipped(*members):
    out = io.BytesIO()
    with zipfile.ZipFile(out, 'w', zipfile.ZIP_DEFLATED) as archive:
        for name, data in members:
            archive.writestr(name, data)
    return out.getvalue()


def packed(data):
    """{ending: bytes}; zstd only where its program is."""
    made = {'.gz': gzip.compress(data), '.bz2': bz2.compress(data), '.xz': lzma.compress(data),
            '.zip': zipped(('folder/member.txt', data))}
    if shutil.which('zstd'):
        made['.zst'] = subprocess.run(['zstd', '-q', '-c'], input=data, stdout=subprocess.PIPE, check=True).stdout
    else:
        print('no zstd here: its files are not tried')
    return made


def encoded(text, single='latin-1'):
    """[(what the key must say or None, bytes)]; text has characters of the encoding single only."""
    made = [(None, text.encode('utf-8-sig'))]
    for mark, name in ((b'\xff\xfe', 'utf-16-le'), (b'\xfe\xff', 'utf-16-be'),
                       (b'\xff\xfe\0\0', 'utf-32-le'), (b'\0\0\xfe\xff', 'utf-32-be')):
        made.append((None, mark + text.encode(name)))
        made.append((name, mark + text.encode(name)))
        made.append((name[:6], mark + text.encode(name)))
        made.append((name.replace('-', '_', 1).replace('-', ''), text.encode(name)))
    made.append((single, text.encode(single)))
    return made


def line_ends(text):
    return [text.replace('\n', '\r\n'), text.replace('\n', '\r'), text.rstrip('\n')]

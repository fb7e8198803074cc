# SPDX-License-Identifier: Apache-2.0
"""Reads the one kind of PNG files that the programs write, by the specification: gray, 8 bits, no filter."""
import struct
import zlib


def chunks(data):
    """[(type, data)]; each with the CRC that it must have, and nothing behind."""
    assert data[:8] == b'\x89PNG\r\n\x1a\n', 'no PNG'
    out, at = [], 8
    while at < len(data):
        n, = struct.unpack('>I', data[at:at + 4])
        kind, content = data[at + 4:at + 8], data[at + 8:at + 8 + n]
        crc, = struct.unpack('>I', data[at + 8 + n:at + 12 + n])
        assert len(content) == n and crc == zlib.crc32(kind + content), kind
        out.append((kind, content))
        at += 12 + n
    return out


def decode(data):
    """(width, height, a byte a pixel)"""
    found = chunks(data)
    assert [kind for kind, _ in found] == [b'IHDR', b'IDAT', b'IEND'], found
    width, height, *rest = struct.unpack('>IIBBBBB', found[0][1])
    assert rest == [8, 0, 0, 0, 0] and found[2][1] == b''
    rows = zlib.decompress(found[1][1])
    assert len(rows) == height * (width + 1)
    lines = [rows[y * (width + 1):(y + 1) * (width + 1)] for y in range(height)]
    assert all(line[0] == 0 for line in lines), 'a filter'
    return width, height, b''.join(line[1:] for line in lines)

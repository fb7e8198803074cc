# SPDX-License-Identifier: Apache-2.0
"""PNG files of wire/png.c, pixel by pixel: by the specification with Python's zlib, and as Pillow, which
the tests of TensorBoard install, reads them."""
import os
import random
import subprocess
import sys
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '../../e2e/support'))
import e2e  # noqa: E402
import png  # noqa: E402

HERE = os.path.dirname(os.path.abspath(__file__))
PROGRAM = os.path.join(e2e.BUILD, 'tests/unit/wire/png_program')
SIZES = ((1, 1), (1, 300), (300, 1), (3, 5), (257, 129), (640, 480))
ASK_PILLOW = '''
import sys
from PIL import Image
for path in sys.argv[1:]:
    picture = Image.open(path)
    picture.load()
    print(picture.format, picture.mode, *picture.size, picture.tobytes().hex())
'''


def pictures():
    rng = random.Random(5)
    for width, height in SIZES:
        yield 'noise', width, height, rng.randbytes(width * height)
        yield 'white', width, height, b'\xff' * (width * height)
        yield 'slope', width, height, bytes(x * 7 + y & 255 for y in range(height) for x in range(width))


def pillows_python():
    done = subprocess.run([os.path.join(HERE, '../../reliability/get_tensorboard.sh'), e2e.BUILD],
                          capture_output=True, text=True, timeout=600)
    return (done.stdout.strip(), '') if done.returncode == 0 else (None, done.stderr.strip())


class Png(e2e.Case):
    def encode(self, width, height, pixels):
        done = subprocess.run([PROGRAM, str(width), str(height)], input=pixels,
                              capture_output=True, timeout=e2e.TIMEOUT)
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout

    def test_by_the_specification(self):
        for name, width, height, pixels in pictures():
            self.assertEqual(png.decode(self.encode(width, height, pixels)), (width, height, pixels), name)

    def test_as_pillow_reads_it(self):
        python, why_not = pillows_python()
        if python is None:
            self.skipTest(why_not)
        paths, want = [], []
        for i, (_name, width, height, pixels) in enumerate(pictures()):
            paths.append(self.path('%d.png' % i))
            want.append('PNG L %d %d %s' % (width, height, pixels.hex()))
            with open(paths[-1], 'wb') as out:
                out.write(self.encode(width, height, pixels))
        done = subprocess.run([python, '-c', ASK_PILLOW] + paths, capture_output=True, text=True,
                              timeout=e2e.TIMEOUT)
        self.assertEqual(done.returncode, 0, done.stderr)
        for got, line, path in zip(done.stdout.split('\n'), want, paths):
            self.assertTrue(got == line, path)  # megabytes: not shown


if __name__ == '__main__':
    e2e.main()

# SPDX-License-Identifier: Apache-2.0
"""Chromium without a window, asked by its DevTools protocol over a pipe (no port, no library)."""
import itertools
import json
import os
import select
import shutil
import subprocess
import tempfile
import time

NAMES = ('chromium', 'chromium-browser', 'google-chrome')


def program():
    return next((found for found in map(shutil.which, NAMES) if found), None)


class Browser:
    """One page. events: (method, parameters), in the order in which they came."""

    def __init__(self, timeout=120):
        self.timeout = timeout
        self.folder = tempfile.mkdtemp(prefix='bt-browser-')
        source, to_browser = os.pipe()
        from_browser, sink = os.pipe()

        def take():
            os.dup2(os.dup(source), 13)  # away from 3 and 4 first
            os.dup2(os.dup(sink), 14)
            os.dup2(13, 3)
            os.dup2(14, 4)
        self.child = subprocess.Popen(
            [program(), '--headless', '--no-sandbox', '--disable-gpu', '--hide-scrollbars', '--no-first-run',
             '--disable-background-networking', '--remote-debugging-pipe', '--user-data-dir=' + self.folder,
             'about:blank'], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, preexec_fn=take,
            pass_fds=(3, 4))
        os.close(source)
        os.close(sink)
        self.to_browser, self.from_browser = to_browser, from_browser
        self.numbers = itertools.count(1)
        self.rest = b''
        self.answers = {}
        self.events = []
        self.session = None
        target = self.call('Target.createTarget', url='about:blank')['targetId']
        self.session = self.call('Target.attachToTarget', targetId=target, flatten=True)['sessionId']
        for domain in ('Page', 'Runtime', 'Log', 'Network', 'Accessibility', 'DOM'):
            self.call(domain + '.enable')

    def close(self):
        self.child.kill()
        self.child.wait()
        os.close(self.to_browser)
        os.close(self.from_browser)
        shutil.rmtree(self.folder, ignore_errors=True)

    def call(self, method, **parameters):
        number = next(self.numbers)
        message = {'id': number, 'method': method, 'params': parameters}
        if self.session:
            message['sessionId'] = self.session
        data = json.dumps(message).encode() + b'\0'
        while data:
            data = data[os.write(self.to_browser, data):]
        self.read_until(lambda: number in self.answers, method)
        answer = self.answers.pop(number)
        if 'error' in answer:
            raise AssertionError('%s: %s' % (method, answer['error']))
        return answer['result']

    def read_until(self, is_done, what):
        end = time.monotonic() + self.timeout
        while not is_done():
            ready, _, _ = select.select([self.from_browser], [], [], max(0, end - time.monotonic()))
            if not ready:
                raise AssertionError('no answer to %s' % what)
            data = os.read(self.from_browser, 1 << 20)
            if not data:
                raise AssertionError('the browser ended at %s' % what)
            *whole, self.rest = (self.rest + data).split(b'\0')
            for message in map(json.loads, whole):
                if 'id' in message:
                    self.answers[message['id']] = message
                else:
                    self.events.append((message['method'], message.get('params', {})))

    def open(self, path, width=1400, height=900, dark=False):
        self.call('Emulation.setDeviceMetricsOverride', width=width, height=height, deviceScaleFactor=1,
                  mobile=False)
        self.call('Emulation.setEmulatedMedia', features=[
            {'name': 'prefers-color-scheme', 'value': 'dark' if dark else 'light'}])
        self.events.clear()
        self.call('Page.navigate', url='file://' + os.path.abspath(path))
        self.read_until(lambda: any(m == 'Page.loadEventFired' for m, _ in self.events), path)

    def script(self, text):
        result = self.call('Runtime.evaluate', expression=text, returnByValue=True, awaitPromise=True)
        if 'exceptionDetails' in result:
            raise AssertionError(result['exceptionDetails'])
        return result['result'].get('value')

    def press(self, key, code):
        for kind in ('keyDown', 'keyUp'):
            self.call('Input.dispatchKeyEvent', type=kind, key=key, code=key, windowsVirtualKeyCode=code,
                      **({'text': '\r'} if key == 'Enter' and kind == 'keyDown' else {}))

    def tree(self):
        """(role, name) of what a screen reader is told."""
        return [(n['role']['value'], n.get('name', {}).get('value', ''))
                for n in self.call('Accessibility.getFullAXTree')['nodes'] if not n.get('ignored')]

"""What a WHIP or WHEP client does over HTTP, and how these programs speak to the test that runs them: one JSON object a
line on stdout, one command a line on stdin. Nothing of Sotto but URLs and a token."""
import json
import sys
import threading
import urllib.error
import urllib.request
from urllib.parse import urljoin

SDP = 'application/sdp'
FRAGMENT = 'application/trickle-ice-sdpfrag'
TIMEOUT_S = 15


def tell(event, **members):
    """One line to the test."""
    sys.stdout.write(json.dumps({'event': event, **members}) + '\n')
    sys.stdout.flush()


def on_command(take):
    """Calls take(word) for each line of stdin, on a thread of its own, and take('quit') at its end."""

    def read():
        for line in sys.stdin:
            take(line.strip())
        take('quit')

    threading.Thread(target=read, daemon=True).start()


class Refused(Exception):
    """The answer wasn't the one that goes on."""


class Session:
    """A session's resource: POST makes it, PATCH trickles, DELETE ends it. Calls block."""

    def __init__(self, url, token):
        self.url = url
        self.token = token
        self.resource = None
        self.etag = None

    def _send(self, method, url, headers, body=None):
        request = urllib.request.Request(
            url, method=method, data=body and body.encode(), headers={'Authorization': f'Bearer {self.token}', **headers})
        try:
            with urllib.request.urlopen(request, timeout=TIMEOUT_S) as response:
                return response.status, response.headers, response.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.headers, error.read().decode()

    def open(self, offer):
        """POST of the offer; the answer's SDP."""
        status, headers, body = self._send('POST', self.url, {'Content-Type': SDP}, offer)
        if status != 201:
            tell('refused', status=status, body=body)
            raise Refused(f'{status} {body}')
        self.resource = urljoin(self.url, headers['Location'])
        self.etag = headers['ETag']
        tell('open', status=status, resource=self.resource, answer=body)
        return body

    def trickle(self, fragment):
        """PATCH with further candidates of the ICE session that there is."""
        headers = {'Content-Type': FRAGMENT, 'If-Match': self.etag}
        status, _, body = self._send('PATCH', self.resource, headers, fragment)
        tell('trickled', status=status, body=body)

    def close(self):
        """DELETE."""
        status, _, _ = self._send('DELETE', self.resource, {})
        tell('deleted', status=status)


class Pictures:
    """What was decoded: how many pictures, how many unlike the one before, and the mean colours of seven columns (the bars
    of a test picture) in the upper half of the last one."""

    BARS = 7

    def __init__(self):
        self.frames = 0
        self.different = 0
        self.bars = []
        self.width = self.height = 0
        self._last = None

    def take(self, pixels):
        """An array of height × width × RGB."""
        self.frames += 1
        self.height, self.width = pixels.shape[:2]
        digest = hash(pixels.tobytes())
        self.different += digest != self._last
        self._last = digest
        part = self.width // self.BARS
        upper = pixels[self.height // 10:self.height // 2]
        # The middle of each column: its edges are blurred.
        columns = [upper[:, i * part + part // 4:(i + 1) * part - part // 4] for i in range(self.BARS)]
        self.bars = [[int(c) for c in column.reshape(-1, 3).mean(axis=0)] for column in columns]

    def report(self):
        """As told to the test."""
        return {'frames': self.frames, 'different': self.different, 'bars': self.bars, 'width': self.width, 'height': self.height}

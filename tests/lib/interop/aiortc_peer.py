"""aiortc as a WHIP or WHEP client: publishes moving colour bars and a tone, or decodes what it watches.

    aiortc_peer.py publish|watch URL TOKEN VP8|H264

Needs Debian's python3-aiortc. Commands on stdin: delete (ends the session), quit."""
import asyncio
import fractions
import sys

import aioice.ice
import numpy
from aiortc import RTCConfiguration, RTCPeerConnection, RTCRtpReceiver, RTCRtpSender, RTCSessionDescription
from aiortc.mediastreams import AudioStreamTrack, MediaStreamError, VideoStreamTrack
from av import AudioFrame, VideoFrame

from session import Pictures, Refused, Session, on_command, tell

WIDTH, HEIGHT, FRAME_RATE = 320, 240, 15
SOUND_RATE, SOUND_S, TONE_HZ = 48000, 0.02, 440
REPORT_S = 0.2
BARS = [(191, 191, 191), (191, 191, 0), (0, 191, 191), (0, 191, 0), (191, 0, 191), (191, 0, 0), (0, 0, 191)]

# The server is on this machine; whatever other network there is stays out of the test.
aioice.ice.get_host_addresses = lambda use_ipv4, use_ipv6: ['127.0.0.1'] if use_ipv4 else []


class Bars(VideoStreamTrack):
    """Seven bars, and under them a block that moves."""

    def __init__(self):
        super().__init__()
        self._n = 0
        self._still = numpy.zeros((HEIGHT, WIDTH, 3), numpy.uint8)
        for i, colour in enumerate(BARS):
            self._still[:, i * WIDTH // len(BARS):(i + 1) * WIDTH // len(BARS)] = colour

    async def recv(self):
        await asyncio.sleep(1 / FRAME_RATE)
        pixels = self._still.copy()
        x = self._n * 8 % (WIDTH - 32)
        pixels[HEIGHT * 3 // 4:, x:x + 32] = 255
        frame = VideoFrame.from_ndarray(pixels, format='rgb24')
        frame.pts = self._n * 90000 // FRAME_RATE
        frame.time_base = fractions.Fraction(1, 90000)
        self._n += 1
        return frame


class Tone(AudioStreamTrack):
    """440 Hz."""

    def __init__(self):
        super().__init__()
        self._at = 0
        self._start = None

    async def recv(self):
        loop = asyncio.get_event_loop()
        self._start = self._start or loop.time()
        n = int(SOUND_RATE * SOUND_S)
        await asyncio.sleep(max(0, self._start + self._at / SOUND_RATE - loop.time()))
        wave = 8000 * numpy.sin(2 * numpy.pi * TONE_HZ * (self._at + numpy.arange(n)) / SOUND_RATE)
        frame = AudioFrame.from_ndarray(wave.astype(numpy.int16).reshape(1, n), format='s16', layout='mono')
        frame.sample_rate = SOUND_RATE
        frame.pts = self._at
        frame.time_base = fractions.Fraction(1, SOUND_RATE)
        self._at += n
        return frame


class Received:
    """Decodes every track that comes."""

    def __init__(self):
        self.pictures = Pictures()
        self.loudness = 0

    async def take(self, track):
        """To the track's end."""
        try:
            while True:
                frame = await track.recv()
                if track.kind == 'video':
                    self.pictures.take(frame.to_ndarray(format='rgb24'))
                else:
                    self.loudness = max(self.loudness, int(numpy.abs(frame.to_ndarray().astype(numpy.int32)).max()))
        except MediaStreamError:
            tell('ended', kind=track.kind)


def prefer(transceiver, capabilities, codec):
    """Only that codec, with what repairs it."""
    wanted = [c for c in capabilities.codecs if c.mimeType.lower() in (f'video/{codec.lower()}', 'video/rtx')]
    transceiver.setCodecPreferences(wanted)


async def sent(pc):
    """Of the video that is sent."""
    stats = (await pc.getStats()).values()
    return {'packets': sum(s.packetsSent for s in stats if s.type == 'outbound-rtp' and s.kind == 'video')}


async def report(pc, received):
    """Until the program ends."""
    while True:
        members = {**received.pictures.report(), 'loudness': received.loudness} if received else await sent(pc)
        tell('stats', state=pc.connectionState, **members)
        await asyncio.sleep(REPORT_S)


async def connect(pc, session):
    """Offer, POST, answer. aiortc gathers before it offers: there is nothing to trickle."""
    await pc.setLocalDescription(await pc.createOffer())
    loop = asyncio.get_running_loop()
    answer = await loop.run_in_executor(None, session.open, pc.localDescription.sdp)
    await pc.setRemoteDescription(RTCSessionDescription(sdp=answer, type='answer'))


def publish(pc, codec):
    """Both kinds."""
    pc.addTrack(Tone())
    pc.addTrack(Bars())
    prefer(pc.getTransceivers()[1], RTCRtpSender.getCapabilities('video'), codec)


def watch(pc, codec):
    """One slot of each kind."""
    received = Received()
    pc.add_listener('track', lambda track: asyncio.ensure_future(received.take(track)))
    pc.addTransceiver('audio', direction='recvonly')
    prefer(pc.addTransceiver('video', direction='recvonly'), RTCRtpReceiver.getCapabilities('video'), codec)
    return received


async def main(way, url, token, codec):
    """To the command that ends it."""
    loop = asyncio.get_running_loop()
    commands = asyncio.Queue()
    on_command(lambda word: loop.call_soon_threadsafe(commands.put_nowait, word))
    pc = RTCPeerConnection(RTCConfiguration(iceServers=[]))
    session = Session(url, token)
    received = watch(pc, codec) if way == 'watch' else publish(pc, codec)
    await connect(pc, session)
    reports = asyncio.ensure_future(report(pc, received))
    while (word := await commands.get()) != 'quit':
        if word == 'delete':
            await loop.run_in_executor(None, session.close)
    reports.cancel()
    await pc.close()


try:
    asyncio.run(main(*sys.argv[1:]))
except Refused:
    sys.exit(1)

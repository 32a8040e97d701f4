"""Somebody who is in the room by right and sends what he shouldn't: aiortc's ICE, DTLS and SRTP, and packets made by hand.

    sfu_abuse_insider.py

Commands on stdin, a JSON object a line, each answered by one: {"do": "offer", "way": "publish" | "watch"} → {"sdp"},
{"do": "answer", "way", "sdp"} → {}, {"do": "storm", "what", "way", "n"} → {"sent"}. Needs Debian's python3-aiortc."""
import asyncio
import json
import random
import re
import struct
import sys
import threading

import aioice.ice
from aiortc import RTCConfiguration, RTCPeerConnection, RTCRtpReceiver, RTCSessionDescription
from aiortc.mediastreams import VideoStreamTrack

GUST = 50
PT_RTPFB, PT_PSFB = 205, 206

# The server is on this machine; and what he watches he doesn't look at.
aioice.ice.get_host_addresses = lambda use_ipv4, use_ipv6: ['127.0.0.1'] if use_ipv4 else []


async def ignore(self, packet, arrival_time_ms):
    """In place of aiortc's decoder."""


RTCRtpReceiver._handle_rtp_packet = ignore


class Nothing(VideoStreamTrack):
    """A track whose pictures are made by hand."""

    async def recv(self):
        await asyncio.Event().wait()


def rtp(way, seq, payload, first=0x80, ssrc=None, middle=b''):
    """One packet of his video."""
    return struct.pack('!BBHII', first, way.pt, seq & 0xffff, seq * 3000 & 0xffffffff, ssrc or way.ssrc) + middle + payload


def feedback(kind, form, media, body=b''):
    """RFC 4585 section 6.1."""
    return struct.pack('!BBHII', 0x80 | form, kind, 2 + len(body) // 4, 1, media) + body


def extension(profile, elements):
    """RFC 8285, padded to words."""
    elements += b'\0' * (-len(elements) % 4)
    return struct.pack('!HH', profile, len(elements) // 4) + elements


PICTURE = b'\x10\0\0' + bytes(60)


class Storms:
    """Each gives the packet number i of it: (bytes, whether they are to be encrypted)."""

    def __init__(self, way):
        self.way = way
        self.kept = None

    def replay(self, i):
        """One good packet, again and again."""
        if self.kept is None:
            self.kept = self.way.srtp.protect(rtp(self.way, self.way.next(), PICTURE))
        return self.kept, False

    def wrong_key(self, i):
        """Of his address and SSRC, encrypted by nobody."""
        return rtp(self.way, i, random.randbytes(120)), False

    def padding(self, i):
        """More padding than there is payload (RFC 3550 section 5.1)."""
        return rtp(self.way, self.way.next(), PICTURE[:-1] + bytes([200]), 0xa0), True

    def headers(self, i):
        """Sources and extensions that aren't there."""
        return rtp(self.way, i, b'\xff' * (i % 30), 0x8f if i % 2 else 0x90), False

    def elements(self, i):
        """An element that reaches beyond its extension, in both forms."""
        wrong = extension(0xbede, b'\x1f\0\0\0') if i % 2 else extension(0x1000, b'\x01\xff\0\0')
        return rtp(self.way, self.way.next(), PICTURE, 0x90, middle=wrong), True

    def extensions(self, i):
        """As many elements as fit."""
        one = b''.join(bytes([(k % 14 + 1) << 4, k & 255]) for k in range(500))
        two = b''.join(bytes([k % 255 + 1, 0]) for k in range(500))
        bomb = extension(0xbede, one) if i % 2 else extension(0x1000, two)
        return rtp(self.way, self.way.next(), PICTURE, 0x90, middle=bomb), True

    def ssrcs(self, i):
        """A new one each time, well encrypted."""
        return rtp(self.way, 1, PICTURE, ssrc=random.getrandbits(32) | 1), True

    def jumps(self, i):
        """Each time thousands of numbers are left out."""
        self.way.seq += random.randrange(2000, 30000)
        return rtp(self.way, self.way.seq, PICTURE), True

    def flood(self, i):
        """Good packets, too many."""
        return rtp(self.way, self.way.next(), PICTURE), True

    def nacks(self, i):
        """Everything that was ever sent, and what wasn't."""
        lost = b''.join(struct.pack('!HH', (i * 4352 + k * 17) & 0xffff, 0xffff) for k in range(256))
        return feedback(PT_RTPFB, 1, self.way.media, lost), True

    def plis(self, i):
        """PLI and FIR, a hundred in one packet."""
        fir = feedback(PT_PSFB, 4, 0, struct.pack('!IBBH', self.way.media, i & 255, 0, 0))
        return (feedback(PT_PSFB, 1, self.way.media) + fir) * 40, True

    def twcc(self, i):
        """65,535 packets in runs, with times for none of them."""
        head = struct.pack('!HHI', i & 0xffff, 0xffff, 0x7fffff00 | (i & 255))
        return feedback(PT_RTPFB, 15, self.way.media, head + b'\x3f\xff' * (2 if i % 2 else 100)), True

    def reports(self, i):
        """Compounds whose parts claim more than there is, or say nonsense."""
        kinds = (200, 201, 202, 203, 204, 205, 206, 207)
        body = random.randbytes(60)
        return struct.pack('!BBHI', 0x80 | i % 32, kinds[i % 8], 1000 if i % 2 else 15, 1) + body, True

    def remb(self, i):
        """No bandwidth at all, and more than there is."""
        body = b'REMB' + bytes([1]) + (b'\xff\xff\xff' if i % 2 else bytes(3)) + struct.pack('!I', self.way.media)
        return feedback(PT_PSFB, 15, 0, body), True


class Way:
    """One peer connection."""

    def __init__(self, way):
        self.name = way
        self.pc = RTCPeerConnection(RTCConfiguration(iceServers=[]))
        self.seq = 1000
        if way == 'publish':
            self.pc.addTrack(Nothing())
        else:
            self.pc.addTransceiver('audio', direction='recvonly')
            self.pc.addTransceiver('video', direction='recvonly')

    def next(self):
        self.seq += 1
        return self.seq

    async def offer(self):
        await self.pc.setLocalDescription(await self.pc.createOffer())
        return self.pc.localDescription.sdp

    async def answer(self, sdp):
        await self.pc.setRemoteDescription(RTCSessionDescription(sdp=sdp, type='answer'))
        while self.pc.connectionState != 'connected':
            if self.pc.connectionState in ('failed', 'closed'):
                raise ConnectionError(self.pc.connectionState)
            await asyncio.sleep(0.02)
        video = sdp[sdp.index('m=video'):]
        found = re.search(r'a=ssrc:(\d+)', video)
        self.media = int(found[1]) if found else 0
        self.pt = int(re.search(r'a=rtpmap:(\d+) VP8', video)[1])
        if self.name == 'publish':
            self.ssrc = self.pc.getSenders()[0]._ssrc
        self.dtls = self.pc.getTransceivers()[0].sender.transport
        self.srtp = self.dtls._tx_srtp

    async def storm(self, what, n):
        make = getattr(Storms(self), what)
        for i in range(n):
            data, plain = make(i)
            if plain:
                rtcp = 192 <= data[1] <= 223
                data = self.srtp.protect_rtcp(data) if rtcp else self.srtp.protect(data)
            await self.dtls.transport._send(data)
            if i % GUST == GUST - 1:
                await asyncio.sleep(0.002)


async def obey(ways, c):
    """One command; its answer."""
    if c['do'] == 'offer':
        ways[c['way']] = Way(c['way'])
        return {'sdp': await ways[c['way']].offer()}
    if c['do'] == 'answer':
        await ways[c['way']].answer(c['sdp'])
        return {}
    await ways[c['way']].storm(c['what'], c['n'])
    return {'sent': c['n']}


async def main():
    """To the end of stdin."""
    loop = asyncio.get_running_loop()
    commands = asyncio.Queue()
    ways = {}

    def read():
        for line in sys.stdin:
            loop.call_soon_threadsafe(commands.put_nowait, json.loads(line))
        loop.call_soon_threadsafe(commands.put_nowait, None)

    threading.Thread(target=read, daemon=True).start()
    while (c := await commands.get()) is not None:
        try:
            answer = await obey(ways, c)
        except Exception as error:  # whatever it is, the test is to say so
            answer = {'error': repr(error)}
        print(json.dumps(answer), flush=True)
    for way in ways.values():
        await way.pc.close()


asyncio.run(main())

"""GStreamer's webrtcbin as a WHIP or WHEP client: publishes SMPTE bars and a tone, or decodes what it watches.

    gstreamer_peer.py publish|watch URL TOKEN VP8|H264

Needs Debian's python3-gi, gir1.2-gst-plugins-bad-1.0 and gstreamer1.0-{plugins-base,plugins-good,plugins-bad,nice}.
Commands on stdin: delete (ends the session), quit."""
import os
import re
import sys
import threading

import gi
import numpy

gi.require_version('Gst', '1.0')
gi.require_version('GstSdp', '1.0')
gi.require_version('GstWebRTC', '1.0')
from gi.repository import GLib, Gst, GstSdp, GstWebRTC  # noqa: E402

from session import Pictures, Refused, Session, on_command, tell  # noqa: E402

WIDTH, HEIGHT, FRAME_RATE = 320, 240, 15
REPORT_MS = 200
MID = 'extmap-1=(string)urn:ietf:params:rtp-hdrext:sdes:mid'
ENCODERS = {
    'VP8': 'vp8enc deadline=1 cpu-used=8 target-bitrate=400000 keyframe-max-dist=60 ! rtpvp8pay pt=96 picture-id-mode=15-bit',
    'H264': 'openh264enc bitrate=400000 gop-size=60 complexity=low ! video/x-h264,profile=constrained-baseline ! '
            'h264parse ! rtph264pay pt=96 config-interval=-1 aggregate-mode=zero-latency',
}
DECODERS = {
    'VP8': 'rtpvp8depay ! vp8dec',
    'H264': 'rtph264depay ! h264parse ! openh264dec',
    'OPUS': 'rtpopusdepay ! opusdec',
}
# What a watcher calls them is his to choose; these are nobody's usual numbers.
WATCHED = {
    'OPUS': f'application/x-rtp,media=audio,encoding-name=OPUS,payload=121,clock-rate=48000,{MID}',
    'VP8': f'application/x-rtp,media=video,encoding-name=VP8,payload=101,clock-rate=90000,rtcp-fb-nack-pli=true,{MID}',
    'H264': 'application/x-rtp,media=video,encoding-name=H264,payload=119,clock-rate=90000,rtcp-fb-nack-pli=true,'
            f'packetization-mode=(string)1,profile-level-id=(string)42e01f,{MID}',
}
Direction = GstWebRTC.WebRTCRTPTransceiverDirection


class Peer:
    """One webrtcbin and its session."""

    def __init__(self, way, url, token, codec):
        self.session = Session(url, token)
        self.loop = GLib.MainLoop()
        self.pictures = Pictures()
        self.loudness = 0
        self.failed = False
        self.candidates = []
        self.answered = threading.Event()
        self.pipeline, self.rtc = self._publisher(codec) if way == 'publish' else self._watcher(codec)
        # The server is on this machine; whatever other network there is stays out of the test. The binding and webrtcbin count
        # one reference between them: it is kept to the end, and the end is os._exit.
        self.agent = self.rtc.get_property('ice-agent')
        self.agent.emit('add-local-ip-address', '127.0.0.1')
        self.rtc.connect('on-negotiation-needed', self._on_negotiation_needed)
        self.rtc.connect('on-ice-candidate', lambda _, line, text: self.candidates.append((line, text)))
        self.rtc.connect('notify::ice-gathering-state', self._on_gathering)
        bus = self.pipeline.get_bus()
        bus.add_signal_watch()
        bus.connect('message::error', self._on_error)

    # ---- pipelines ----

    def _publisher(self, codec):
        pipeline = Gst.parse_launch(
            'webrtcbin name=rtc bundle-policy=max-bundle '
            'audiotestsrc is-live=true freq=440 volume=0.3 ! audio/x-raw,rate=48000,channels=1 ! opusenc ! rtpopuspay pt=111 ! '
            'application/x-rtp,media=audio,encoding-name=OPUS,payload=111 ! rtc. '
            f'videotestsrc is-live=true pattern=smpte ! video/x-raw,width={WIDTH},height={HEIGHT},framerate={FRAME_RATE}/1 ! '
            f'videoconvert ! {ENCODERS[codec]} ! application/x-rtp,media=video,encoding-name={codec},payload=96 ! rtc.')
        rtc = pipeline.get_by_name('rtc')
        for i in range(2):
            rtc.emit('get-transceiver', i).set_property('direction', Direction.SENDONLY)
        return pipeline, rtc

    def _watcher(self, codec):
        pipeline = Gst.Pipeline.new()
        rtc = Gst.ElementFactory.make('webrtcbin')
        rtc.set_property('bundle-policy', GstWebRTC.WebRTCBundlePolicy.MAX_BUNDLE)
        pipeline.add(rtc)
        for name in ('OPUS', codec):
            rtc.emit('add-transceiver', Direction.RECVONLY, Gst.Caps.from_string(WATCHED[name]))
        rtc.connect('pad-added', self._on_pad)
        return pipeline, rtc

    def _on_pad(self, _, pad):
        if pad.get_direction() != Gst.PadDirection.SRC:
            return
        name = pad.get_current_caps().get_structure(0).get_string('encoding-name')
        shape = 'audioconvert ! audio/x-raw,format=S16LE' if name == 'OPUS' else 'videoconvert ! video/x-raw,format=RGB'
        part = Gst.parse_bin_from_description(
            f'queue ! {DECODERS[name]} ! {shape} ! appsink name=sink emit-signals=true sync=false', True)
        part.get_by_name('sink').connect('new-sample', self._on_sound if name == 'OPUS' else self._on_picture)
        self.pipeline.add(part)
        part.sync_state_with_parent()
        pad.link(part.get_static_pad('sink'))

    def _on_picture(self, sink):
        sample = sink.emit('pull-sample')
        form = sample.get_caps().get_structure(0)
        width, height = form.get_value('width'), form.get_value('height')
        stride = (width * 3 + 3) // 4 * 4
        data = numpy.frombuffer(sample.get_buffer().extract_dup(0, stride * height), numpy.uint8)
        self.pictures.take(data.reshape(height, stride)[:, :width * 3].reshape(height, width, 3))
        return Gst.FlowReturn.OK

    def _on_sound(self, sink):
        buffer = sink.emit('pull-sample').get_buffer()
        wave = numpy.frombuffer(buffer.extract_dup(0, buffer.get_size()), numpy.int16)
        if wave.size:
            self.loudness = max(self.loudness, int(numpy.abs(wave.astype(numpy.int32)).max()))
        return Gst.FlowReturn.OK

    def _on_error(self, _, message):
        error, debug = message.parse_error()
        print(error, debug, file=sys.stderr)
        self.failed = True
        self.loop.quit()

    # ---- the session ----

    def _on_negotiation_needed(self, rtc):
        rtc.emit('create-offer', None, Gst.Promise.new_with_change_func(self._on_offer))

    def _on_offer(self, promise):
        reply = promise.get_reply()  # what it holds lives as long as it does
        offer = reply.get_value('offer')
        text = offer.sdp.as_text()
        self.rtc.emit('set-local-description', offer, Gst.Promise.new())
        threading.Thread(target=self._negotiate, args=(text,), daemon=True).start()

    def _negotiate(self, offer):
        self.offer = offer
        try:
            text = self.session.open(offer)
        except Refused:
            self.failed = True
            self.loop.quit()
            return
        _, sdp = GstSdp.SDPMessage.new_from_text(text)
        answer = GstWebRTC.WebRTCSessionDescription.new(GstWebRTC.WebRTCSDPType.ANSWER, sdp)
        self.rtc.emit('set-remote-description', answer, Gst.Promise.new())
        self.answered.set()

    def _on_gathering(self, rtc, _):
        if rtc.get_property('ice-gathering-state') == GstWebRTC.WebRTCICEGatheringState.COMPLETE:
            threading.Thread(target=self._trickle, daemon=True).start()

    def _trickle(self):
        """What was gathered after the offer had left (RFC 8840)."""
        if not self.answered.wait(10):
            return
        mids = re.findall(r'a=mid:(\S+)', self.offer)
        kinds = re.findall(r'm=(\w+)', self.offer)
        lines = [next(line for line in self.offer.splitlines() if line.startswith(f'a=ice-{name}:')) for name in ('ufrag', 'pwd')]
        lines += [f'm={kinds[0]} 9 UDP/TLS/RTP/SAVPF 0', f'a=mid:{mids[0]}']
        lines += [f'a={text}' for line, text in self.candidates if line == 0 and text.startswith('candidate:')]
        self.session.trickle('\r\n'.join(lines + ['a=end-of-candidates', '']))

    # ---- life ----

    def _report(self):
        state = self.rtc.get_property('connection-state').value_nick
        tell('stats', state=state, loudness=self.loudness, **self.pictures.report())
        return True

    def _command(self, word):
        if word == 'delete':
            threading.Thread(target=self.session.close, daemon=True).start()
        elif word == 'quit':
            self.loop.quit()

    def run(self):
        """To the command that ends it; the exit code."""
        on_command(lambda word: GLib.idle_add(self._command, word))
        GLib.timeout_add(REPORT_MS, self._report)
        self.pipeline.set_state(Gst.State.PLAYING)
        self.loop.run()
        self.pipeline.set_state(Gst.State.NULL)
        return 1 if self.failed else 0


Gst.init(None)
peer = Peer(*sys.argv[1:])
code = peer.run()
sys.stderr.flush()
os._exit(code)

// What runs in the two Chromiums of the bad link: one publishes three layers of VP8, the other watches. Each function is sent
// into a page as its text, so it stands alone.

/** `window.publish(…)` and `window.layers()`. */
export function publisherCode() {
    /** Offers one camera in layers, and a microphone. @returns {Promise<string>} */
    window.publish = async ({ width, height, fps, layers }) => {
        const media = await navigator.mediaDevices.getUserMedia({ audio: true, video: { width, height, frameRate: fps } });
        const pc = (window.pc = new RTCPeerConnection());
        pc.addTransceiver(media.getAudioTracks()[0], { direction: 'sendonly', streams: [media] });
        const [track] = media.getVideoTracks();
        track.contentHint = 'detail'; // a layer keeps its size when the encoder is short of bits
        const video = pc.addTransceiver(track, { direction: 'sendonly', streams: [media], sendEncodings: layers });
        const { codecs } = RTCRtpSender.getCapabilities('video');
        video.setCodecPreferences(codecs.filter((c) => /\/(VP8|rtx)$/.test(c.mimeType)));
        const parameters = video.sender.getParameters();
        parameters.degradationPreference = 'maintain-resolution';
        await video.sender.setParameters(parameters).catch(() => {});
        await pc.setLocalDescription();
        return pc.localDescription.sdp;
    };
    window.published = (sdp) => window.pc.setRemoteDescription({ type: 'answer', sdp });
    /** What was sent of each layer, by its RID. */
    window.layers = async () => {
        const all = {};
        for (const r of (await window.pc.getStats()).values()) {
            if (r.type === 'outbound-rtp' && r.kind === 'video') all[r.rid ?? ''] = { frames: r.framesSent ?? 0, width: r.frameWidth ?? 0, bytes: r.bytesSent };
        }
        return all;
    };
}

/** `window.watch(offer)`, `window.begin()` and `window.end()`. */
export function watcherCode() {
    const samples = [];
    const gaps = []; // milliseconds between frames that were shown
    let shown = 0;
    const inbound = async () => {
        for (const r of (await window.pc.getStats()).values()) if (r.type === 'inbound-rtp' && r.kind === 'video') return r;
        return null;
    };
    /** Answers; what comes is played. @returns {Promise<string>} */
    window.watch = async (sdp) => {
        const pc = (window.pc = new RTCPeerConnection());
        pc.ontrack = ({ track }) => {
            const element = document.createElement(track.kind);
            element.srcObject = new MediaStream([track]);
            element.autoplay = true;
            document.body.append(element);
            if (track.kind === 'video') window.video = element;
        };
        await pc.setRemoteDescription({ type: 'offer', sdp });
        await pc.setLocalDescription();
        return pc.localDescription.sdp;
    };
    window.frames = async () => (await inbound())?.framesDecoded ?? 0;
    const onFrame = (now) => {
        gaps.push(now - shown);
        shown = now;
        window.video.requestVideoFrameCallback(onFrame);
    };
    const look = async () => {
        const r = await inbound();
        if (r) samples.push({ frames: r.framesDecoded, width: r.frameWidth ?? 0, freezes: r.freezeCount, frozen: r.totalFreezesDuration, dropped: r.framesDropped, packets: r.packetsReceived, lost: r.packetsLost, bytes: r.bytesReceived });
    };
    /** Counting begins. */
    window.begin = async () => {
        await look();
        window.timer = setInterval(look, 200);
        shown = performance.now();
        window.video.requestVideoFrameCallback(onFrame);
    };
    /** What was seen since. Frames are counted to the width that the stream had when they were looked at. */
    window.end = async () => {
        clearInterval(window.timer);
        await look();
        gaps.push(performance.now() - shown); // a picture that stands still to the end
        const [first, last] = [samples[0], samples.at(-1)];
        const widths = {};
        for (let i = 1; i < samples.length; i++) widths[samples[i].width] = (widths[samples[i].width] ?? 0) + samples[i].frames - samples[i - 1].frames;
        const grown = Object.fromEntries(Object.keys(first).filter((k) => k !== 'width').map((k) => [k, last[k] - first[k]]));
        return { ...grown, widths, gaps };
    };
}

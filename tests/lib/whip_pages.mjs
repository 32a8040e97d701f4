// A Chromium page that knows nothing of Sotto but a URL and a token: plain RTCPeerConnection and fetch, as any WHIP or WHEP client.
import { until } from './stack.mjs';

/** What runs in the page: `bare`, one peer connection and its session. */
function pageCode() {
    const bare = { pending: [], codec: null };
    window.bare = bare;
    const values = (sdp) => ({ ufrag: /a=ice-ufrag:(\S+)/.exec(sdp)[1], pwd: /a=ice-pwd:(\S+)/.exec(sdp)[1] });
    const send = (method, url, headers, body) => fetch(url, { method, headers: { authorization: `Bearer ${bare.token}`, ...headers }, body });
    const patch = (match, body) => send('PATCH', bare.resource, { 'content-type': 'application/trickle-ice-sdpfrag', 'if-match': match }, body);

    /** Seven bars, a block that moves under them, and a tone. */
    const source = () => {
        const canvas = document.createElement('canvas');
        Object.assign(canvas, { width: 320, height: 240 });
        document.body.append(canvas);
        const paint = canvas.getContext('2d');
        const colours = ['#bfbfbf', '#bfbf00', '#00bfbf', '#00bf00', '#bf00bf', '#bf0000', '#0000bf'];
        let n = 0;
        setInterval(() => {
            colours.forEach((colour, i) => {
                paint.fillStyle = colour;
                paint.fillRect((i * 320) / 7, 0, 320 / 7 + 1, 240);
            });
            paint.fillStyle = '#fff';
            paint.fillRect((n++ * 8) % 288, 180, 32, 60);
        }, 1000 / 15);
        const audio = new AudioContext();
        const tone = new OscillatorNode(audio, { frequency: 440 });
        const out = audio.createMediaStreamDestination();
        tone.connect(out);
        tone.start();
        return new MediaStream([...out.stream.getTracks(), ...canvas.captureStream().getTracks()]);
    };
    const show = ({ track }) => {
        const element = document.createElement(track.kind);
        Object.assign(element, { srcObject: new MediaStream([track]), autoplay: true });
        document.body.append(element);
        if (track.kind === 'video') bare.video = element;
    };
    const prefer = (transceiver, capabilities, codec) =>
        transceiver.setCodecPreferences(capabilities.codecs.filter((c) => [`video/${codec}`, 'video/rtx'].includes(c.mimeType)));

    const start = async (url, token) => {
        bare.token = token;
        bare.pc.onicecandidate = ({ candidate }) => candidate?.candidate && bare.pending.push(candidate.candidate);
        await bare.pc.setLocalDescription();
        const response = await send('POST', url, { 'content-type': 'application/sdp' }, bare.pc.localDescription.sdp);
        bare.answer = await response.text();
        if (response.status !== 201) return { status: response.status, body: bare.answer };
        bare.resource = new URL(response.headers.get('location'), url).href;
        bare.etag = response.headers.get('etag');
        await bare.pc.setRemoteDescription({ type: 'answer', sdp: bare.answer });
        return { status: 201, resource: bare.resource, link: response.headers.get('link') };
    };
    bare.publish = (url, token, codec) => {
        bare.pc = new RTCPeerConnection();
        const media = source();
        for (const track of media.getTracks()) {
            const transceiver = bare.pc.addTransceiver(track, { direction: 'sendonly', streams: [media] });
            if (codec && track.kind === 'video') prefer(transceiver, RTCRtpSender.getCapabilities('video'), codec);
        }
        return start(url, token);
    };
    bare.watch = (url, token, codec) => {
        bare.pc = new RTCPeerConnection();
        bare.pc.ontrack = show;
        for (const kind of ['audio', 'video']) {
            const transceiver = bare.pc.addTransceiver(kind, { direction: 'recvonly' });
            if (codec && kind === 'video') prefer(transceiver, RTCRtpReceiver.getCapabilities('video'), codec);
        }
        return start(url, token);
    };
    bare.trickle = async () => {
        const { ufrag, pwd } = values(bare.pc.localDescription.sdp);
        const lines = bare.pending.splice(0).map((c) => `a=${c}`);
        const body = [`a=ice-ufrag:${ufrag}`, `a=ice-pwd:${pwd}`, 'm=audio 9 RTP/AVP 0', 'a=mid:0', ...lines, 'a=end-of-candidates', ''].join('\r\n');
        return (await patch(bare.etag, body)).status;
    };
    bare.restart = async () => {
        await bare.pc.setLocalDescription(await bare.pc.createOffer({ iceRestart: true }));
        const { ufrag, pwd } = values(bare.pc.localDescription.sdp);
        const response = await patch('*', `a=ice-ufrag:${ufrag}\r\na=ice-pwd:${pwd}\r\n`);
        const text = await response.text();
        if (response.status !== 200) return { status: response.status, text };
        const fresh = values(text);
        bare.etag = response.headers.get('etag');
        bare.answer = bare.answer.replace(/a=ice-ufrag:\S+/g, `a=ice-ufrag:${fresh.ufrag}`).replace(/a=ice-pwd:\S+/g, `a=ice-pwd:${fresh.pwd}`);
        await bare.pc.setRemoteDescription({ type: 'answer', sdp: bare.answer });
        return { status: 200, local: ufrag, remote: fresh.ufrag };
    };
    bare.remove = async () => (await send('DELETE', bare.resource, {})).status;
    /** The ICE session that media takes. */
    bare.ice = async () => {
        const stats = await bare.pc.getStats();
        const transport = [...stats.values()].find((r) => r.type === 'transport');
        return { state: bare.pc.connectionState, dtls: transport?.dtlsState, local: transport?.iceLocalUsernameFragment, remote: transport?.iceRemoteUsernameFragment };
    };
    /** The mean colours of seven columns in the upper half of what is shown. */
    const bars = (video) => {
        const canvas = new OffscreenCanvas(video.videoWidth, video.videoHeight);
        const paint = canvas.getContext('2d');
        paint.drawImage(video, 0, 0);
        const part = Math.floor(canvas.width / 7);
        return Array.from({ length: 7 }, (_, i) => {
            const { data } = paint.getImageData(i * part + part / 4, canvas.height / 10, part / 2, canvas.height / 3);
            const sums = [0, 0, 0];
            for (let at = 0; at < data.length; at++) if (at % 4 < 3) sums[at % 4] += data[at];
            return sums.map((sum) => Math.round(sum / (data.length / 4)));
        });
    };
    bare.received = async () => {
        const result = { frames: 0, energy: 0, bars: [], codec: null, state: bare.pc.connectionState };
        const stats = await bare.pc.getStats();
        for (const report of stats.values()) {
            if (report.type !== 'inbound-rtp') continue;
            result.frames += report.framesDecoded ?? 0;
            result.energy += report.totalAudioEnergy ?? 0;
            if (report.kind === 'video') result.codec = stats.get(report.codecId)?.mimeType ?? null;
        }
        if (bare.video?.videoWidth) result.bars = bars(bare.video);
        return result;
    };
}

/** One page of `context` (a browser's) as such a client, on `url`. */
export class Bare {
    static async open(context, url) {
        const bare = new Bare();
        bare.context = context;
        bare.page = await context.newPage();
        bare.page.on('pageerror', (error) => console.error('bare page:', error.message));
        await bare.page.goto(url);
        await bare.page.evaluate(pageCode);
        return bare;
    }

    /** {status, resource, link}, or {status, body} of what was refused; `codec` alone is offered where it is said. */
    publish(url, token, codec) {
        return this.page.evaluate(([u, t, c]) => window.bare.publish(u, t, c), [url, token, codec]);
    }

    watch(url, token, codec) {
        return this.page.evaluate(([u, t, c]) => window.bare.watch(u, t, c), [url, token, codec]);
    }

    /** The status that candidates by PATCH get. */
    trickle() {
        return this.page.evaluate(() => window.bare.trickle());
    }

    /** Waits until the ICE session is another one, on both ends, and connected. */
    async restart() {
        const before = await this.ice();
        const made = await this.page.evaluate(() => window.bare.restart());
        if (made.status !== 200) throw new Error(`restart: ${made.status} ${made.text}`);
        await until('media takes the new ICE session', async () => {
            const now = await this.ice();
            return now.state === 'connected' && now.local === made.local && now.local !== before.local;
        });
        return made;
    }

    remove() {
        return this.page.evaluate(() => window.bare.remove());
    }

    ice() {
        return this.page.evaluate(() => window.bare.ice());
    }

    connected() {
        return until('it is connected', async () => (await this.ice()).state === 'connected', 20_000);
    }

    /** Ends the peer connection without a word by HTTP. */
    vanish() {
        return this.page.evaluate(() => window.bare.pc.close());
    }

    received() {
        return this.page.evaluate(() => window.bare.received());
    }

    /** Decodes `n` more pictures and more sound; what was received then. */
    async decodes(n = 15, ms = 25_000) {
        const first = await this.received();
        let now = first;
        const fits = async () => {
            now = await this.received();
            return now.frames >= first.frames + n && now.energy > first.energy && now;
        };
        return until(`a page decodes ${n} pictures and sound`, fits, ms).catch((error) => {
            error.message += ` ${JSON.stringify(now)}`;
            throw error;
        });
    }

    /** Sound comes, whether pictures do or not. */
    async hears(ms = 15_000) {
        const { energy } = await this.received();
        await until('a page hears something', async () => (await this.received()).energy > energy, ms);
    }

    close() {
        return this.page.close();
    }
}

// Chromium pages that publish to and watch an sfud, with fake camera and microphone.
import { chromium } from 'playwright-core';

const executablePath = process.env.SOTTO_TEST_CHROMIUM || '/usr/bin/chromium';
const flags = [
    '--headless=new',
    '--no-sandbox',
    '--disable-gpu',
    '--disable-background-networking',
    '--use-fake-device-for-media-stream',
    '--use-fake-ui-for-media-stream',
    '--autoplay-policy=no-user-gesture-required',
];

/** What runs in the page: one publishing and one subscribing peer connection. */
function pageCode() {
    const peer = { slots: new Map() };
    window.peer = peer;
    /* `steady`: where the encoder has too little time it leaves pictures out, and keeps their size. */
    peer.offer = async ({ audio = true, video = true, width = 640, height = 480, encodings, codec, steady } = {}) => {
        const media = await navigator.mediaDevices.getUserMedia({ audio, video: video && { width, height, frameRate: 30 } });
        peer.publisher = new RTCPeerConnection();
        for (const track of media.getTracks()) {
            const sendEncodings = track.kind === 'video' ? encodings : undefined;
            const transceiver = peer.publisher.addTransceiver(track, { direction: 'sendonly', streams: [media], ...(sendEncodings && { sendEncodings }) });
            if (steady && track.kind === 'video') {
                const parameters = transceiver.sender.getParameters();
                await transceiver.sender.setParameters({ ...parameters, degradationPreference: 'maintain-resolution' });
            }
            if (!codec || track.kind !== 'video') continue;
            const { codecs } = RTCRtpSender.getCapabilities('video');
            transceiver.setCodecPreferences(codecs.filter((c) => [`video/${codec}`, 'video/rtx'].includes(c.mimeType)));
        }
        await peer.publisher.setLocalDescription();
        return peer.publisher.localDescription.sdp;
    };
    peer.reoffer = async (options) => {
        await peer.publisher.setLocalDescription(await peer.publisher.createOffer(options));
        return peer.publisher.localDescription.sdp;
    };
    peer.published = (sdp) => peer.publisher.setRemoteDescription({ type: 'answer', sdp });
    peer.answer = async (sdp) => {
        if (!peer.subscriber) {
            peer.subscriber = new RTCPeerConnection();
            peer.subscriber.ontrack = ({ track, transceiver }) => {
                const element = document.createElement(track.kind);
                element.srcObject = new MediaStream([track]);
                element.autoplay = true;
                document.body.append(element);
                peer.slots.set(transceiver.mid, { track, receiver: transceiver.receiver });
            };
        }
        await peer.subscriber.setRemoteDescription({ type: 'offer', sdp });
        await peer.subscriber.setLocalDescription();
        return peer.subscriber.localDescription.sdp;
    };
    /** Of each slot that receives: frames, energy, packets, and who its packets say they are from. */
    peer.received = async () => {
        const result = {};
        for (const report of (await peer.subscriber.getStats()).values()) {
            if (report.type !== 'inbound-rtp') continue;
            const slot = peer.slots.get(report.mid);
            result[report.mid] = {
                frames: report.framesDecoded ?? 0,
                energy: report.totalAudioEnergy ?? 0,
                packets: report.packetsReceived,
                lost: report.packetsLost,
                rtx: report.retransmittedPacketsReceived ?? 0,
                nacks: report.nackCount ?? 0,
                plis: report.pliCount ?? 0,
                freezes: report.freezeCount ?? 0,
                width: report.frameWidth,
                height: report.frameHeight,
                keyFrames: report.keyFramesDecoded ?? 0,
                from: slot?.receiver.getContributingSources().map((s) => s.source) ?? [],
            };
        }
        return result;
    };
    peer.sent = async () => {
        const result = {};
        for (const report of (await peer.publisher.getStats()).values()) {
            if (report.type === 'outbound-rtp') {
                result[report.kind] = {
                    packets: report.packetsSent,
                    bytes: report.bytesSent,
                    nacks: report.nackCount ?? 0,
                    plis: report.pliCount ?? 0,
                    target: report.targetBitrate,
                    width: report.frameWidth,
                };
            }
            if (report.type === 'remote-inbound-rtp') (result.remote ??= []).push({ kind: report.kind, lost: report.packetsLost, rtt: report.roundTripTime });
        }
        return result;
    };
    peer.srtp = async (which) => {
        for (const report of (await peer[which].getStats()).values()) {
            if (report.type === 'transport') return report.srtpCipher;
        }
        return undefined;
    };
}

let browser = null;
export async function openBrowser() {
    browser ??= await chromium.launch({ executablePath, args: flags });
    return browser;
}
export async function closeBrowser() {
    await browser?.close();
    browser = null;
}

/** A page of its own context, whose `peer` talks to sfud by way of the fake signald. */
export class Peer {
    constructor(page, signald, room, number) {
        Object.assign(this, { page, signald, room, number });
    }

    /** `url`: a real page to be on, instead of an empty one. */
    static async open(signald, room, number, url) {
        const context = await (await openBrowser()).newContext({ permissions: ['camera', 'microphone'] });
        const page = await context.newPage();
        page.on('pageerror', (error) => console.error(`page ${number}:`, error.message));
        if (!url) await page.route('**/*', (route) => route.fulfill({ contentType: 'text/html', body: '<!doctype html><title>peer</title>' }));
        await page.goto(url ?? 'http://localhost/');
        await page.evaluate(pageCode);
        return new Peer(page, signald, room, number);
    }

    request(t, members = {}) {
        return this.signald.request(t, { room: this.room, participant: this.number, ...members });
    }

    async publish(options = {}) {
        const { munge, ...media } = options;
        const offer = await this.page.evaluate((o) => window.peer.offer(o), media);
        const { sdp } = await this.request('publish', { sdp: munge?.(offer) ?? offer });
        await this.published(sdp);
        return sdp;
    }

    published(sdp) {
        return this.page.evaluate((s) => window.peer.published(s), this.relay?.divert(sdp) ?? sdp);
    }

    async subscribe(audioSlots = 3, videoSlots = 4) {
        const { sdp } = await this.request('subscribe', { audioSlots, videoSlots });
        await this.answer(this.relay?.divert(sdp) ?? sdp);
        return sdp;
    }

    async answer(offer) {
        const answer = await this.page.evaluate((s) => window.peer.answer(s), offer);
        await this.request('answer', { sdp: answer });
    }

    received() {
        return this.page.evaluate(() => window.peer.received());
    }

    sent() {
        return this.page.evaluate(() => window.peer.sent());
    }

    close() {
        return this.page.context().close();
    }
}

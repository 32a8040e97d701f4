// Encoded frames as they come from the network, what their encryption hides, and what a decoder makes of them.
import { webcrypto } from 'node:crypto';

/** The worker of `forwarded`: tells every keyframe that comes through it, and hands on nothing. */
const tap = `onrtctransform = async ({ transformer: { readable } }) => {
    for (const reader = readable.getReader(); ; ) {
        const { value, done } = await reader.read();
        if (done) return;
        if (value.type === 'key') postMessage(Array.from(new Uint8Array(value.data)));
    }
};`;

/** The first keyframe that this page receives of any video, as it comes from the network: before the app's decryption. */
export async function forwarded(person) {
    await person.page.route('**/tap.js', (route) => route.fulfill({ contentType: 'text/javascript', body: tap }));
    return person.page.evaluate(() => {
        const worker = new Worker('/tap.js');
        const receivers = window.peers.filter((p) => p.connectionState === 'connected').flatMap((p) => p.getReceivers());
        for (const receiver of receivers) {
            if (receiver.track.kind === 'video') receiver.transform = new RTCRtpScriptTransform(worker, {});
        }
        return new Promise((resolve, reject) => {
            worker.onmessage = ({ data }) => resolve(data);
            worker.onerror = () => reject(new Error('no tap'));
            setTimeout(() => reject(new Error('no keyframe in a minute')), 60_000);
        });
    });
}

/** Opens a frame as web/sdk/README.md describes it: written a second time, so that what travels is what is documented. */
export async function opened(data, secret) {
    const frame = Uint8Array.from(data);
    const trailer = frame.slice(-18);
    const [sender, clear] = [new DataView(trailer.buffer).getUint32(12), trailer[17]];
    const { subtle } = webcrypto;
    const ikm = await subtle.importKey('raw', Uint8Array.from(secret), 'HKDF', false, ['deriveBits']);
    const info = new TextEncoder().encode(`sotto media sender ${sender}`);
    const bits = new Uint8Array(await subtle.deriveBits({ name: 'HKDF', hash: 'SHA-256', salt: new Uint8Array(), info }, ikm, 224));
    const key = await subtle.importKey('raw', bits.slice(0, 16), 'AES-GCM', false, ['decrypt']);
    const iv = bits.slice(16).map((b, i) => b ^ trailer[i]);
    const head = frame.slice(0, clear);
    const additionalData = Uint8Array.from([...head, ...trailer]);
    const body = await subtle.decrypt({ name: 'AES-GCM', iv, additionalData }, key, frame.slice(clear, -18));
    return [...head, ...new Uint8Array(body)];
}

/** What a VP8 decoder makes of a keyframe: the picture's luminance in 32×18 points, or null. */
export function decoded(person, data) {
    return person.page.evaluate(async (frame) => {
        const pictures = [];
        const decoder = new VideoDecoder({
            output: (picture) => {
                const canvas = new OffscreenCanvas(32, 18);
                const paint = canvas.getContext('2d');
                paint.drawImage(picture, 0, 0, 32, 18);
                picture.close();
                const { data: rgba } = paint.getImageData(0, 0, 32, 18);
                pictures.push(Array.from({ length: 32 * 18 }, (_, i) => 0.3 * rgba[4 * i] + 0.6 * rgba[4 * i + 1] + 0.1 * rgba[4 * i + 2]));
            },
            error: () => {},
        });
        decoder.configure({ codec: 'vp8' });
        decoder.decode(new EncodedVideoChunk({ type: 'key', timestamp: 0, data: Uint8Array.from(frame) }));
        await decoder.flush().catch(() => {});
        return pictures[0] ?? null;
    }, data);
}

/** Of two pictures of decoded(), a point. */
export const difference = (a, b) => a.reduce((sum, value, i) => sum + Math.abs(value - b[i]), 0) / a.length;

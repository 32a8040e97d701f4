// How a browser that sends sees its link.
import { until } from './stack.mjs';

/** What is estimated of the link, what was sent so far, and whether that held the picture back. In the page. */
async function read() {
    const stats = await window.peer.publisher.getStats();
    const reports = [...stats.values()];
    // The pair in use: several are nominated where the server has several addresses, and all but one carry nothing.
    const pair = stats.get(reports.find((r) => r.type === 'transport').selectedCandidatePairId);
    const video = reports.find((r) => r.type === 'outbound-rtp' && r.kind === 'video');
    return { estimate: pair.availableOutgoingBitrate, bytes: pair.bytesSent, at: pair.timestamp, limited: video.qualityLimitationReason };
}

/**
 * Until the sender's estimate of its link leaves a quarter more than it sends, and its picture isn't held back for it. There is no
 * such estimate without feedback, and one that feedback drove down is all used. Asked relative to what is sent: a machine that is busy
 * sends less, and an estimate grows to one and a half of what is sent at most.
 */
export async function growsRoomy(peer) {
    let [before, now] = [null, await peer.page.evaluate(read)];
    await until('feedback makes the estimate grow beyond what is sent', async () => {
        [before, now] = [now, await peer.page.evaluate(read)];
        const sent = ((now.bytes - before.bytes) * 8000) / (now.at - before.at);
        return sent > 0 && now.estimate > 1.25 * sent && now.limited !== 'bandwidth';
    }, 60_000, 1000);
}

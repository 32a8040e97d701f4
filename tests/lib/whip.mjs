// What a bare WHIP or WHEP client sends: offers, fragments, and its HTTP requests, whose answers are texts as often as JSON.
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { Socket, http, newUser } from './client.mjs';

export const SDP = 'application/sdp';
export const FRAG = 'application/trickle-ice-sdpfrag';

export const credentials = () => ({ ufrag: randomBytes(4).toString('hex'), pwd: randomBytes(12).toString('hex') });

/** An offer as an encoder makes it; `direction` sendonly (WHIP) or recvonly (WHEP). */
export function offer({ direction = 'sendonly', kinds = ['audio', 'video'], ice = credentials() } = {}) {
    const lines = ['v=0', 'o=- 1 1 IN IP4 127.0.0.1', 's=-', 't=0 0', `a=group:BUNDLE ${kinds.map((_, i) => i).join(' ')}`];
    kinds.forEach((kind, mid) => {
        const codec = kind === 'audio' ? [111, 'opus/48000/2'] : [96, 'VP8/90000'];
        lines.push(
            `m=${kind} 9 UDP/TLS/RTP/SAVPF ${codec[0]}`, 'c=IN IP4 0.0.0.0', `a=mid:${mid}`, `a=${direction}`, 'a=rtcp-mux', 'a=setup:actpass',
            `a=ice-ufrag:${ice.ufrag}`, `a=ice-pwd:${ice.pwd}`, `a=rtpmap:${codec[0]} ${codec[1]}`,
            `a=fingerprint:sha-256 ${Array.from({ length: 32 }, (_, i) => (i + 16).toString(16).toUpperCase()).join(':')}`,
        );
        if (direction === 'sendonly') lines.push('a=msid:s t', `a=ssrc:${1000 + mid} cname:c`);
    });
    return [...lines, ''].join('\r\n');
}

/** A fragment: credentials, candidates of the first m-line. */
export const fragment = ({ ufrag, pwd } = {}, candidates = []) =>
    [
        ...(ufrag ? [`a=ice-ufrag:${ufrag}`, `a=ice-pwd:${pwd}`] : []),
        ...(candidates.length > 0 ? ['m=audio 9 RTP/AVP 0', 'a=mid:0', ...candidates.map((c) => `a=candidate:${c}`), 'a=end-of-candidates'] : []),
        '',
    ].join('\r\n');
export const CANDIDATE = '1387637174 1 udp 2122260223 192.0.2.1 61764 typ host generation 0';

/** POST of an offer; `path` ends in whip or whep. */
export const post = (stack, path, { token, body = offer({ direction: path.endsWith('whep') ? 'recvonly' : 'sendonly' }), type = SDP, headers = {} } = {}) =>
    http(stack, 'POST', path, { token, body, headers: { 'content-type': type, ...headers } });

export const patch = (stack, path, { token, body, type = FRAG, match } = {}) =>
    http(stack, 'PATCH', path, { token, body, headers: { 'content-type': type, ...(match ? { 'if-match': match } : {}) } });

/** {rel, uri, username…} of each Link header. */
export const links = (answer) =>
    (answer.headers.get('link') ?? '').split(/,\s*(?=<)/).filter(Boolean).map((text) => ({
        uri: /^<([^>]*)>/.exec(text)?.[1],
        ...Object.fromEntries([...text.matchAll(/;\s*([a-z-]+)="([^"]*)"/g)].map((m) => [m[1], m[2]])),
    }));

/** A group call on the SFU that a host started over his socket, and `n` others who may come in, with the URLs that they do it by. */
export async function stage(stack, n) {
    const [host, ...others] = await Promise.all(Array.from({ length: n + 1 }, () => newUser(stack)));
    host.socket = await Socket.open(stack, host.token);
    const ask = async (type, data) => {
        const reply = await host.socket.request(type, data);
        assert.equal(reply.ok, true, `${type}: ${JSON.stringify(reply)}`);
        return reply.data;
    };
    const group = { type: 'group', name: 'studio', memberIds: others.map((o) => o.userId) };
    const made = await http(stack, 'POST', '/v1/conversations', { token: host.token, body: group });
    assert.equal(made.status, 201, JSON.stringify(made.body));
    const { callId } = await ask('call_start', { conversationId: made.body.id, media: 'video' });
    const url = (kind) => `${stack.url}/v1/calls/${callId}/${kind}`;
    return {
        callId,
        host,
        others,
        whip: url('whip'),
        whep: url('whep'),
        /** A request over the host's socket; its reply's data. */
        ask,
        left: (who) => host.socket.event('participant_left', (d) => d.participant.userId === who.userId),
        async end() {
            await ask('hang_up', { callId });
            await host.socket.close();
        },
    };
}

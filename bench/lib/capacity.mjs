// The tables of docs/capacity.md: what a user-minute of each feature costs, how it grows, what a core carries, and what a
// million users would take. Everything is computed from the newest run; what is assumed is a constant here and is shown
// with its name. An input that the run doesn't have (not valid, not measured yet) leaves a dash, never a guess.
import { markdownTable, number, quantity } from './table.mjs';

/** How full a core may be planned: above it, queues grow faster than load. */
const FULL = 0.7;
/** What the load client's sender sends, headers included: 1.5 Mbit/s of video and Opus. */
const STREAM_MBIT = 1.6;
/** Sockets that a process holds (its descriptors). */
const SOCKETS_A_PROCESS = 19_000;

/** What a million users are thought to do; change it here, and the table follows. */
export const ASSUMED = {
    users: [1_000_000, 'users connected at once'],
    in_call: [0.05, 'share of them in a call at the busiest moment'],
    by_sfu: [0.25, 'share of those whose call goes through the SFU (groups of 8, everybody sees everybody)'],
    by_turn: [0.15, 'share of those whose call is relayed by TURN; the rest is peer to peer and costs no media'],
    calls_an_hour: [0.5, 'calls that a user starts an hour at the busiest time'],
    reconnects_an_hour: [2, 'times that a user comes back an hour (networks change, phones sleep)'],
    logins_a_day: [0.1, 'logins of a user a day'],
    back_in_s: [300, 'seconds in which all are back after everything was away'],
};
const assumed = (key) => ASSUMED[key][0];

/** A figure of ours at the headline (or a variant) of a scenario that counts; null otherwise. */
function figure(run, scenario, key, variant = null) {
    const r = run.results.find((each) => each.scenario === scenario);
    if (!r?.valid || r.waits_for) return null;
    const part = variant ? r.variants?.find((v) => v.key === variant)?.contenders.ours : r.contenders.ours;
    const value = part?.valid ? (part.figures[key] ?? part[key]) : null;
    return Number.isFinite(value) ? value : null;
}
const param = (run, scenario, key) => run.results.find((r) => r.scenario === scenario)?.params[key] ?? null;
/** f of the inputs, or null when one is missing. */
const of = (inputs, f) => (inputs.every((v) => v !== null && Number.isFinite(v)) ? f(...inputs) : null);

/** All that the tables are computed from, each with where it comes from. */
export function inputsOf(run) {
    const per = (scenario, count) => of([figure(run, scenario, 'throughput'), count], (all, n) => all / n);
    const people = of([param(run, 'sfu-meeting', 'people'), param(run, 'sfu-meeting', 'rooms')], (a, b) => a * b);
    return {
        packet_ns: { value: figure(run, 'sfu-broadcast', 'cpu_ns_per_packet'), unit: 'ns', from: 'sfu-broadcast', what: 'server CPU a forwarded packet' },
        stream_pps: { value: per('sfu-broadcast', param(run, 'sfu-broadcast', 'subscribers')), unit: '1/s', from: 'sfu-broadcast', what: 'packets a second of one sender to one subscriber' },
        meeting_ns: { value: figure(run, 'sfu-meeting', 'cpu_ns_per_packet'), unit: 'ns', from: 'sfu-meeting', what: 'server CPU a forwarded packet in meetings of 8' },
        meeting_pps: { value: per('sfu-meeting', people), unit: '1/s', from: 'sfu-meeting', what: 'packets a second forwarded to one person in a meeting of 8' },
        relay_ns: { value: figure(run, 'turn-relay', 'cpu_ns_per_packet'), unit: 'ns', from: 'turn-relay', what: 'CPU of coturn a relayed packet' },
        relay_pps: { value: of([figure(run, 'turn-relay', 'cpu_ns_per_packet'), param(run, 'turn-relay', 'packets_per_s')], (_, n) => n), unit: '1/s', from: 'turn-relay', what: 'packets a second of one sender' },
        socket_us: { value: figure(run, 'ws-idle', 'cpu_us_per_socket_minute'), unit: 'µs', from: 'ws-idle', what: 'CPU a socket and minute, heartbeats included' },
        socket_bytes: { value: figure(run, 'ws-idle', 'memory_per_socket_bytes'), unit: 'bytes', from: 'ws-idle', what: 'memory of the server a socket' },
        call_us: { value: figure(run, 'call-churn', 'cpu_us_per_call'), unit: 'µs', from: 'call-churn', what: 'CPU of signald and PostgreSQL a call' },
        reconnect_us: { value: figure(run, 'ws-storm', 'cpu_us_per_reconnect'), unit: 'µs', from: 'ws-storm', what: 'CPU of signald and PostgreSQL a reconnect' },
        login_us: { value: of([figure(run, 'login', 'cpu_ms_per_login')], (ms) => ms * 1000), unit: 'µs', from: 'login', what: 'CPU of signald and PostgreSQL a login (bcrypt, on purpose)' },
    };
}

function inputsTable(inputs) {
    const rows = Object.entries(inputs).map(([key, i]) => [`\`${key}\``, i.what, quantity(i.value, i.unit), i.from]);
    return markdownTable(['input', 'is', 'measured', 'scenario'], rows, { right: [2] }).join('\n');
}

/** Features with a cost that grows with minutes: µs of CPU a user-minute, and its formula. */
function minutes(v) {
    return [
        ['sees and hears one sender through the SFU', of([v.stream_pps, v.packet_ns], (p, ns) => (p * 60 * ns) / 1000), '`stream_pps` × 60 × `packet_ns`'],
        ['is in a meeting of 8 on the SFU', of([v.meeting_pps, v.meeting_ns], (p, ns) => (p * 60 * ns) / 1000), '`meeting_pps` × 60 × `meeting_ns`'],
        ['is in a call of two, relayed once', of([v.relay_pps, v.relay_ns], (p, ns) => (p * 60 * ns) / 1000), '`relay_pps` × 60 × `relay_ns`'],
        ['is in a call of two, peer to peer', of([v.socket_us], (us) => us), '`socket_us`: media costs no server'],
        ['stands by with an open socket', v.socket_us, '`socket_us`'],
    ];
}

function costsTable(v) {
    const rows = minutes(v).map(([what, us, formula]) => [what, quantity(us, 'us'), number(of([us], (x) => (60e6 * FULL) / x)), formula]);
    const head = ['a user who', 'CPU a minute', `such users a core carries (at ${FULL * 100} %)`, 'formula'];
    const events = [['starts a call', v.call_us, '`call_us`'], ['comes back after a lost network', v.reconnect_us, '`reconnect_us`'], ['signs in', v.login_us, '`login_us`']];
    const once = events.map(([what, us, formula]) => [what, quantity(us, 'us'), number(of([us], (x) => (1e6 * FULL) / x)), formula]);
    return [
        ...markdownTable(head, rows, { right: [1, 2] }), '',
        ...markdownTable(['a user who', 'CPU each time', `such a second a core carries (at ${FULL * 100} %)`, 'formula'], once, { right: [1, 2] }), '',
        'Messages (issue 6) and media (issue 7) are not built yet and have no cost here.',
    ].join('\n');
}

/** Cost over subscribers and rooms, from sfu-scale. */
function growthTable(run) {
    const r = run.results.find((each) => each.scenario === 'sfu-scale');
    if (!r?.variants || !r.valid) return 'No valid run of sfu-scale is kept yet.';
    const rows = r.variants.map(({ params, contenders: { ours } }) => {
        const ns = ours?.valid ? ours.figures.cpu_ns_per_packet : null;
        return [number(params.rooms), number(params.subscribers), quantity(ns, 'ns'), number(of([ns], (x) => (1e9 * FULL) / x)), of([ns], (x) => `${number((((1e9 * FULL) / x / (inputsOf(run).stream_pps.value ?? NaN)) * STREAM_MBIT) / 1000)} Gbit/s`) ?? '–'];
    });
    return markdownTable(['rooms', 'subscribers in each', 'CPU a forwarded packet', `packets/s a core (at ${FULL * 100} %)`, 'which is'], rows, { right: [0, 1, 2, 3, 4] }).join('\n');
}

/** What a core, a process and a gigabyte carry, and so what is full first. */
function nodeTable(v) {
    const streams = of([v.stream_pps, v.packet_ns], (p, ns) => (1e9 * FULL) / (p * ns));
    const rows = [
        ['streams that a core forwards', number(streams), `1 s × ${FULL} ÷ (\`stream_pps\` × \`packet_ns\`)`],
        ['network that they fill', streams === null ? '–' : `${number((streams * STREAM_MBIT) / 1000)} Gbit/s out`, `streams × ${STREAM_MBIT} Mbit/s`],
        ['cores that fill a card of 10 Gbit/s', number(of([streams], (n) => 10_000 / (n * STREAM_MBIT))), '10 Gbit/s ÷ the above'],
        ['sockets in a gibibyte', number(of([v.socket_bytes], (b) => 2 ** 30 / b)), '1 GiB ÷ `socket_bytes` (the kernel\'s own memory comes on top)'],
        ['sockets that a core keeps alive', number(of([v.socket_us], (us) => (60e6 * FULL) / us)), `60 s × ${FULL} ÷ \`socket_us\``],
        ['sockets of a process', number(SOCKETS_A_PROCESS), 'its descriptors, as measured'],
    ];
    return markdownTable(['one node', 'carries', 'formula'], rows, { right: [1] }).join('\n');
}

const assumptionsTable = () => markdownTable(['assumed', 'value', 'is'], Object.entries(ASSUMED).map(([key, [value, what]]) => [`\`${key}\``, value < 1 ? String(value) : number(value), what]), { right: [1] }).join('\n');

/** Cores, memory and network for the assumed million. */
function millionTable(v) {
    const users = assumed('users');
    const calling = users * assumed('in_call');
    const sfu = calling * assumed('by_sfu');
    const turn = calling * assumed('by_turn');
    const cores = (inputs, us_a_second) => { const n = of(inputs, us_a_second); return n === null ? '–' : number(Math.max(0.01, n / 1e6 / FULL)); };
    const rows = [
        ['sockets standing by', cores([v.socket_us], (us) => (users * us) / 60), of([v.socket_bytes], (b) => quantity(users * b, 'bytes')) ?? '–', `${Math.ceil(users / SOCKETS_A_PROCESS)} processes`, '`users` × `socket_us` ÷ 60; `users` × `socket_bytes`'],
        ['calls started', cores([v.call_us], (us) => (users * assumed('calls_an_hour') * us) / 3600), '', '', '`users` × `calls_an_hour` × `call_us` ÷ 3600'],
        ['reconnects of every day', cores([v.reconnect_us], (us) => (users * assumed('reconnects_an_hour') * us) / 3600), '', '', '`users` × `reconnects_an_hour` × `reconnect_us` ÷ 3600'],
        ['everyone back after an outage', cores([v.reconnect_us], (us) => (users * us) / assumed('back_in_s')), '', 'for that time only', '`users` × `reconnect_us` ÷ `back_in_s`'],
        ['logins', cores([v.login_us], (us) => (users * assumed('logins_a_day') * us) / 86_400), '', '', '`users` × `logins_a_day` × `login_us` ÷ 86 400'],
        [`meetings on SFUs, ${number(sfu)} users`, cores([v.meeting_pps, v.meeting_ns], (p, ns) => (sfu * p * ns) / 1000), '', of([v.meeting_pps, v.stream_pps], (p, s) => `${number((sfu * (p / s) * STREAM_MBIT) / 1000)} Gbit/s out`) ?? '', '`users` × `in_call` × `by_sfu` × `meeting_pps` × `meeting_ns`'],
        [`calls through TURN, ${number(turn)} users`, cores([v.relay_pps, v.relay_ns], (p, ns) => (turn * p * ns) / 1000), '', `${number((turn * STREAM_MBIT) / 1000)} Gbit/s in and out`, '`users` × `in_call` × `by_turn` × `relay_pps` × `relay_ns`'],
    ];
    return markdownTable(['part', `cores (at ${FULL * 100} %)`, 'memory', 'besides', 'formula'], rows, { right: [1, 2] }).join('\n');
}

/** Markdown a block of docs/capacity.md. */
export function capacityBlocks(run) {
    const inputs = inputsOf(run);
    const v = Object.fromEntries(Object.entries(inputs).map(([key, i]) => [key, i.value]));
    const stamp = `Computed from the run of ${run.started.slice(0, 10)} at ${run.commit} (${run.host.cores} cores of ${run.host.cpu}).`;
    return { inputs: `${stamp}\n\n${inputsTable(inputs)}`, costs: costsTable(v), growth: growthTable(run), node: nodeTable(v), assumptions: assumptionsTable(), million: millionTable(v) };
}

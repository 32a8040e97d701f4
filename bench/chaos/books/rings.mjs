// The book of rings: each device rings once for a call, and never for one that is over.

/** How far a client's clock of a socket's begin may be behind the server's send. */
const SLACK_MS = 2000;

/**
 * `calls`: the ledger's; `rows`: [{ id, startedAt, endedAt }]; `expected`: [{ callId, deviceId }] as PostgreSQL says whom
 * it rang; `devices`: all; `windows`.
 */
export function ringBook({ calls, rows, expected, devices, windows }) {
    const faults = [];
    const records = new Map(rows.map((r) => [r.id, r]));
    let total = 0;
    let again = 0;
    for (const call of calls.values()) {
        const seen = new Map();
        for (const ring of call.rings) {
            const key = `${ring.device.label} #${ring.socket}`;
            const before = [...seen.keys()].some((k) => k.startsWith(`${ring.device.label} #`));
            if (seen.has(key)) faults.push(`${call.callId} rang twice at ${key}`);
            if (before && !seen.has(key)) again++;
            else total++;
            seen.set(key, ring);
            if (ring.ended) faults.push(`${call.callId} rang at ${ring.device.label} after it was told its end`);
            const endedAt = records.get(call.callId)?.endedAt;
            if (endedAt && ring.openedAt > endedAt + SLACK_MS) faults.push(`${call.callId} rang on a socket of ${ring.device.label} that was opened after its end`);
        }
    }
    const byId = new Map(devices.map((d) => [d.deviceId, d]));
    let silent = 0;
    for (const { callId, deviceId } of expected) {
        const [row, device, call] = [records.get(callId), byId.get(deviceId), calls.get(callId)];
        if (!row || !device || call?.rings.some((r) => r.device === device)) continue;
        const there = device.steady(row.startedAt - 500, row.endedAt ?? Date.now());
        if (there && !windows.struck(row.startedAt - SLACK_MS, row.endedAt + SLACK_MS, windows.of(call?.touched))) faults.push(`${callId} never rang at ${device.label}, which was there all the time`);
        else silent++;
    }
    return {
        name: 'rings',
        ok: faults.length === 0,
        text: `${total} rings, each once a device; ${again} sent again after a reconnect while it rang; ${silent} devices were away`,
        faults,
    };
}

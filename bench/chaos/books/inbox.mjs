// The book of durable events: the inbox in PostgreSQL against what each device took, cursor by cursor.

/**
 * `devices`: [{ label, deviceId, person: { userId }, log, faults }]; `gone`: those that signed out during the soak, whose
 * log may stop early; `rows`: Map userId → [{ cursor, deviceId|null, type, callId|null }] in order.
 */
export function inboxBook({ devices, gone, rows }) {
    const faults = [];
    let events = 0;
    for (const [list, whole] of [[devices, true], [gone, false]]) {
        for (const device of list) {
            if (!device.deviceId) continue;
            faults.push(...device.faults.map((f) => `${device.label}: ${f.what}`));
            const theirs = (rows.get(device.person.userId) ?? []).filter((r) => r.deviceId === null || r.deviceId === device.deviceId);
            faults.push(...compare(device, theirs, whole));
            events += device.log.length;
        }
    }
    const text = `${events} durable events, each once and in order on ${devices.length} devices and ${gone.length} that signed out`;
    return { name: 'durable events', ok: faults.length === 0, text, faults };
}

function compare(device, rows, whole) {
    const faults = [];
    const got = new Map();
    let last = 0;
    for (const event of device.log) {
        if (event.cursor <= last) faults.push(`${device.label}: cursor ${event.cursor} came after ${last}`);
        last = event.cursor;
        got.set(event.cursor, event);
    }
    for (const row of rows) {
        const event = got.get(row.cursor);
        got.delete(row.cursor);
        if (!event && (whole || row.cursor < last)) faults.push(`${device.label}: lost ${row.type} at cursor ${row.cursor}${row.callId ? ` of ${row.callId}` : ''}`);
        else if (event && (event.type !== row.type || (row.callId && event.callId !== row.callId))) faults.push(`${device.label}: cursor ${row.cursor} came as ${event.type}, and is ${row.type}`);
    }
    for (const event of got.values()) faults.push(`${device.label}: got ${event.type} at cursor ${event.cursor}, which is not in its inbox`);
    return faults;
}

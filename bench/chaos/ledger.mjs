// What the clients saw and did, call by call: one side of the books. The other is PostgreSQL and the servers' own counts.

export class Ledger {
    /** callId → what is known of it. */
    calls = new Map();
    /** Things that workloads found wrong with nothing the matter: {at, workload, what}. */
    surprises = [];
    /** What workloads could not finish while something was broken: {at, workload, what}. */
    disturbed = [];
    /** What clients did about trouble ("relogin"): {at, kind, text}. */
    notes = [];

    /** The entry of a call; made at the first mention. */
    call(callId) {
        let call = this.calls.get(callId);
        if (!call) {
            call = { callId, workload: null, plan: null, group: false, firstAt: Date.now(), lastAt: Date.now(), callerId: null, steps: [], rings: [], ends: [] };
            this.calls.set(callId, call);
        }
        call.lastAt = Date.now();
        return call;
    }

    /** A frame that a device got. `socket` is the device's record of its socket; null when it came by GET /v1/sync. */
    heard(device, { type, data, cursor }, socket) {
        if (type === 'incoming_call') {
            const call = this.call(data.callId);
            call.group ||= data.group === true;
            call.callerId ??= data.from?.userId;
            call.rings.push({ device, socket: socket.n, openedAt: socket.openedAt, at: Date.now(), ended: call.ends.some((e) => e.device === device) });
        } else if (type === 'call_ended') {
            this.call(data.callId).ends.push({ device, reason: data.reason, cursor, at: Date.now() });
        } else if (data?.callId && type !== 'conversation_updated') {
            this.call(data.callId);
        }
    }

    /**
     * What somebody did in a call. `ok`: true, false (refused) or null: the answer was lost, so that it may have been done.
     * `what`: start, accept, decline, cancel, hang_up, join.
     */
    step(callId, what, device, ok, code = null) {
        const call = this.call(callId);
        call.steps.push({ what, userId: device.person.userId, device: device.label, ok, code, at: Date.now() });
        return call;
    }

    endedFor(callId, person) {
        return this.calls.get(callId)?.ends.find((e) => e.device.person === person);
    }

    get live() {
        const now = Date.now();
        return [...this.calls.values()].filter((c) => c.ends.length === 0 && now - c.firstAt < 300_000).length;
    }
}

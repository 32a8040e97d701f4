import { Call } from "./call";
import type { CallContext, CallTarget } from "./call_types";
import { Emitter } from "./emitter";
import type { Socket } from "./socket";
import type { TabChannel } from "./tabs";
import type { CallRecord, Media, ServerEvents } from "./types";

export interface CallsEvents {
  /** Another call became the current one, or none is (null). */
  current: Call | null;
  incoming: Call;
  /** It stopped ringing here because this user decided on another of his devices. */
  handledElsewhere: { call: Call; outcome: "accepted" | "declined" };
  /** The server says that this device is in a call that this page doesn't know: it was reloaded.
   *  null: that call is over, or this page is in it. */
  orphan: { callId: string | null };
}

export interface CallsOptions {
  socket: Socket;
  tabs: TabChannel;
  context: CallContext;
  lookUp: (callId: string) => Promise<CallRecord>;
}

type Routed =
  | "call_ringing"
  | "call_accepted"
  | "call_description"
  | "ice_candidate"
  | "call_fallback"
  | "call_ended"
  | "call_handled_elsewhere"
  | "sfu_slots"
  | "active_speakers"
  | "call_stats"
  | "participant_joined"
  | "participant_left"
  | "participant_updated";

const ROUTED: Routed[] = [
  "call_ringing",
  "call_accepted",
  "call_description",
  "ice_candidate",
  "call_fallback",
  "call_ended",
  "call_handled_elsewhere",
  "sfu_slots",
  "active_speakers",
  "call_stats",
  "participant_joined",
  "participant_left",
  "participant_updated",
];

/** The calls of this page: the one a person is in, and those that ring besides. */
export class Calls extends Emitter<CallsEvents> {
  current: Call | null = null;
  readonly ringing: Call[] = [];
  private readonly options: CallsOptions;
  /** Events that came before the answer to our own call_start gave the call its id. */
  private held: (() => void)[] = [];
  private orphan: string | null = null;
  private orphanRecord: CallRecord | null = null;
  /** Ended calls: an incoming_call that comes late for one of them stays silent. */
  private readonly tombstones = new Set<string>();

  constructor(options: CallsOptions) {
    super();
    this.options = options;
    const { socket, tabs } = options;
    socket.on("incoming_call", (event) => {
      this.onIncoming(event);
    });
    for (const type of ROUTED) {
      socket.on(type, (event) => {
        this.route(type, event);
      });
    }
    socket.on("resumed", (event) => {
      this.onResumed(event);
    });
    tabs.listen((message) => {
      const call = this.ringing.find((item) => item.callId === message.callId);
      if (call) this.dismiss(call, "accepted");
    });
  }

  /** Calls somebody. The call is there at once; what comes of it shows in its state. */
  start(target: CallTarget, media: Media, mode: "auto" | "p2p" | "sfu" = "auto"): Call {
    if (this.current?.live) return this.current;
    if (this.orphan !== null) {
      if (this.isOrphan(target)) return this.join(this.orphan, media === "video");
      this.leaveOrphan(); // One call at a time: who calls somebody else has left it.
    }
    const call = new Call(this.options.context, "outgoing", media);
    this.adopt(call);
    void call.start(target, mode).finally(() => {
      for (const work of this.held.splice(0)) work();
    });
    return call;
  }

  async accept(call: Call, media: Media): Promise<void> {
    if (this.current?.live && this.current !== call) this.current.hangUp();
    this.options.tabs.post({ type: "call_taken", callId: call.callId });
    const stopped = call.on("state", ({ state }) => {
      // No microphone: it rings on, and may be taken on another device.
      if (state === "incoming") {
        if (!this.ringing.includes(call)) this.ringing.push(call);
        if (this.current === call) this.setCurrent(null);
      }
    });
    this.unring(call);
    this.adopt(call);
    await call.accept(media);
    stopped();
  }

  decline(call: Call): void {
    this.unring(call);
    this.tombstones.add(call.callId);
    call.decline();
  }

  /** Goes (back) into a call that runs. */
  join(callId: string, withVideo: boolean): Call {
    const call = new Call(this.options.context, "outgoing", withVideo ? "video" : "audio");
    if (this.orphan === callId) {
      const others = this.orphanOthers();
      if (others.length === 1 && others[0]) call.target = { userId: others[0] };
      this.setOrphan(null);
    }
    this.adopt(call);
    void call.join(callId, withVideo);
    return call;
  }

  /** Leaves the call that this device is in since before the page was loaded. */
  leaveOrphan(): void {
    const callId = this.orphan;
    if (callId === null) return;
    this.tombstones.add(callId);
    this.setOrphan(null);
    this.options.socket.request("hang_up", { callId }, { offline: "resend" }).catch(() => {
      // Over already.
    });
  }

  /** Takes an ended call off the screen. */
  dismissEnded(call: Call): void {
    if (this.current === call && !call.live) this.setCurrent(null);
  }

  endAll(): void {
    for (const call of this.ringing.splice(0)) call.onEnded("closed");
    this.current?.hangUp();
  }

  private adopt(call: Call): void {
    call.on("ended", () => {
      if (call.callId) this.tombstones.add(call.callId);
    });
    this.setCurrent(call);
  }

  private setCurrent(call: Call | null): void {
    this.current = call;
    this.emit("current", call);
  }

  private onIncoming(event: ServerEvents["incoming_call"]): void {
    // Two who call each other at once: our call_start, still unanswered, will join this call.
    if (this.current?.live && this.current.state === "outgoing" && this.current.callId === "") {
      this.held.push(() => {
        this.onIncoming(event);
      });
      return;
    }
    if (this.tombstones.has(event.callId) || this.find(event.callId)) return;
    const call = new Call(this.options.context, "incoming", event.media);
    call.offered(event);
    this.ringing.push(call);
    call.on("ended", () => {
      this.unring(call);
      this.tombstones.add(call.callId);
    });
    this.options.socket
      .request("call_ringing", { callId: call.callId }, { offline: "fail" })
      .catch(() => {
        // The caller sees "calling" a little longer.
      });
    this.emit("incoming", call);
  }

  private route<T extends Routed>(type: T, event: ServerEvents[T]): void {
    const call = this.find(event.callId);
    if (!call) {
      if (type === "call_ended") {
        this.tombstones.add(event.callId);
        if (this.orphan === event.callId) this.setOrphan(null);
      }
      if (this.current?.live && this.current.callId === "") {
        this.held.push(() => {
          if (this.find(event.callId)) this.route(type, event);
        });
      }
      return;
    }
    const handlers: { [K in Routed]: (call: Call, event: ServerEvents[K]) => void } = {
      call_ringing: (item) => {
        item.onRinging();
      },
      call_accepted: (item, data) => {
        item.onAccepted(data);
      },
      call_description: (item, data) => {
        item.onDescription(data);
      },
      ice_candidate: (item, data) => {
        item.onCandidate(data);
      },
      call_fallback: (item, data) => {
        item.onFallback(data);
      },
      call_ended: (item, data) => {
        item.onEnded(data.reason);
      },
      call_handled_elsewhere: (item, data) => {
        this.dismiss(item, data.outcome);
      },
      sfu_slots: (item, data) => {
        item.onSlots(data);
      },
      active_speakers: (item, data) => {
        item.onSpeakers(data);
      },
      call_stats: (item, data) => {
        item.onServerStats(data);
      },
      participant_joined: (item, data) => {
        item.onParticipant("joined", data.participant);
      },
      participant_left: (item, data) => {
        item.onParticipant("left", data.participant);
      },
      participant_updated: (item, data) => {
        item.onParticipant("updated", data.participant);
      },
    };
    handlers[type](call, event);
  }

  private dismiss(call: Call, outcome: "accepted" | "declined"): void {
    // Our own accept can lose the race while it is on its way; once answered it is ours.
    if (call.answeredAt !== null || call.direction === "outgoing") return;
    this.tombstones.add(call.callId);
    this.unring(call);
    call.onEnded("handled_elsewhere");
    if (this.current === call) this.setCurrent(null);
    this.emit("handledElsewhere", { call, outcome });
  }

  private unring(call: Call): void {
    const at = this.ringing.indexOf(call);
    if (at >= 0) this.ringing.splice(at, 1);
  }

  private find(callId: string): Call | undefined {
    if (this.current?.callId === callId) return this.current;
    return this.ringing.find((call) => call.callId === callId);
  }

  private onResumed(event: ServerEvents["connected"]): void {
    const listed = new Set((event.calls ?? []).map((item) => item.callId));
    const known = [...this.ringing];
    if (this.current?.live) known.push(this.current);
    for (const call of known) {
      void call.onResumed(listed.has(call.callId), () => this.options.lookUp(call.callId));
    }
    const orphan = (event.calls ?? []).find(
      (item) =>
        item.status === "active" && !this.find(item.callId) && !this.tombstones.has(item.callId),
    );
    this.setOrphan(orphan?.callId ?? null);
  }

  private setOrphan(callId: string | null): void {
    if (this.orphan === callId) return;
    this.orphan = callId;
    this.orphanRecord = null;
    this.emit("orphan", { callId });
    if (callId === null) return;
    this.options
      .lookUp(callId)
      .then((record) => {
        if (this.orphan !== callId) return;
        if (record.status === "ended") this.setOrphan(null);
        else this.orphanRecord = record;
      })
      .catch(() => {
        // Whose call it is stays unknown; it can be returned to or left all the same.
      });
  }

  private orphanOthers(): string[] {
    return (this.orphanRecord?.participants ?? [])
      .map((participant) => participant.userId)
      .filter((userId) => userId !== this.options.context.userId);
  }

  /** Whether who is called now is who that call is with. */
  private isOrphan(target: CallTarget): boolean {
    const { orphanRecord: record } = this;
    if (!record) return false;
    if (target.conversationId) return target.conversationId === record.conversationId;
    const others = this.orphanOthers();
    return others.length === 1 && others[0] === target.userId;
  }
}

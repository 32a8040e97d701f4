import type { WireParticipant } from "./types";

/** Somebody else in the call, as a screen shows him. `stream` is the same object for the whole
 *  call; the tracks in it change. */
export interface Participant {
  userId: string;
  participantId: string;
  username: string;
  displayName: string;
  number: number | null;
  /** His microphone and camera, as he says. */
  audio: boolean;
  video: boolean;
  /** In the call, not only invited. */
  joined: boolean;
  state: string;
  speaking: boolean;
  level: number;
  /** His frames are encrypted with a key that isn't known here. */
  unreadable: boolean;
  stream: MediaStream;
}

const GONE = new Set(["left", "failed", "declined", "missed", "busy", "unreachable", "removed", "cancelled"]);
const INVITED = new Set(["invited", "ringing", "pushed", "calling"]);

/** The people of one call, this user left out. */
export class Roster {
  private readonly people = new Map<string, Participant>();

  constructor(
    private readonly me: string,
    private readonly makeStream: () => MediaStream = () => new MediaStream(),
  ) {}

  others(): Participant[] {
    return [...this.people.values()];
  }

  byUser(userId: string): Participant | undefined {
    return this.people.get(userId);
  }

  /** Adds or updates. Somebody who left is taken out, whatever the event was called. */
  add(wire: WireParticipant): void {
    if (!wire.userId || wire.userId === this.me) return;
    if (wire.state && GONE.has(wire.state)) {
      this.left(wire);
      return;
    }
    let person = this.people.get(wire.userId);
    if (!person) {
      person = {
        userId: wire.userId,
        participantId: wire.participantId,
        username: wire.username ?? "",
        displayName: wire.displayName ?? wire.username ?? "",
        number: wire.number ?? null,
        audio: true,
        video: false,
        joined: false,
        state: "invited",
        speaking: false,
        level: 0,
        unreadable: false,
        stream: this.makeStream(),
      };
      this.people.set(wire.userId, person);
    }
    if (wire.participantId) person.participantId = wire.participantId;
    if (wire.username) person.username = wire.username;
    const shown = wire.displayName ?? wire.username;
    if (shown) person.displayName = shown;
    if (typeof wire.number === "number") person.number = wire.number;
    if (typeof wire.audio === "boolean") person.audio = wire.audio;
    if (typeof wire.video === "boolean") person.video = wire.video;
    if (wire.state) {
      person.state = wire.state;
      person.joined = !INVITED.has(wire.state);
    }
  }

  markJoined(userId: string): void {
    const person = this.people.get(userId);
    if (!person) this.add({ participantId: "", userId, state: "joined" });
    else {
      person.joined = true;
      person.state = "joined";
    }
  }

  left(wire: WireParticipant): void {
    this.people.delete(wire.userId);
  }

  speaking(speakers: { participantId: string; level: number }[]): void {
    for (const person of this.people.values()) {
      const found = speakers.find((item) => item.participantId === person.participantId);
      person.speaking = found !== undefined;
      person.level = found?.level ?? 0;
    }
  }
}

import type { CallPath } from "./types";

export type Quality = "good" | "fair" | "weak" | "unknown";

/** One look at the call's media. Rates are of the time since the look before. */
export interface CallStats {
  path: CallPath;
  quality: Quality;
  rttMs?: number;
  /** Of what should have arrived here. */
  lossPercent?: number;
  jitterMs?: number;
  sendKbps?: number;
  receiveKbps?: number;
  /** Freezes since the look before, of an average picture. */
  freezes: number;
  frameWidth?: number;
  frameHeight?: number;
  framesPerSecond?: number;
}

export interface TrackStats {
  framesDecoded: number;
  /** totalAudioEnergy of what was received: grows while there is sound. */
  audioEnergy: number;
}

/** The members of RTCStats records that are read here. */
interface StatsRecord {
  id: string;
  type: string;
  kind?: string;
  selectedCandidatePairId?: string;
  state?: string;
  nominated?: boolean;
  selected?: boolean;
  localCandidateId?: string;
  remoteCandidateId?: string;
  candidateType?: string;
  currentRoundTripTime?: number;
  bytesSent?: number;
  bytesReceived?: number;
  packetsLost?: number;
  packetsReceived?: number;
  jitter?: number;
  freezeCount?: number;
  frameWidth?: number;
  frameHeight?: number;
  framesPerSecond?: number;
  framesDecoded?: number;
  totalAudioEnergy?: number;
}

export type StatsMap = Map<string, StatsRecord>;

/** A plain map of a report: RTCStatsReport is only map-like in types. */
export function recordsOf(report: RTCStatsReport): StatsMap {
  const map: StatsMap = new Map();
  report.forEach((value: StatsRecord) => {
    map.set(value.id, value);
  });
  return map;
}

function selectedPair(records: StatsMap): StatsRecord | undefined {
  for (const record of records.values()) {
    if (record.type === "transport" && record.selectedCandidatePairId) {
      const pair = records.get(record.selectedCandidatePairId);
      if (pair) return pair;
    }
  }
  for (const record of records.values()) {
    if (record.type !== "candidate-pair") continue;
    if (record.selected ?? (record.nominated && record.state === "succeeded")) return record;
  }
  return undefined;
}

/** Direct or over TURN: relayed as soon as either end of the pair is a relay. */
export function pathOf(records: StatsMap): "p2p" | "turn" {
  const pair = selectedPair(records);
  const ends = [pair?.localCandidateId, pair?.remoteCandidateId];
  const relayed = ends.some((id) => id && records.get(id)?.candidateType === "relay");
  return relayed ? "turn" : "p2p";
}

interface Totals {
  at: number;
  sent: number;
  received: number;
  lost: number;
  packets: number;
  freezes: number;
  pictures: number;
}

/** Turns successive reports of a transport's peer connections into rates and a word. */
export class StatsMeter {
  private last: Totals | null = null;

  /** `reports`: every peer connection of the transport. `fixedPath`: "sfu", else measured. */
  measure(reports: StatsMap[], now: number, fixedPath?: CallPath): CallStats {
    const totals: Totals = { at: now, sent: 0, received: 0, lost: 0, packets: 0, freezes: 0, pictures: 0 };
    const rtts: number[] = [];
    const jitters: number[] = [];
    let frame: StatsRecord | undefined;
    for (const records of reports) {
      const pair = selectedPair(records);
      if (pair?.currentRoundTripTime !== undefined) rtts.push(pair.currentRoundTripTime * 1000);
      totals.sent += pair?.bytesSent ?? 0;
      totals.received += pair?.bytesReceived ?? 0;
      for (const record of records.values()) {
        if (record.type !== "inbound-rtp") continue;
        totals.lost += record.packetsLost ?? 0;
        totals.packets += record.packetsReceived ?? 0;
        totals.freezes += record.freezeCount ?? 0;
        if (record.kind === "video" && record.framesDecoded) totals.pictures += 1;
        if (record.kind === "audio" && record.jitter !== undefined && record.packetsReceived) {
          jitters.push(record.jitter * 1000);
        }
        if ((record.frameHeight ?? 0) > (frame?.frameHeight ?? 0)) frame = record;
      }
    }
    const path = fixedPath ?? pathOf(reports[0] ?? new Map<string, StatsRecord>());
    const stats = this.rates(totals, path);
    if (rtts.length > 0) stats.rttMs = Math.round(Math.max(...rtts));
    if (jitters.length > 0) stats.jitterMs = Math.round(Math.max(...jitters));
    if (frame?.frameWidth) stats.frameWidth = frame.frameWidth;
    if (frame?.frameHeight) stats.frameHeight = frame.frameHeight;
    if (frame?.framesPerSecond) stats.framesPerSecond = Math.round(frame.framesPerSecond);
    stats.quality = qualityOf(stats);
    return stats;
  }

  private rates(totals: Totals, path: CallPath): CallStats {
    const last = this.last;
    this.last = totals;
    const stats: CallStats = { path, quality: "unknown", freezes: 0 };
    // A new peer connection starts its counts again: then there is nothing to compare with.
    if (!last || totals.received < last.received || totals.at <= last.at) return stats;
    const seconds = (totals.at - last.at) / 1000;
    stats.sendKbps = Math.max(0, Math.round(((totals.sent - last.sent) * 8) / 1000 / seconds));
    stats.receiveKbps = Math.round(((totals.received - last.received) * 8) / 1000 / seconds);
    const freezes = Math.max(0, totals.freezes - last.freezes);
    stats.freezes = Math.round((freezes / Math.max(1, totals.pictures)) * 10) / 10;
    const lost = Math.max(0, totals.lost - last.lost);
    const expected = lost + Math.max(0, totals.packets - last.packets);
    if (expected > 0) stats.lossPercent = Math.round((lost / expected) * 1000) / 10;
    return stats;
  }
}

/** What a person would say of it. Opus hides 5 % loss well; past 300 ms people talk over each
 *  other (ITU-T G.114 puts the limit of comfort at 150 ms one way). */
export function qualityOf(stats: Omit<CallStats, "quality">): Quality {
  if (stats.rttMs === undefined && stats.lossPercent === undefined) return "unknown";
  const rtt = stats.rttMs ?? 0;
  const loss = stats.lossPercent ?? 0;
  if (loss > 8 || rtt > 500 || stats.freezes > 1) return "weak";
  if (loss > 2.5 || rtt > 250 || stats.freezes > 0) return "fair";
  return "good";
}

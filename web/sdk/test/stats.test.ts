import { expect, test } from "vitest";
import { StatsMeter, pathOf, qualityOf, type StatsMap } from "../src/stats";

function report(more: Record<string, Record<string, unknown>> = {}): StatsMap {
  const records: Record<string, Record<string, unknown>> = {
    T: { type: "transport", selectedCandidatePairId: "P" },
    P: {
      type: "candidate-pair",
      localCandidateId: "L",
      remoteCandidateId: "R",
      currentRoundTripTime: 0.04,
      bytesSent: 0,
      bytesReceived: 0,
    },
    L: { type: "local-candidate", candidateType: "srflx" },
    R: { type: "remote-candidate", candidateType: "host" },
    ...more,
  };
  return new Map(
    Object.entries(records).map(([id, record]) => [id, { id, ...record }]),
  ) as StatsMap;
}

test("direct, unless either end of the selected pair is a relay", () => {
  expect(pathOf(report())).toBe("p2p");
  expect(pathOf(report({ L: { type: "local-candidate", candidateType: "relay" } }))).toBe("turn");
  expect(pathOf(report({ R: { type: "remote-candidate", candidateType: "relay" } }))).toBe("turn");
});

test("without a transport record the nominated pair counts (Firefox)", () => {
  const records = report({
    T: { type: "transport" },
    P: {
      type: "candidate-pair",
      nominated: true,
      state: "succeeded",
      localCandidateId: "L",
      remoteCandidateId: "R",
    },
    L: { type: "local-candidate", candidateType: "relay" },
  });
  expect(pathOf(records)).toBe("turn");
});

test("rates are of the time between two looks", () => {
  const meter = new StatsMeter();
  const look = (bytes: number, packets: number, lost: number): StatsMap =>
    report({
      P: { type: "candidate-pair", currentRoundTripTime: 0.04, bytesSent: bytes, bytesReceived: bytes },
      I: { type: "inbound-rtp", kind: "video", packetsReceived: packets, packetsLost: lost },
    });
  const first = meter.measure([look(0, 0, 0)], 0);
  expect(first.sendKbps).toBeUndefined();
  const second = meter.measure([look(125_000, 90, 10)], 5000);
  expect(second.sendKbps).toBe(200);
  expect(second.lossPercent).toBe(10);
  expect(second.rttMs).toBe(40);
  expect(second.quality).toBe("weak");
});

test("counts that start again after a new connection give no nonsense", () => {
  const meter = new StatsMeter();
  const look = (bytes: number): StatsMap =>
    report({ P: { type: "candidate-pair", bytesSent: bytes, bytesReceived: bytes } });
  meter.measure([look(9_000_000)], 0, "sfu");
  const after = meter.measure([look(10)], 5000, "sfu");
  expect(after.receiveKbps).toBeUndefined();
  expect(after.path).toBe("sfu");
});

test.each([
  [{ rttMs: 40, lossPercent: 0, freezes: 0 }, "good"],
  [{ rttMs: 300, lossPercent: 0, freezes: 0 }, "fair"],
  [{ rttMs: 40, lossPercent: 4, freezes: 0 }, "fair"],
  [{ rttMs: 40, lossPercent: 12, freezes: 0 }, "weak"],
  [{ rttMs: 700, freezes: 0 }, "weak"],
  [{ freezes: 0 }, "unknown"],
])("quality of %o is %s", (stats, word) => {
  expect(qualityOf({ path: "p2p", ...stats })).toBe(word);
});

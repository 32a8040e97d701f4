import { useState } from "preact/hooks";
import type { Call, CallStats } from "@sotto/sdk";
import { watchCalls } from "../state";
import { t } from "../strings";

/** How the media goes and how well, in words; opened, in numbers. */
export function PathPill({ call }: { call: Call }) {
  watchCalls();
  const [open, setOpen] = useState(false);
  const { path, quality, lastStats, state } = call;
  const broken = state === "reconnecting";
  if (!path && !broken) return null;
  const words = [path ? t().path[path] : "", quality === "unknown" ? "" : t().quality[quality]];
  const text = broken ? t().reconnecting : words.filter(Boolean).join(" · ");
  return (
    <div class="pill-box">
      <button
        type="button"
        class={`pill pill-${broken ? "weak" : quality}`}
        data-testid="call-path"
        data-path={path ?? ""}
        data-quality={quality}
        aria-expanded={open}
        aria-label={`${t().connection}: ${text}`}
        onClick={() => {
          setOpen(!open);
        }}
        onKeyDown={(event) => {
          if (event.key === "Escape") setOpen(false);
        }}
      >
        <span class="pill-bars" aria-hidden="true">
          <i />
          <i />
          <i />
        </span>
        {text}
      </button>
      {open && lastStats && <Numbers stats={lastStats} />}
    </div>
  );
}

function Numbers({ stats }: { stats: CallStats }) {
  const words = t().details;
  const rows: [string, string | null][] = [
    [words.path, t().pathLong[stats.path]],
    [words.rtt, stats.rttMs === undefined ? null : `${stats.rttMs} ms`],
    [words.loss, stats.lossPercent === undefined ? null : `${stats.lossPercent} %`],
    [words.jitter, stats.jitterMs === undefined ? null : `${stats.jitterMs} ms`],
    [words.send, stats.sendKbps === undefined ? null : `${stats.sendKbps} kbit/s`],
    [words.receive, stats.receiveKbps === undefined ? null : `${stats.receiveKbps} kbit/s`],
    [words.picture, pictureOf(stats)],
    [words.freezes, stats.freezes > 0 ? String(stats.freezes) : null],
  ];
  return (
    <dl class="numbers" data-testid="call-numbers">
      {rows
        .filter(([, value]) => value !== null)
        .map(([name, value]) => (
          <div key={name}>
            <dt>{name}</dt>
            <dd>{value}</dd>
          </div>
        ))}
    </dl>
  );
}

function pictureOf(stats: CallStats): string | null {
  if (!stats.frameWidth || !stats.frameHeight) return null;
  const size = `${stats.frameWidth} × ${stats.frameHeight}`;
  return stats.framesPerSecond ? `${size}, ${stats.framesPerSecond}/s` : size;
}

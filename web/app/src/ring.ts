/** Ring tones made on the spot, so that there is no file to load. Browsers keep pages silent until
 *  they were touched; then the card and the vibration have to do. */
type Tone = "incoming" | "outgoing";

const MELODY: Record<Tone, { notes: [number, number][]; gain: number; everyMs: number }> = {
  // [frequency in Hz, start in s]: a soft rising fourth, twice.
  incoming: {
    notes: [
      [587.3, 0],
      [784, 0.16],
      [587.3, 0.5],
      [784, 0.66],
    ],
    gain: 0.16,
    everyMs: 2400,
  },
  outgoing: { notes: [[425, 0]], gain: 0.05, everyMs: 4000 },
};

export class Ringer {
  private context: AudioContext | null = null;
  private timer: ReturnType<typeof setInterval> | undefined;
  private playing: Tone | null = null;

  set(tone: Tone | null): void {
    if (tone === this.playing) return;
    this.stop();
    this.playing = tone;
    if (!tone) return;
    this.once(tone);
    this.timer = setInterval(() => {
      this.once(tone);
    }, MELODY[tone].everyMs);
  }

  private stop(): void {
    clearInterval(this.timer);
    if (this.playing === "incoming") vibrate(0);
    this.playing = null;
    void this.context?.close().catch(() => {});
    this.context = null;
  }

  private once(tone: Tone): void {
    if (tone === "incoming") vibrate([300, 150, 300]);
    try {
      this.context ??= new AudioContext();
      const { notes, gain } = MELODY[tone];
      for (const [frequency, start] of notes) {
        this.note(this.context, frequency, start, tone === "outgoing" ? 0.9 : 0.45, gain);
      }
    } catch {
      // No sound here.
    }
  }

  private note(context: AudioContext, hz: number, start: number, length: number, peak: number) {
    const at = context.currentTime + start;
    const oscillator = context.createOscillator();
    const gain = context.createGain();
    oscillator.type = "sine";
    oscillator.frequency.value = hz;
    gain.gain.setValueAtTime(0, at);
    gain.gain.linearRampToValueAtTime(peak, at + 0.03);
    gain.gain.exponentialRampToValueAtTime(0.0001, at + length);
    oscillator.connect(gain).connect(context.destination);
    oscillator.start(at);
    oscillator.stop(at + length + 0.05);
  }
}

function vibrate(pattern: number | number[]): void {
  try {
    navigator.vibrate?.(pattern);
  } catch {
    // Not on this device, or not before the first touch.
  }
}

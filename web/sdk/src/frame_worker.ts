/** The worker that encrypts and decrypts: frames of the browser go through FramePipes. */
import { FramePipes, type EncodedFrame, type Keyframes, type PipeOptions } from "./frame_pipes";
import type { ToWorker } from "./encryption";

const REPORT_MS = 500;

/** The members of DedicatedWorkerGlobalScope that are used: the project's types are a page's. */
interface Scope {
  onmessage: ((event: { data: ToWorker }) => void) | null;
  onrtctransform: ((event: { transformer: Transformer }) => void) | null;
  postMessage(message: unknown): void;
}

interface Streams {
  readable: ReadableStream<EncodedFrame>;
  writable: WritableStream<EncodedFrame>;
}

type Transformer = Streams & Keyframes & { options: PipeOptions };

const scope = globalThis as unknown as Scope;
const pipes = new FramePipes();
let told = "";

function connect({ readable, writable }: Streams, options: PipeOptions, keyframes: Keyframes): void {
  const work = pipes.pipe(options, keyframes);
  readable
    .pipeThrough(
      new TransformStream<EncodedFrame, EncodedFrame>({
        transform: (frame, controller) =>
          work(frame, (done) => {
            controller.enqueue(done);
          }),
      }),
    )
    .pipeTo(writable)
    .catch(() => {
      // The connection was closed.
    });
}

scope.onrtctransform = ({ transformer }) => {
  connect(transformer, transformer.options, transformer);
};

scope.onmessage = ({ data }) => {
  if (data.type === "key") {
    pipes.setKey(data.keyId, data.key, data.send).then(
      () => {
        scope.postMessage({ type: "done", id: data.id });
      },
      (error: unknown) => {
        scope.postMessage({ type: "done", id: data.id, error: String(error) });
      },
    );
  } else if (data.type === "forget") pipes.forgetKey(data.keyId);
  else if (data.type === "number") pipes.setNumber(data.number);
  else connect(data, data.options, {});
};

setInterval(() => {
  const report = pipes.report();
  const text = JSON.stringify(report);
  if (text !== told) scope.postMessage({ type: "report", report });
  told = text;
}, REPORT_MS);

import type { StepResult } from "./engine/engine.ts";
import type { Step } from "./plan/plan.ts";

/** What a reconciliation is busy with. Bytes are told of `deliver`, which is a part of `commit`. */
export type Phase = "sources" | "scan" | "deliver" | "commit" | "run";

/** What happened, as it happens; the same events feed the progress bar, plain lines, `--json` and library users. */
export type ProgressEvent =
  | { readonly type: "phase-start"; readonly phase: Phase }
  | { readonly type: "phase-end"; readonly phase: Phase; readonly durationMs: number; readonly requests: number }
  | { readonly type: "bytes"; readonly phase: Phase; readonly doneBytes: number; readonly totalBytes: number }
  | {
      readonly type: "step";
      readonly index: number;
      readonly total: number;
      readonly step: Step;
      readonly result: StepResult;
    }
  | { readonly type: "output"; readonly stream: "stdout" | "stderr"; readonly command: string; readonly text: string }
  /** Nothing has come from the service for so long; `what` is waited for, in its nth try. */
  | {
      readonly type: "waiting";
      readonly what: string;
      readonly attempt: number;
      readonly attempts: number;
      readonly silentMs: number;
    }
  | { readonly type: "notice"; readonly level: "info" | "warning"; readonly message: string };

/** Receives progress; must not throw. */
export type ProgressListener = (event: ProgressEvent) => void;

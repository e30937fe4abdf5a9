import { messageOf } from "../errors.ts";
import type { RunSpec } from "../manifest/manifest.ts";
import type { ProgressListener } from "../progress.ts";
import { runCommands } from "../run/run-commands.ts";
import type { Transport } from "../transport/transport.ts";
import type { WorkspacePath } from "../tree/workspace-path.ts";

/** Runs the manifest's commands beside the watch, one row at a time; a new row ends the one under way (W30). */
export class CommandRunner {
  readonly #onEvent: ProgressListener | undefined;
  #controller = new AbortController();
  #running: Promise<void> = Promise.resolve();

  constructor(onEvent: ProgressListener | undefined) {
    this.#onEvent = onEvent;
  }

  start(specs: readonly RunSpec[], transport: Transport, changed: readonly WorkspacePath[]): void {
    if (specs.length === 0 || changed.length === 0) return;
    this.#controller.abort();
    const controller = new AbortController();
    this.#controller = controller;
    const before = this.#running;
    this.#running = before.then(() => this.#run(specs, transport, changed, controller.signal));
  }

  /** Ends what runs and waits for its end. */
  async stop(): Promise<void> {
    this.#controller.abort();
    await this.#running;
  }

  async #run(
    specs: readonly RunSpec[],
    transport: Transport,
    changed: readonly WorkspacePath[],
    signal: AbortSignal,
  ): Promise<void> {
    const say = (level: "info" | "warning", message: string) => this.#onEvent?.({ type: "notice", level, message });
    try {
      const onEvent = this.#onEvent === undefined ? {} : { onEvent: this.#onEvent };
      const outcomes = await runCommands(specs, transport, { changed, ...onEvent, signal });
      for (const { command, status, exitCode } of outcomes) {
        if (status === "failed")
          say("warning", `$ ${command}: ${exitCode === undefined ? "stopped" : `exit ${exitCode}`}`);
        if (status === "done") say("info", `$ ${command}: done`);
      }
    } catch (error) {
      if (!signal.aborted) say("warning", messageOf(error));
    }
  }
}

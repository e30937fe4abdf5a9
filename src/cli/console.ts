import { styleText } from "node:util";
import { AgbSyncError } from "../errors.ts";
import { StaleLockError } from "../lock/lock-differences.ts";
import { ManifestError } from "../manifest/manifest-error.ts";
import { printable } from "../tree/printable.ts";
import type { Line } from "./events.ts";
import { commandOutputLine, errorLine, headlineOf } from "./events.ts";
import type { Ink, Paint } from "./ink.ts";
import type { Output } from "./output.ts";
import { Redactor } from "./redact.ts";
import { renderLockDifferences } from "./render-lock.ts";

export type ColorChoice = "auto" | "always" | "never";

/** What every command prints through: results to stdout, everything else to stderr, secrets to neither. */
export class Console {
  readonly redactor = new Redactor();
  color: ColorChoice = "auto";
  isQuiet = false;
  isVerbose = false;
  isDebug = false;
  /** Results are JSON, so an error is one of them too. */
  isJson = false;
  /** The line of progress on the terminal: it goes before anything is printed, and comes back when it is drawn again. */
  liveLine: { clear(): void } | undefined;
  readonly #env: Readonly<Record<string, string | undefined>>;
  readonly #output: Output;

  constructor(env: Readonly<Record<string, string | undefined>>, output: Output) {
    this.#env = env;
    this.#output = output;
  }

  /** For what is rendered to standard output. */
  get ink(): Ink {
    return {
      paint: (paint, text) => this.paint(paint, text),
      foreign: (text) => printable(this.redactor.cleanForeign(text)),
    };
  }

  /** Whether what is harmless and long may be counted instead of shown: on a terminal; never in a pipe or a file. */
  get folds(): boolean {
    return process.stdout.isTTY && !this.isVerbose;
  }

  /** Whether a line can be drawn again and again where errors go: not in a log, whatever it looks like to the process. */
  get isLive(): boolean {
    const isLog = !["", "0", "false"].includes(this.#env["CI"] ?? "") || this.#env["TERM"] === "dumb";
    return process.stderr.isTTY && !isLog && !this.isQuiet;
  }

  /** A result, to stdout. */
  print(text: string): void {
    this.liveLine?.clear();
    this.#output.write(`${this.redactor.clean(text)}\n`);
  }

  /** A result for machines: one line, the same for the same facts. */
  printData({ type, ...rest }: Line): void {
    this.#printJson({ type, schemaVersion: 1, ...rest });
  }

  /** Something that happened, for machines: one line with its time. */
  printEvent({ type, ...rest }: Line): void {
    this.#printJson({ type, ts: new Date().toISOString(), schemaVersion: 1, ...rest });
  }

  /** What a command of the user's prints, as it came: to the same stream here, or as JSON. */
  async printOutput(stream: "stdout" | "stderr", bytes: Uint8Array, signal: AbortSignal): Promise<void> {
    this.liveLine?.clear();
    const text = this.isJson ? `${JSON.stringify(commandOutputLine(stream, bytes))}\n` : undefined;
    await this.#output.writeBytes(
      text === undefined ? stream : "stdout",
      text === undefined ? bytes : Buffer.from(text),
      signal,
    );
  }

  /** Progress and remarks, to stderr; silenced by --quiet. */
  say(text: string): void {
    if (!this.isQuiet) this.#sayError(this.redactor.clean(text));
  }

  warn(text: string): void {
    this.#sayError(`${this.paint("yellow", "warning:", process.stderr)} ${this.ink.foreign(text)}`);
  }

  /** What went wrong and what to do next, to stderr and, where results are JSON, as their last line. */
  fail(error: unknown, exitCode: number): void {
    if (this.isJson) this.printEvent(errorLine(error, exitCode));
    this.explain(error);
  }

  /** What went wrong and what to do next, for people; a stack only with --debug. */
  explain(error: unknown): void {
    const { foreign } = this.ink;
    const say = (text: string) => this.#sayError(text);
    if (error instanceof StaleLockError)
      for (const line of renderLockDifferences(error.differences)) say(foreign(line));
    if (error instanceof ManifestError) say(error.message.split("\n").map(foreign).join("\n"));
    say(`${this.paint("red", "error:", process.stderr)} ${foreign(headlineOf(error))}`);
    if (error instanceof ManifestError) {
      if (this.#env["GITHUB_ACTIONS"] === "true")
        for (const problem of error.problems) say(annotation(problem, this.redactor));
      return;
    }
    if (error instanceof AgbSyncError && error.hint !== undefined) {
      say(`${this.paint("cyan", "hint:", process.stderr)} ${foreign(error.hint)}`);
    }
    if (this.isDebug && error instanceof Error) say((error.stack ?? "").split("\n").map(foreign).join("\n"));
    else if (!(error instanceof AgbSyncError)) say("this is a fault in agb-sync; run again with --debug for details");
  }

  /** Colours where the stream shows them, --color apart. */
  paint(paint: Paint, text: string, stream: NodeJS.WriteStream = process.stdout): string {
    return this.hasColor(stream) ? styleText(paint, text, { validateStream: false }) : text;
  }

  hasColor(stream: NodeJS.WriteStream): boolean {
    if (this.color !== "auto") return this.color === "always";
    const forced = this.#env["FORCE_COLOR"];
    if (forced !== undefined) return forced !== "0" && forced !== "false";
    if ((this.#env["NO_COLOR"] ?? "") !== "" || this.#env["TERM"] === "dumb") return false;
    return stream.isTTY;
  }

  #sayError(text: string): void {
    this.liveLine?.clear();
    this.#output.writeError(`${text}\n`);
  }

  #printJson(line: object): void {
    this.#output.write(`${JSON.stringify(this.redactor.cleanData(line))}\n`);
  }
}

/** A problem at its line of the manifest, as GitHub Actions shows it; read from stderr as well, where it spoils no result. */
function annotation(problem: ManifestError["problems"][number], redactor: Redactor): string {
  const data = (text: string) => {
    const escaped = redactor.cleanForeign(text).replaceAll("%", "%25").replaceAll("\r", "%0D").replaceAll("\n", "%0A");
    return printable(escaped);
  };
  const property = (text: string) => data(text).replaceAll(":", "%3A").replaceAll(",", "%2C");
  const { file, line, column, code, message } = problem;
  return `::error file=${property(file)},line=${line},col=${column},title=${property(code)}::${data(message)}`;
}

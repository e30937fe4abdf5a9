import { styleText } from "node:util";
import { AgbSyncError, UsageError } from "../errors.ts";
import { ManifestError } from "../manifest/manifest-error.ts";
import { printable } from "../tree/printable.ts";
import type { Output } from "./output.ts";
import { Redactor } from "./redact.ts";

export type ColorChoice = "auto" | "always" | "never";
export type Paint = "green" | "red" | "yellow" | "cyan" | "bold" | "dim";

/** What every command prints through: results to stdout, everything else to stderr, secrets to neither. */
export class Console {
  readonly redactor = new Redactor();
  color: ColorChoice = "auto";
  isQuiet = false;
  isVerbose = false;
  isDebug = false;
  readonly #env: Readonly<Record<string, string | undefined>>;
  readonly #output: Output;

  constructor(env: Readonly<Record<string, string | undefined>>, output: Output) {
    this.#env = env;
    this.#output = output;
  }

  /** A result, to stdout. */
  print(text: string): void {
    this.#output.write(`${this.redactor.clean(text)}\n`);
  }

  /** Progress and remarks, to stderr; silenced by --quiet. */
  say(text: string): void {
    if (!this.isQuiet) this.#output.writeError(`${this.redactor.clean(text)}\n`);
  }

  warn(text: string): void {
    this.#output.writeError(
      `${this.paint("yellow", "warning:", process.stderr)} ${this.redactor.clean(printable(text))}\n`,
    );
  }

  /** What went wrong and what to do next; a stack only with --debug. */
  fail(error: unknown): void {
    const head = this.paint("red", "error:", process.stderr);
    if (error instanceof ManifestError) {
      const many = error.problems.length === 1 ? "1 problem" : `${error.problems.length} problems`;
      this.#output.writeError(`${this.redactor.clean(error.message)}\n${head} the manifest has ${many}\n`);
      if (this.#env["GITHUB_ACTIONS"] === "true") for (const problem of error.problems) this.#annotate(problem);
      return;
    }
    const message = error instanceof Error ? error.message : String(error);
    this.#output.writeError(`${head} ${this.redactor.clean(printable(message))}\n`);
    if (error instanceof AgbSyncError && error.hint !== undefined) {
      this.#output.writeError(
        `${this.paint("cyan", "hint:", process.stderr)} ${this.redactor.clean(printable(error.hint))}\n`,
      );
    }
    const isOurs = error instanceof AgbSyncError || error instanceof UsageError;
    if (this.isDebug && error instanceof Error) this.#output.writeError(`${this.redactor.clean(error.stack ?? "")}\n`);
    else if (!isOurs) this.#output.writeError(`this is a fault in agb-sync; run again with --debug for details\n`);
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

  #annotate(problem: ManifestError["problems"][number]): void {
    const data = (text: string) => text.replaceAll("%", "%25").replaceAll("\r", "%0D").replaceAll("\n", "%0A");
    const property = (text: string) => data(text).replaceAll(":", "%3A").replaceAll(",", "%2C");
    const { file, line, column, code, message } = problem;
    this.print(`::error file=${property(file)},line=${line},col=${column},title=${property(code)}::${data(message)}`);
  }
}

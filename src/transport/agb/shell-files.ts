import pLimit from "p-limit";
import { hasCode, TransportError } from "../../errors.ts";
import type { Content } from "../../tree/content.ts";
import type { Digest } from "../../tree/digest.ts";
import { digestFromHex } from "../../tree/digest.ts";
import type { Entry, Mode } from "../../tree/entry.ts";
import type { WorkspacePath } from "../../tree/workspace-path.ts";
import { baseName, parentPath } from "../../tree/workspace-path.ts";
import { askInBackground } from "../ask-in-background.ts";
import type { Requests } from "../requests.ts";
import { runMarked } from "../run-marked.ts";
import { quoteForShell } from "../shell-quote.ts";
import type { Child, MoveOptions, SessionProbe, ShellRequest, ShellResult } from "../transport.ts";
import { MESSAGE_BUDGET_BYTES, serialisedBytes } from "./text-chunks.ts";

type Shell = (request: ShellRequest, signal: AbortSignal) => Promise<ShellResult>;

const TIMEOUT_MS = 45_000;
/** Raw bytes of one base64 piece in a command. */
const PIECE_BYTES = 36_000;
/** How often a file that was written in part is begun again, and what the session says of one. */
const WRITING_ROUNDS = 3;
const TORN = "agb-sync: written in part";
/** Commands that hash side by side. */
const HASHING = 4;

/**
 * Files of a session by commands. Before anything is changed the directory is entered and compared with where it
 * should be, and the change is made from there: a link in the way, or one that comes later, leads nowhere (S25).
 */
export class ShellFiles {
  readonly #shell: Shell;
  readonly #root: string;
  readonly #probe: SessionProbe;
  readonly #requests: Requests;

  constructor(shell: Shell, root: string, probe: SessionProbe, requests: Requests) {
    this.#shell = shell;
    this.#root = root;
    this.#probe = probe;
    this.#requests = requests;
  }

  async list(path: WorkspacePath, signal: AbortSignal): Promise<readonly Child[]> {
    const text = await this.#run(
      `${this.#enter(path)}
[ -r . ] && [ -x . ] || { echo 'Permission denied' >&2; exit 1; }
for n in .* *; do
  case $n in .|..) continue ;; esac
  if [ -L "./$n" ]; then k=l; elif [ -d "./$n" ]; then k=d; elif [ -f "./$n" ]; then k=f; elif [ -e "./$n" ]; then k=s; else continue; fi
  printf '%s%s\\0' "$k" "$n"
done | base64`,
      "list a directory",
      signal,
    );
    return fromBase64(text)
      .split("\0")
      .filter((item) => item !== "")
      .map((item) => ({ name: item.slice(1), kind: kinds[item.charAt(0)] ?? "unknown" }));
  }

  async stat(path: WorkspacePath, signal: AbortSignal): Promise<Entry | undefined> {
    const script = `${this.#enter(parentPath(path))}
n=./${quoteForShell(baseName(path) || ".")}
if [ -L "$n" ]; then printf 'l '; readlink "$n" | base64
elif [ -e "$n" ]; then printf 'm '; stat -c '%f %s' "$n"
else echo -; fi`;
    try {
      return parseStat(await this.#run(script, "look at a file", signal));
    } catch (error) {
      if (hasCode(error, "NOT_FOUND", "NOT_A_DIRECTORY", "OUTSIDE_ROOT")) return undefined;
      throw error;
    }
  }

  /** Links and what cannot be read are missing from the answer. */
  async digests(paths: readonly WorkspacePath[], signal: AbortSignal): Promise<ReadonlyMap<WorkspacePath, Digest>> {
    const found = new Map<WorkspacePath, Digest>();
    const limit = pLimit(HASHING);
    await Promise.all(
      inMessages(paths).map((some) =>
        limit(async () => {
          const text = await this.#runLong(
            `${enterFunction}
go ${quoteForShell(this.#root)}
for f in ${some.map((path) => quoteForShell(`./${path}`)).join(" ")}; do
  h=-
  if [ -f "$f" ] && [ ! -L "$f" ]; then h=$(sha256sum <"$f" 2>/dev/null) || h=-; fi
  echo "\${h%% *}"
done`,
            "hash files",
            signal,
          );
          const lines = text.split("\n");
          if (lines.length !== some.length) {
            throw new TransportError("BAD_ANSWER", "hash files: the answer is too short", { retryable: true });
          }
          some.forEach((path, index) => {
            const digest = digestFromHex(lines[index] ?? "");
            if (digest !== undefined) found.set(path, digest);
          });
        }),
      ),
    );
    return found;
  }

  /** Bytes as base64 inside commands; never for sensitive content (S29). Whole-file semantics. */
  async writeBytes(path: WorkspacePath, content: Pick<Content, "open">, mode: Mode, signal: AbortSignal) {
    for (let round = 1; ; round += 1) {
      try {
        await this.#writePieces(path, content.open(), mode, signal);
        break;
      } catch (error) {
        const isTorn = error instanceof TransportError && error.message.includes(TORN);
        if (!isTorn || round === WRITING_ROUNDS) throw error;
      }
    }
    if ((mode & 0o200) === 0) await this.setMode(path, mode, signal);
  }

  /** Decodes a file of base64 text that was written beside `path`, and removes it. */
  async decode(encoded: WorkspacePath, path: WorkspacePath, mode: Mode, signal: AbortSignal): Promise<void> {
    await this.#run(
      `${this.#enter(parentPath(path))}
n=./${quoteForShell(baseName(path))}; e=./${quoteForShell(baseName(encoded))}
[ -L "$n" ] && { echo 'File exists' >&2; exit 1; }
if [ -e "$e" ]; then (umask 077; base64 -d "$e" >"$n") && chmod ${octal(mode)} "$n" && rm -f "$e"; else [ -e "$n" ]; fi`,
      "write a file",
      signal,
    );
  }

  /** Takes a file that arrived elsewhere in the session to `path`, and waits until all of it is there. */
  async fetch(from: string, sizeBytes: number, path: WorkspacePath, mode: Mode, signal: AbortSignal): Promise<void> {
    const isTaken = async () => {
      const there = await this.stat(path, signal);
      const isGone = await this.#run(`[ -e ${quoteForShell(from)} ] || echo gone`, "take over an upload", signal);
      return isGone === "gone" && there?.kind === "file" && there.sizeBytes === sizeBytes;
    };
    await this.#runOnce(
      `f=${quoteForShell(from)}; i=0
while [ "$(stat -c %s "$f" 2>/dev/null)" != ${sizeBytes} ]; do i=$((i+1)); [ $i -gt 200 ] && { echo 'timed out' >&2; exit 1; }; sleep 0.2 2>/dev/null || sleep 1; done
${this.#enter(parentPath(path))}
n=./${quoteForShell(baseName(path))}
rm -f "$n" && chmod ${octal(mode)} "$f" && mv "$f" "$n"`,
      "take over an upload",
      isTaken,
      signal,
    );
  }

  async createDirectory(path: WorkspacePath, mode: Mode | undefined, signal: AbortSignal): Promise<void> {
    const names = path === "" ? [] : path.split("/");
    const change = mode === undefined ? ":" : `chmod ${octal(mode)} .`;
    await this.#run(
      `${enterFunction}
mkdir -p ${quoteForShell(this.#root)} || exit 1
go ${quoteForShell(this.#root)}
for n in ${names.map(quoteForShell).join(" ")}; do
  new=; [ -d "./$n" ] || { mkdir "./$n" 2>/dev/null && new=1 || [ -d "./$n" ] || { mkdir "./$n"; exit 1; }; }
  here=$PWD; [ "$here" = / ] && here=
  go "./$n"
  [ "$PWD" = "$here/$n" ] || { echo 'agb-sync: leads outside' >&2; exit 1; }
done
if [ -n "$new" ]; then ${change}; fi`,
      "make a directory",
      signal,
    );
  }

  async move(from: WorkspacePath, to: WorkspacePath, options: MoveOptions, signal: AbortSignal): Promise<void> {
    const { replace, keepAt } = options;
    // After a rename whose answer was lost both ends are looked at.
    const rename = this.#probe.commands.has("mv-T") ? "mv -f -T" : "mv -f";
    const inTheWay = replace
      ? `if [ -d "$d" ] && [ ! -L "$d" ]; then echo 'Is a directory' >&2; exit 1; fi
${this.#probe.commands.has("mv-T") ? "" : '[ -L "$d" ] && rm -f "$d"'}`
      : `if [ -e "$d" ] || [ -L "$d" ]; then echo 'File exists' >&2; exit 1; fi`;
    await this.#runOnce(
      `${keepAt === undefined ? "" : `${this.#enter(parentPath(keepAt))}\nexec 4<. ; k=/proc/self/fd/4; [ -d "$k/." ] || k=$PWD`}
${this.#enter(parentPath(from))}
exec 3<. ; s=/proc/self/fd/3; [ -d "$s/." ] || s=$PWD
${this.#enter(parentPath(to))}
s=$s/${quoteForShell(baseName(from))}; d=./${quoteForShell(baseName(to))}
[ -e "$s" ] || [ -L "$s" ] || { echo 'No such file or directory' >&2; exit 1; }
${inTheWay}
${
  keepAt === undefined
    ? ""
    : `k=$k/${quoteForShell(baseName(keepAt))}
if [ -e "$d" ] || [ -L "$d" ]; then rm -f "$k" && { ln "$d" "$k" 2>/dev/null || mv "$d" "$k"; } || exit 1; fi`
}
${rename} "$s" "$d"`,
      "move a file",
      async () => await this.#hasMoved(from, to, signal),
      signal,
    );
  }

  async deleteFile(path: WorkspacePath, signal: AbortSignal): Promise<void> {
    await this.#removal(
      path,
      `if [ -d "$n" ] && [ ! -L "$n" ]; then echo 'Is a directory' >&2; exit 1; fi
rm -f "$n"`,
      "delete a file",
      signal,
    );
  }

  async removeDirectory(path: WorkspacePath, signal: AbortSignal): Promise<void> {
    await this.#removal(path, `[ -e "$n" ] || exit 0\nrmdir "$n"`, "remove a directory", signal);
  }

  async setMode(path: WorkspacePath, mode: Mode, signal: AbortSignal): Promise<void> {
    await this.#run(
      `${this.#enter(parentPath(path))}
n=./${quoteForShell(baseName(path) || ".")}
[ -L "$n" ] && { echo 'agb-sync: leads outside' >&2; exit 1; }
chmod ${octal(mode)} "$n"`,
      "set a mode",
      signal,
    );
  }

  async createLink(path: WorkspacePath, target: string, signal: AbortSignal): Promise<void> {
    const isMade = async () => {
      const there = await this.stat(path, signal);
      return there?.kind === "link" && there.target === target;
    };
    await this.#runOnce(
      `${this.#enter(parentPath(path))}
n=./${quoteForShell(baseName(path))}
if [ -e "$n" ] || [ -L "$n" ]; then echo 'File exists' >&2; exit 1; fi
ln -s -- ${quoteForShell(target)} "$n"`,
      "make a link",
      isMade,
      signal,
    );
  }

  /** Each piece but the first knows how much is there before it, so that one whose answer was lost is not doubled. */
  async #writePieces(path: WorkspacePath, chunks: AsyncIterable<Uint8Array>, mode: Mode, signal: AbortSignal) {
    let sizeBytes = 0;
    const put = async (bytes: Uint8Array) => {
      const decode = `printf %s ${quoteForShell(Buffer.from(bytes).toString("base64"))} | base64 -d`;
      const append = `case $(stat -c %s "$n") in
${sizeBytes}) ${decode} >>"$n" || exit 1 ;;
${sizeBytes + bytes.byteLength}) ;;
*) echo '${TORN}' >&2; exit 1 ;;
esac`;
      const script = `${this.#enter(parentPath(path))}
n=./${quoteForShell(baseName(path))}
[ -L "$n" ] && { echo 'File exists' >&2; exit 1; }
${sizeBytes === 0 ? `${decode} >"$n"` : append} && chmod ${octal(mode | 0o200)} "$n"`;
      await this.#run(script, "write a file", signal);
      sizeBytes += bytes.byteLength;
    };
    for await (const piece of pieces(chunks, PIECE_BYTES)) await put(piece);
    if (sizeBytes === 0) await put(new Uint8Array());
  }

  /** What is missing already, with its parents too, needs no removal. */
  async #removal(path: WorkspacePath, work: string, what: string, signal: AbortSignal): Promise<void> {
    try {
      await this.#run(`${this.#enter(parentPath(path))}\nn=./${quoteForShell(baseName(path))}\n${work}`, what, signal);
    } catch (error) {
      if (!hasCode(error, "NOT_FOUND")) throw error;
    }
  }

  /** Goes into a directory below the root, and stops where the way leads elsewhere. */
  #enter(directory: WorkspacePath): string {
    const root = `${enterFunction}
go ${quoteForShell(this.#root)}`;
    if (directory === "") return root;
    const path = quoteForShell(directory);
    return `${root}; r=$PWD; [ "$r" = / ] && r=
go ./${path}; [ "$PWD" = "$r"/${path} ] || { echo 'agb-sync: leads outside' >&2; exit 1; }`;
  }

  /** What takes longer than a request may last goes on in the background of the session. */
  async #runLong(command: string, what: string, signal: AbortSignal): Promise<string> {
    try {
      return await this.#run(command, what, signal);
    } catch (error) {
      if (!hasCode(error, "TIMEOUT")) throw error;
      return await askInBackground(this.#shell, command, what, signal);
    }
  }

  async #hasMoved(from: WorkspacePath, to: WorkspacePath, signal: AbortSignal): Promise<boolean> {
    const [source, destination] = await Promise.all([this.stat(from, signal), this.stat(to, signal)]);
    return source === undefined && destination !== undefined;
  }

  /** One command that may be repeated. */
  async #run(command: string, what: string, signal: AbortSignal): Promise<string> {
    const request = { command, timeoutMs: TIMEOUT_MS, repeatable: true, mustBeWhole: true };
    return await runMarked(this.#shell, request, what, signal);
  }

  /** One command that must not be doubled: `isDone` tells whether one whose answer was lost was carried out. */
  async #runOnce(command: string, what: string, isDone: () => Promise<boolean>, signal: AbortSignal): Promise<void> {
    const once = async () => await runMarked(this.#shell, { command, timeoutMs: TIMEOUT_MS }, what, signal);
    await this.#requests.afterLook(once, isDone, signal);
  }
}

/** `cd` of a plain sh does not say why it failed. */
const enterFunction = `go() {
  cd -P "$1" 2>/dev/null && return
  if [ -d "$1" ]; then echo 'Permission denied'; elif [ -e "$1" ] || [ -L "$1" ]; then echo 'Not a directory'; else echo 'No such file or directory'; fi >&2
  exit 1
}`;

const kinds: Readonly<Record<string, Child["kind"]>> = { l: "link", d: "directory", f: "file", s: "special" };

/** `m <raw mode in hex> <size>`, `l <target in base64>` or `-`. */
export function parseStat(text: string): Entry | undefined {
  if (text === "-") return undefined;
  if (text.startsWith("l ")) return { kind: "link", target: fromBase64(text.slice(2)).replace(/\n$/, "") };
  const match = /^m ([0-9a-f]{1,8}) (\d{1,15})$/.exec(text);
  if (match === null)
    throw new TransportError("BAD_ANSWER", "look at a file: the answer cannot be read", { retryable: true });
  const raw = Number.parseInt(match[1] ?? "", 16);
  const mode = raw & 0o7777;
  switch (raw & 0o170000) {
    case 0o040000:
      return { kind: "directory", mode };
    case 0o100000:
      return { kind: "file", mode, sizeBytes: Number(match[2]) };
    default:
      return { kind: "special" };
  }
}

/** Groups of paths, each small enough to be quoted in one command. */
function inMessages(paths: readonly WorkspacePath[]): readonly (readonly WorkspacePath[])[] {
  const groups: WorkspacePath[][] = [];
  let roomBytes = 0;
  for (const path of paths) {
    // Serialised twice: the command is JSON text inside the JSON of the arguments.
    const sizeBytes = serialisedBytes(quoteForShell(`./${path}`)) + 1;
    if (groups.length === 0 || sizeBytes > roomBytes) {
      groups.push([]);
      roomBytes = MESSAGE_BUDGET_BYTES - 2000;
    }
    groups.at(-1)?.push(path);
    roomBytes -= sizeBytes;
  }
  return groups;
}

async function* pieces(chunks: AsyncIterable<Uint8Array>, sizeBytes: number): AsyncGenerator<Uint8Array> {
  let held = Buffer.alloc(0);
  for await (const chunk of chunks) {
    held = Buffer.concat([held, chunk]);
    for (; held.byteLength >= sizeBytes; held = held.subarray(sizeBytes)) yield held.subarray(0, sizeBytes);
  }
  if (held.byteLength > 0) yield held;
}

function fromBase64(text: string): string {
  return Buffer.from(text, "base64").toString("utf8");
}

function octal(mode: number): string {
  return mode.toString(8).padStart(4, "0");
}

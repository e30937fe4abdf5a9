import { createHash, randomUUID } from "node:crypto";
import { PassThrough } from "node:stream";
import { pipeline } from "node:stream/promises";
import { createGunzip } from "node:zlib";
import { extract, type Header } from "tar-stream";
import { hasCode, messageOf, TransportError } from "../errors.ts";
import { askInBackground } from "../transport/ask-in-background.ts";
import { runMarked, shellOf } from "../transport/run-marked.ts";
import { shellProgram } from "../transport/shell-program.ts";
import { quoteForShell } from "../transport/shell-quote.ts";
import type { Transport } from "../transport/transport.ts";
import type { WorkspacePath } from "../tree/workspace-path.ts";
import packProgram from "./programs/pack.sh.generated.js";
import pageProgram from "./programs/page.sh.generated.js";
import type { Remote, RemoteEntry } from "./remote-entry.ts";

/** Bytes of the archive in one answer: far below what is refused, and smaller where a session cuts answers off. */
const PAGE_BYTES = 8 * 1024 * 1024;
const LEAST_PAGE_BYTES = 1000;
const PACK_TIMEOUT_MS = 45_000;

type Archive = { readonly file: string; readonly sizeBytes: number; readonly sha256: string; readonly first?: Buffer };

/**
 * Everything at and below the paths in one archive, which the session makes in one command and hands out in pages; the
 * number of requests does not grow with the number of files.
 * @throws {TransportError} `BAD_ANSWER` when the archive is not what the session made.
 */
export async function remoteByShell(
  transport: Transport,
  paths: readonly WorkspacePath[],
  signal: AbortSignal,
): Promise<Remote> {
  const { probe } = await transport.features(signal);
  const directory = `/tmp/agb-sync-pull-${randomUUID()}`;
  const isZipped = probe?.commands.has("gzip") === true;
  const values = {
    ROOT: transport.root,
    DIRECTORY: directory,
    PATHS: Buffer.from(paths.map((path) => `./${path}\0`).join("")).toString("base64"),
    HARD: probe?.commands.has("gnu-find") === true ? "--hard-dereference" : "",
    ZIP: isZipped,
  };
  const shell = shellOf(transport);
  const what = "pack what is to come back";
  const answer = await askWithPage(values, PAGE_BYTES).catch(async (error: unknown) => {
    if (!hasCode(error, "BAD_ANSWER", "TIMEOUT")) throw error;
    // What it takes long for is done in the background, and what is cut off is fetched in pages.
    return await askInBackground(shell, shellProgram({ ...values, PAGE: 0 }, packProgram), what, signal);
  });
  if (answer === "missing") {
    throw new TransportError("NOT_FOUND", `there is no ${transport.root} in the session`, {
      hint: "apply first: agb-sync apply",
    });
  }
  const faults: string[] = [];
  const archive = parseAnswer(answer, `${directory}/archive`, faults);
  return { entries: unpacked(), faults };

  async function askWithPage(known: typeof values, pageBytes: number): Promise<string> {
    const command = shellProgram({ ...known, PAGE: pageBytes }, packProgram);
    return await runMarked(shell, { command, timeoutMs: PACK_TIMEOUT_MS, repeatable: true }, what, signal);
  }

  async function* unpacked(): AsyncGenerator<RemoteEntry> {
    try {
      yield* entriesOf(checked(archive, pagesOf(shell, archive, signal)), isZipped);
    } finally {
      const tidy = { command: `rm -rf ${quoteForShell(directory)}`, timeoutMs: 20_000, repeatable: true };
      await runMarked(shell, tidy, "tidy up after a pull", AbortSignal.timeout(30_000)).catch(() => undefined);
    }
  }
}

function parseAnswer(answer: string, file: string, faults: string[]): Archive {
  const [head = "", ...rest] = answer.split("\n");
  const match = /^(\d{1,3}) (\d{1,15}) ([0-9a-f]{64}) ([A-Za-z0-9+/=]*)$/.exec(head);
  if (match === null) throw new TransportError("BAD_ANSWER", "pack what is to come back: the answer cannot be read");
  const [, status, size, sha256 = "", errors = ""] = match;
  const complaints = Buffer.from(errors, "base64").toString("utf8").split("\n");
  const lines = complaints.map((line) => line.trim()).filter((line) => line !== "");
  if (status !== "0") faults.push(...(lines.length === 0 ? [`tar ended with ${status}`] : lines));
  const sizeBytes = Number(size);
  const first = Buffer.from(rest.join(""), "base64");
  return { file, sizeBytes, sha256, ...(first.byteLength > 0 ? { first } : {}) };
}

async function* pagesOf(
  shell: NonNullable<Transport["shell"]>,
  { file, sizeBytes, first }: Archive,
  signal: AbortSignal,
): AsyncGenerator<Uint8Array> {
  if (first !== undefined) yield first;
  let at = first?.byteLength ?? 0;
  for (let mostBytes = PAGE_BYTES; at < sizeBytes; ) {
    const command = shellProgram({ FILE: file, AT: at, MOST: mostBytes }, pageProgram);
    try {
      const request = { command, timeoutMs: PACK_TIMEOUT_MS, repeatable: true };
      const page = Buffer.from(await runMarked(shell, request, "fetch what comes back", signal), "base64");
      if (page.byteLength === 0) throw broken("it ends too early");
      at += page.byteLength;
      yield page;
    } catch (error) {
      if (!hasCode(error, "BAD_ANSWER", "TIMEOUT") || mostBytes < LEAST_PAGE_BYTES) throw error;
      mostBytes = Math.ceil(mostBytes / 4);
    }
  }
}

/** Ends with an error unless all of it is what the session made. */
async function* checked({ sizeBytes, sha256 }: Archive, pages: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  const hash = createHash("sha256");
  let seenBytes = 0;
  for await (const page of pages) {
    hash.update(page);
    seenBytes += page.byteLength;
    yield page;
  }
  if (seenBytes !== sizeBytes || hash.digest("hex") !== sha256) throw broken("it is not what the session packed");
}

/** The entries of an archive, in its order. @throws {TransportError} `BAD_ANSWER` for what is no whole archive. */
export async function* entriesOf(bytes: AsyncIterable<Uint8Array>, isZipped: boolean): AsyncGenerator<RemoteEntry> {
  const tar = extract();
  // A damaged archive ends it, and nothing drains any more.
  const closed = new Promise<void>((resolve) => void tar.once("close", resolve));
  const plain = isZipped ? createGunzip() : new PassThrough();
  const feeding = pipeline(bytes, plain, async (chunks: AsyncIterable<Buffer>) => {
    for await (const chunk of chunks) {
      if (tar.destroyed) return;
      if (tar.write(chunk)) continue;
      await Promise.race([closed, new Promise<void>((resolve) => void tar.once("drain", resolve))]);
    }
    tar.end(undefined);
  }).catch((error: unknown) => {
    tar.destroy(error instanceof Error ? error : new Error(messageOf(error)));
    throw error;
  });
  feeding.catch(() => undefined);
  try {
    for await (const entry of tar) {
      yield { ...describe(entry.header), bytes: () => chunksOf(entry) };
      entry.resume();
    }
    await feeding;
  } catch (error) {
    await feeding;
    if (hasCode(error, "BAD_ANSWER", "ABORTED")) throw error;
    throw broken(messageOf(error), error);
  }
}

async function* chunksOf(entry: AsyncIterable<unknown>): AsyncGenerator<Uint8Array> {
  for await (const chunk of entry) if (chunk instanceof Uint8Array) yield chunk;
}

function describe({ name, type, mode, size, linkname }: Header): Omit<RemoteEntry, "bytes"> {
  const permissions = mode & 0o777;
  switch (type) {
    case "file":
    case "contiguous-file":
      return { name, kind: "file", mode: permissions, sizeBytes: size };
    case "directory":
      return { name, kind: "directory", mode: permissions, sizeBytes: 0 };
    case "symlink":
      return { name, kind: "link", target: linkname || undefined, sizeBytes: 0 };
    case "link":
      return { name, kind: "odd", what: "a hard link", sizeBytes: 0 };
    case "block-device":
    case "character-device":
      return { name, kind: "odd", what: "a device", sizeBytes: 0 };
    case "fifo":
      return { name, kind: "odd", what: "a FIFO", sizeBytes: 0 };
    default:
      return { name, kind: "odd", what: "of a kind that is not known", sizeBytes: 0 };
  }
}

function broken(why: string, cause?: unknown): TransportError {
  return new TransportError("BAD_ANSWER", `the archive that came back is damaged: ${why}`, {
    hint: "nothing was written; pull again",
    cause,
  });
}

import { resolve } from "node:path";
import { findManifest, readManifestBytes } from "../desired/load-manifest.ts";
import { oddKindOf } from "../environment/read-regular-file.ts";
import { AgbSyncError } from "../errors.ts";
import type { Manifest } from "../manifest/manifest.ts";
import type { CommonOptions, Context } from "./context.ts";

type Read = { readonly bytes: Buffer | undefined; readonly sessionId: string | undefined; readonly manifest: Manifest };

/**
 * One manifest, read again and again. Which file it is was settled at the start: when that is missing, no other one in a
 * directory above takes its place. Standard input is read once.
 */
export class ManifestReader {
  readonly #context: Context;
  readonly #options: CommonOptions;
  /** Undefined for standard input. */
  readonly file: string | undefined;
  #last: Read | undefined;

  /** @throws {AgbSyncError} `MANIFEST_NOT_FOUND`. */
  constructor(context: Context, path: string | undefined, options: CommonOptions) {
    this.#context = context;
    this.#options = options;
    this.file = path === "-" ? undefined : resolve(context.cwd, findManifest(path, context.cwd));
  }

  /** The manifest as it is now; the same object as long as its text is the same. @throws what is wrong with it. */
  async read(sessionId?: string): Promise<Manifest> {
    const bytes = this.file === undefined ? undefined : readBytes(this.file);
    const last = this.#last;
    const isSameText = bytes === undefined || (last?.bytes !== undefined && bytes.equals(last.bytes));
    const isSameSession = last?.sessionId === sessionId || last?.manifest.usesSessionId === false;
    if (last !== undefined && isSameText && isSameSession) return last.manifest;
    const path = this.file ?? "-";
    const manifest =
      last === undefined
        ? await this.#context.loadManifestFor(path, this.#options)
        : // What is wrong with a source is told of that source, and the manifest holds.
          await this.#context.loadManifest(path, sessionId, false);
    this.#last = { bytes, sessionId, manifest };
    return manifest;
  }
}

function readBytes(file: string): Buffer {
  if (oddKindOf(file)?.kind !== "absent") return readManifestBytes(file);
  throw new AgbSyncError("MANIFEST_NOT_FOUND", `the manifest ${file} is not there any more`, { hint: "bring it back" });
}

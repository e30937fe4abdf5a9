import { dirname, join, relative, resolve } from "node:path";
import { filesWithKey, readEnvFiles } from "../environment/env-files.ts";
import { oddKindOf, readRegularFile } from "../environment/read-regular-file.ts";
import { AgbSyncError } from "../errors.ts";
import type { SourceCheck } from "../manifest/build-manifest.ts";
import { decodeText } from "../manifest/decode-text.ts";
import type { EnvFiles, Manifest } from "../manifest/manifest.ts";
import { MAX_MANIFEST_BYTES } from "../manifest/manifest-source.ts";
import { parseManifest } from "../manifest/parse-manifest.ts";
import type { SourceKind } from "./look-at-source.ts";
import { lookAtSource } from "./look-at-source.ts";

export type LoadOptions = {
  readonly cwd: string;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** What `-` reads; needed only for that. */
  readonly readStdin?: () => Promise<Uint8Array | string>;
  readonly sessionId?: string;
  /** Files of assignments that `${env.…}` sees after `env` and before the nearest `.env`, a later one before an earlier. */
  readonly envFiles?: readonly string[];
  /** Values that win over those of `vars:`, as they are. */
  readonly vars?: Readonly<Record<string, string>>;
  /** Whether a source that is missing, or of another kind, is a problem of the manifest; true if not given. */
  readonly checksSources?: boolean;
};

/** Standard input as messages name it. */
const STDIN = "<stdin>";
const names = ["agb-sync.yaml", "agb-sync.yml"];

/**
 * Reads a manifest: the given file, the one in the given directory, standard input for `-`, or the nearest
 * `agb-sync.yaml` from `cwd` upwards. Looks at the sources that it names, but opens none.
 * @throws {AgbSyncError} `MANIFEST_NOT_FOUND`, `MANIFEST_TOO_LARGE`, `USAGE`. @throws {ManifestError} with every problem in it.
 */
export async function loadManifest(path: string | undefined, options: LoadOptions): Promise<Manifest> {
  const { cwd, env, sessionId, vars, checksSources = true } = options;
  let envFiles: EnvFiles | undefined;
  const known = {
    env,
    envFiles: () => (envFiles ??= readEnvFiles(cwd, options.envFiles)),
    ...(vars === undefined ? {} : { vars }),
    ...(sessionId === undefined ? {} : { sessionId }),
    ...(checksSources ? { sourceFault } : {}),
  };
  const keyFiles = filesWithKey(cwd, options.envFiles);
  if (path === "-") {
    const read = (await options.readStdin?.()) ?? "";
    const text = typeof read === "string" ? read : decodeText(read, STDIN);
    return { ...parseManifest(text, { ...known, file: STDIN, directory: cwd }), keyFiles };
  }
  const file = findManifest(path, cwd);
  const shown = shortName(file, cwd);
  const text = decodeText(readManifestBytes(file), shown);
  return { ...parseManifest(text, { ...known, file: shown, directory: dirname(file) }), keyFiles };
}

function sourceFault(localPath: string, wanted: SourceKind): ReturnType<SourceCheck> {
  const look = lookAtSource(localPath, wanted);
  return look.kind === "wrong" ? look : undefined;
}

/**
 * The absolute path of the manifest that `path` (or its absence) means. What is no regular file has the name by chance and
 * hides no manifest beside or above it.
 * @throws `MANIFEST_NOT_FOUND`.
 */
export function findManifest(path: string | undefined, cwd: string): string {
  if (path !== undefined) return namedManifest(path, cwd);
  const passed: string[] = [];
  for (let directory = cwd; ; directory = dirname(directory)) {
    const found = manifestIn(directory, passed);
    if (found !== undefined) return found;
    if (dirname(directory) === directory) break;
  }
  throw notFound(
    `there is no agb-sync.yaml here or in a directory above${but(passed)}`,
    "start one with: agb-sync init",
  );
}

/** The bytes of a manifest. Never waits for one that is no regular file. @throws `MANIFEST_NOT_FOUND`, `MANIFEST_TOO_LARGE`. */
export function readManifestBytes(file: string): Buffer {
  const found = readRegularFile(file, MAX_MANIFEST_BYTES);
  switch (found.kind) {
    case "read":
      return found.bytes;
    case "absent":
      throw notFound(`there is no ${file}`, "check the path, or start a manifest with: agb-sync init");
    case "odd":
      throw oddManifest(file, found.what);
    case "too-large":
      throw new AgbSyncError("MANIFEST_TOO_LARGE", `${file} is larger than ${MAX_MANIFEST_BYTES} bytes`, {
        hint: "move large content into source files",
      });
    case "unreadable":
      throw notFound(`${file} cannot be read: ${found.reason}`, "check its permissions");
  }
}

function namedManifest(path: string, cwd: string): string {
  const file = resolve(cwd, path);
  const odd = oddKindOf(file);
  if (odd?.kind === "absent") {
    throw notFound(`there is no ${path}`, "check the path, or start a manifest with: agb-sync init");
  }
  if (odd?.kind !== "odd") return file;
  if (odd.what !== "a directory") throw oddManifest(path, odd.what);
  const passed: string[] = [];
  const inside = manifestIn(file, passed);
  if (inside !== undefined) return inside;
  throw notFound(`the directory ${path} holds no agb-sync.yaml${but(passed)}`, "name the manifest file itself");
}

function manifestIn(directory: string, passed: string[]): string | undefined {
  return names
    .map((name) => join(directory, name))
    .find((candidate) => {
      const odd = oddKindOf(candidate);
      if (odd?.kind === "odd") passed.push(`${candidate} is ${odd.what}`);
      return odd === undefined;
    });
}

function but(passed: readonly string[]): string {
  return passed.length === 0 ? "" : `; ${passed.join(", ")}`;
}

function oddManifest(path: string, what: string): AgbSyncError {
  const isStream = what === "a FIFO" || what === "a device";
  return notFound(
    `the manifest ${path} is ${what}`,
    isStream
      ? "name a regular file, or send the manifest to standard input: agb-sync COMMAND -"
      : "name a regular file",
  );
}

function notFound(message: string, hint: string): AgbSyncError {
  return new AgbSyncError("MANIFEST_NOT_FOUND", message, { hint });
}

function shortName(file: string, cwd: string): string {
  const short = relative(cwd, file);
  return short === "" || short.startsWith("..") ? file : short;
}

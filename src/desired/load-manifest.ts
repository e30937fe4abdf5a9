import { existsSync, readFileSync, statSync } from "node:fs";
import { dirname, join, relative, resolve } from "node:path";
import { AgbSyncError, messageOf } from "../errors.ts";
import type { SourceCheck } from "../manifest/build-manifest.ts";
import { decodeText } from "../manifest/decode-text.ts";
import type { Manifest } from "../manifest/manifest.ts";
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
  /** Whether a source that is missing, or of another kind, is a problem of the manifest; true if not given. */
  readonly checksSources?: boolean;
};

/** Standard input as messages name it. */
const STDIN = "<stdin>";
const names = ["agb-sync.yaml", "agb-sync.yml"];

/**
 * Reads a manifest: the given file, the one in the given directory, standard input for `-`, or the nearest
 * `agb-sync.yaml` from `cwd` upwards. Looks at the sources that it names, but opens none.
 * @throws {AgbSyncError} `MANIFEST_NOT_FOUND`, `MANIFEST_TOO_LARGE`. @throws {ManifestError} with every problem in it.
 */
export async function loadManifest(path: string | undefined, options: LoadOptions): Promise<Manifest> {
  const { cwd, env, sessionId, checksSources = true } = options;
  const known = {
    env,
    ...(sessionId === undefined ? {} : { sessionId }),
    ...(checksSources ? { sourceFault } : {}),
  };
  if (path === "-") {
    const read = (await options.readStdin?.()) ?? "";
    const text = typeof read === "string" ? read : decodeText(read, STDIN);
    return parseManifest(text, { ...known, file: STDIN, directory: cwd });
  }
  const file = findManifest(path, cwd);
  const shown = shortName(file, cwd);
  return parseManifest(decodeText(readBytes(file), shown), { ...known, file: shown, directory: dirname(file) });
}

function sourceFault(localPath: string, wanted: SourceKind): ReturnType<SourceCheck> {
  const look = lookAtSource(localPath, wanted);
  return look.kind === "wrong" ? look : undefined;
}

/** The absolute path of the manifest that `path` (or its absence) means. @throws `MANIFEST_NOT_FOUND`. */
export function findManifest(path: string | undefined, cwd: string): string {
  if (path !== undefined) {
    const file = resolve(cwd, path);
    if (!existsSync(file)) {
      throw new AgbSyncError("MANIFEST_NOT_FOUND", `there is no ${path}`, {
        hint: "check the path, or start a manifest with: agb-sync init",
      });
    }
    if (!statSync(file).isDirectory()) return file;
    const inside = names.map((name) => join(file, name)).find((candidate) => existsSync(candidate));
    if (inside !== undefined) return inside;
    throw new AgbSyncError("MANIFEST_NOT_FOUND", `the directory ${path} holds no agb-sync.yaml`, {
      hint: "name the manifest file itself",
    });
  }
  for (let directory = cwd; ; directory = dirname(directory)) {
    const found = names.map((name) => join(directory, name)).find((candidate) => existsSync(candidate));
    if (found !== undefined) return found;
    if (dirname(directory) === directory) break;
  }
  throw new AgbSyncError("MANIFEST_NOT_FOUND", "there is no agb-sync.yaml here or in a directory above", {
    hint: "start one with: agb-sync init",
  });
}

function readBytes(file: string): Uint8Array {
  const { size } = statSync(file);
  if (size > MAX_MANIFEST_BYTES) {
    throw new AgbSyncError("MANIFEST_TOO_LARGE", `${file} is larger than ${MAX_MANIFEST_BYTES} bytes`, {
      hint: "move large content into source files",
    });
  }
  try {
    return readFileSync(file);
  } catch (cause) {
    throw new AgbSyncError("MANIFEST_NOT_FOUND", `${file} cannot be read: ${messageOf(cause)}`, {
      hint: "check its permissions",
      cause,
    });
  }
}

function shortName(file: string, cwd: string): string {
  const short = relative(cwd, file);
  return short === "" || short.startsWith("..") ? file : short;
}

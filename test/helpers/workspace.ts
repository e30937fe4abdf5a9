import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { onTestFinished } from "vitest";
import type { Manifest } from "../../src/manifest/manifest.ts";
import { parseManifest } from "../../src/manifest/parse-manifest.ts";

/** What a path of a local tree holds: bytes, a directory, or a link. */
export type Local =
  | string
  | Buffer
  | { readonly directory: true; readonly mode?: number }
  | { readonly link: string }
  | { readonly bytes: string | Buffer; readonly mode: number };

/** A temporary directory that is removed when the test ends. */
export function temporaryDirectory(): string {
  const directory = mkdtempSync(join(tmpdir(), "agb-sync-test-"));
  onTestFinished(() => rmSync(directory, { recursive: true, force: true }));
  return directory;
}

/** Makes `directory` hold exactly these entries. */
export function layOut(directory: string, entries: Readonly<Record<string, Local>>): void {
  rmSync(directory, { recursive: true, force: true });
  mkdirSync(directory, { recursive: true });
  for (const [path, what] of Object.entries(entries)) {
    const full = join(directory, path);
    mkdirSync(dirname(full), { recursive: true });
    if (typeof what === "string" || Buffer.isBuffer(what)) writeFileSync(full, what);
    else if ("directory" in what) mkdirSync(full, { recursive: true, mode: what.mode ?? 0o755 });
    else if ("link" in what) symlinkSync(what.link, full);
    else writeFileSync(full, what.bytes, { mode: what.mode });
  }
}

/** A manifest of plain text, as if read from `directory`/agb-sync.yaml. */
export function manifestOf(directory: string, text: string, env: Record<string, string> = {}): Manifest {
  return parseManifest(`version: 1\nroot: /tmp/workspace\n${text}`, { file: "agb-sync.yaml", directory, env });
}

/** A manifest that mirrors `directory`/source into the root. */
export function mirrorOf(directory: string, more = ""): Manifest {
  return manifestOf(directory, `trees: [{ source: source, path: . }]\n${more}`);
}

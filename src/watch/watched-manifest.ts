import type { Clock } from "../clock.ts";
import { hasCode, messageOf } from "../errors.ts";
import { forSession } from "../manifest/for-session.ts";
import type { Manifest } from "../manifest/manifest.ts";

/** A manifest that is not there may be about to be replaced: only after this long is it missed. */
const GONE_MS = 2000;

/** What reading the manifest again found. */
export type ManifestNews =
  | { readonly kind: "same" }
  /** It is not there, which may be so for a moment only. */
  | { readonly kind: "missing" }
  /** `isOther`: what was known of the session must be looked at anew; `changesSession`: another session is asked for. */
  | { readonly kind: "new"; readonly isOther: boolean; readonly changesSession: boolean }
  | { readonly kind: "broken"; readonly error: Error };

/** The last good manifest, whatever stands in the file meanwhile (W25). */
export class WatchedManifest {
  readonly #load: (sessionId?: string) => Promise<Manifest>;
  readonly #clock: Clock;
  #current: Manifest;
  #goneSinceMs: number | undefined;
  #isMissed = false;

  constructor(current: Manifest, load: (sessionId?: string) => Promise<Manifest>, clock: Clock) {
    this.#current = current;
    this.#load = load;
    this.#clock = clock;
  }

  get current(): Manifest {
    return this.#current;
  }

  /** When to look again for a manifest that is not there, by the clock. */
  get nextMs(): number {
    const isAwaited = this.#goneSinceMs !== undefined && !this.#isMissed;
    return isAwaited ? (this.#goneSinceMs ?? 0) + GONE_MS : Number.POSITIVE_INFINITY;
  }

  /** From now on it is meant for this session, whatever becomes of the file. */
  settle(sessionId: string): void {
    this.#current = forSession(this.#current, sessionId);
  }

  async reload(sessionId: string | undefined): Promise<ManifestNews> {
    const before = this.#current;
    try {
      const read = bound(await this.#load(sessionId), sessionId);
      this.#goneSinceMs = undefined;
      this.#isMissed = false;
      if (read === before || textOf(read, "all") === textOf(before, "all")) return { kind: "same" };
      this.#current = read;
      return {
        kind: "new",
        isOther: textOf(read, "rules") !== textOf(before, "rules"),
        changesSession: JSON.stringify(read.session) !== JSON.stringify(before.session),
      };
    } catch (error) {
      if (hasCode(error, "MANIFEST_NOT_FOUND")) {
        const nowMs = this.#clock.now();
        this.#goneSinceMs ??= nowMs;
        this.#isMissed ||= nowMs - this.#goneSinceMs >= GONE_MS;
        if (!this.#isMissed) return { kind: "missing" };
      }
      return { kind: "broken", error: error instanceof Error ? error : new Error(messageOf(error)) };
    }
  }
}

function bound(manifest: Manifest, sessionId: string | undefined): Manifest {
  return sessionId === undefined ? manifest : forSession(manifest, sessionId);
}

/** A manifest as text: all of it, or what decides how the session is compared, which contents of files do not. */
function textOf(manifest: Manifest, what: "all" | "rules"): string {
  return JSON.stringify(manifest, (key, value: unknown) => {
    if (key === "at") return undefined;
    return what === "rules" && (key === "text" || key === "variables" || key === "secrets") ? undefined : value;
  });
}

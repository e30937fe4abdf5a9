import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { Bell } from "../../src/watch/bell.ts";
import type { OpenDirectory } from "../../src/watch/directory-watch.ts";
import { FileHints, SUSPICIOUS_HINTS } from "../../src/watch/file-hints.ts";
import type { Hinted, Hints } from "../../src/watch/hints.ts";
import { UnsettledFiles } from "../../src/watch/unsettled-files.ts";
import { MemorySession } from "./memory-session.ts";
import { VirtualClock } from "./virtual-clock.ts";
import { Watched } from "./watched.ts";

/** Hints that a test gives, and that say of each batch what it wants said. */
class GivenHints implements Hints {
  readonly #bell = new Bell();
  #next: Hinted = { count: 0, firstMs: undefined, places: new Map() };
  readonly lastMs = 0;
  readonly firstMs = undefined;

  get count(): number {
    return this.#bell.count;
  }

  /** As the kernel does when its queue is full: so many came, and nobody knows of the others. */
  give(count: number, places: Hinted["places"]): void {
    this.#next = { count, firstMs: undefined, places };
    this.#bell.ring();
  }

  after(seen: number, signal: AbortSignal): Promise<void> {
    return this.#bell.after(seen, signal);
  }

  take(): Hinted {
    const hinted = this.#next;
    this.#next = { count: 0, firstMs: undefined, places: new Map() };
    return hinted;
  }

  follow = async () => [];
  isFollowing = () => true;
  close = async () => undefined;
}

describe("a burst of which the kernel lost hints (W3)", () => {
  async function prepare() {
    const watched = new Watched();
    const session = new MemorySession();
    const hints = new GivenHints();
    const options = { openHints: () => hints, safetyMs: 3_600_000, rescanMs: 0 };
    await watched.start({ anchor: "x", "d/e": "1" }, options, watched.over(session));
    return { watched, hints };
  }

  it("is looked at once more when it is over, wherever the hints that came pointed", async () => {
    const { watched, hints } = await prepare();
    writeFileSync(join(watched.source, "told"), "1");
    writeFileSync(join(watched.source, "d/untold"), "1");
    hints.give(SUSPICIOUS_HINTS + 1, new Map([[watched.source, new Set(["told"])]]));
    await watched.settled(10_000);
  });

  it("whose places nobody knows is looked at everywhere", async () => {
    const { watched, hints } = await prepare();
    writeFileSync(join(watched.source, "d/untold"), "1");
    hints.give(3, undefined);
    await watched.settled(10_000);
  });

  it("of more than a thousand hints has no places that could be believed", async () => {
    const clock = new VirtualClock();
    let hint: (name: string) => void = () => undefined;
    const open: OpenDirectory = async (_directory, { onHint }) => {
      hint = (name) => onHint(name, false);
      return () => undefined;
    };
    const unsettled = new UnsettledFiles(clock, 50, 2000);
    const hints = new FileHints({ clock, unsettled, onTrouble: () => undefined, open });
    const directory = new Watched().directory;
    await hints.follow(new Map([[directory, "everything"]]));
    for (let index = 0; index < SUSPICIOUS_HINTS; index += 1) hint(`f${index}`);
    expect(hints.take().places?.get(directory)?.size).toBe(SUSPICIOUS_HINTS);
    for (let index = 0; index <= SUSPICIOUS_HINTS; index += 1) hint(`g${index}`);
    expect(hints.take()).toMatchObject({ count: SUSPICIOUS_HINTS + 1, places: undefined });
    await hints.close();
  });
});

import { readFileSync, renameSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it, onTestFinished, vi } from "vitest";
import { safely, Watched } from "./watched.ts";

/** Nothing is looked at but what was hinted at. */
const hintsOnly = { safetyMs: 3_600_000, rescanMs: 0 };
const FILE = "src/main.c";
const FENCE = "fence/number";

/** One thing that an editor does in the directory of the file. */
type Deed = (directory: string) => void;

const write =
  (name: string, text: string): Deed =>
  (directory) =>
    writeFileSync(join(directory, name), text);
const rename =
  (from: string, to: string): Deed =>
  (directory) =>
    renameSync(join(directory, from), join(directory, to));
const remove =
  (name: string): Deed =>
  (directory) =>
    rmSync(join(directory, name));
const link =
  (target: string, name: string): Deed =>
  (directory) =>
    symlinkSync(target, join(directory, name));

type Editor = {
  readonly saves: number;
  /** Whether nobody can tell from names what is meant between its deeds, so that only the whole of a save counts. */
  readonly isAtOnce?: true;
  /** What it does when it opens and closes the file. */
  readonly open?: readonly Deed[];
  readonly close?: readonly Deed[];
  readonly save: (text: string, nth: number) => readonly Deed[];
};

const editors: Readonly<Record<string, Editor>> = {
  "a temporary file and a rename": {
    saves: 100,
    isAtOnce: true,
    save: (text) => [write("main.c.tmp", text), rename("main.c.tmp", "main.c")],
  },
  "gedit, through .goutputstream": {
    saves: 4,
    save: (text, nth) => [write(`.goutputstream-AB${nth}`, text), rename(`.goutputstream-AB${nth}`, "main.c")],
  },
  "vim with a backup while it writes": {
    saves: 4,
    open: [
      write(".main.c.swp", ""),
      write(".main.c.swx", ""),
      remove(".main.c.swx"),
      write(".main.c.swp", "b0VIM 9.0"),
    ],
    save: (text) => [
      write(".main.c.swp", `b0VIM 9.0 ${text}`),
      write("4913", ""),
      remove("4913"),
      rename("main.c", "main.c~"),
      write("main.c", text),
      remove("main.c~"),
    ],
    close: [remove(".main.c.swp")],
  },
  "VS Code, emptying and writing": {
    saves: 10,
    isAtOnce: true,
    save: (text) => [write("main.c", ""), write("main.c", text)],
  },
  "a JetBrains safe write": {
    saves: 4,
    save: (text) => [
      write("main.c___jb_tmp___", text),
      rename("main.c", "main.c___jb_old___"),
      rename("main.c___jb_tmp___", "main.c"),
      remove("main.c___jb_old___"),
    ],
  },
  "Emacs with a lock, automatic saves and a backup that is removed": {
    saves: 4,
    save: (text) => [
      link("somebody@host.1234:1700000000", ".#main.c"),
      write("#main.c#", text.slice(0, 5)),
      write("#main.c#", text),
      rename("main.c", "main.c~"),
      write("main.c", text),
      remove("#main.c#"),
      remove(".#main.c"),
      remove("main.c~"),
    ],
  },
  "Kate with its swap file": {
    saves: 4,
    save: (text) => [write(".main.c.kate-swp", text), write("main.c", text), remove(".main.c.kate-swp")],
  },
};

/** A watch that can be made to look, and an editor at work in front of it. */
class Desk {
  readonly watched = new Watched();
  #fences = 0;

  async start(): Promise<void> {
    await this.watched.start({ anchor: "always here", [FILE]: "as it was\n", [FENCE]: "0" }, hintsOnly);
  }

  /** Carries out what an editor does, with a look of the watch between any two deeds or with none at all. */
  async carryOut(deeds: readonly Deed[], looks: boolean): Promise<void> {
    for (const deed of deeds) {
      deed(join(this.watched.source, "src"));
      if (looks) await this.look();
    }
  }

  /** Ends when the watch has looked at everything that was done before: hints come in order. */
  async look(): Promise<void> {
    this.#fences += 1;
    const text = `${this.#fences}`;
    writeFileSync(join(this.watched.source, FENCE), text);
    await this.watched.until(() => this.sent(FENCE) === text);
  }

  sent(path: string): string {
    return readFileSync(join(this.watched.root, path), "utf8");
  }

  /** What was done in the session, but for what makes the watch look. */
  get steps(): readonly string[] {
    return this.watched.steps.filter((step) => step !== `write ${FENCE}`);
  }

  /** Whatever was told beside cycles. */
  get troubles(): readonly unknown[] {
    const { watched } = this;
    const failures = watched.cycles.flatMap(({ newConflicts, newFailures }) => [...newConflicts, ...newFailures]);
    return [...watched.events.filter(({ type }) => type !== "ready" && type !== "cycle"), ...failures];
  }
}

async function opened(): Promise<Desk> {
  const desk = new Desk();
  await desk.start();
  return desk;
}

const ways = Object.entries(editors).flatMap(([name, editor]) => [
  { name, editor, when: "all at once", looks: false },
  ...(editor.isAtOnce ? [] : [{ name, editor, when: "with a look after each deed", looks: true }]),
]);

describe("the save of an editor", () => {
  it.each(ways)("is one write of the file: $name, $when (W9)", async ({ editor, looks }) => {
    const desk = await opened();
    const { watched } = desk;
    const { open = [], close = [], save, saves } = editor;
    const before = Object.keys(safely(watched.root) ?? {});
    await desk.carryOut(open, looks);
    for (let nth = 1; nth <= saves; nth += 1) {
      const text = `version ${nth}\n`.repeat(nth);
      await desk.carryOut(save(text, nth), looks);
      if (close.length === 0) await watched.settled();
      await watched.until(() => desk.sent(FILE) === text);
      expect(Object.keys(safely(watched.root) ?? {})).toEqual(before);
    }
    await desk.carryOut(close, looks);
    await desk.look();
    expect(watched.isEqual()).toBe(true);
    expect(desk.steps).toEqual(Array.from({ length: saves }, () => `write ${FILE}`));
    expect(desk.troubles).toEqual([]);
  });

  it("sends a backup that stays, but later and as a file like any other (W9)", async () => {
    const desk = await opened();
    const { watched } = desk;
    await desk.carryOut([rename("main.c", "main.c~"), write("main.c", "first save")], true);
    expect(desk.steps).toEqual([`write ${FILE}`]);
    await watched.settled();
    expect(desk.sent(`${FILE}~`)).toBe("as it was\n");
    await desk.carryOut([rename("main.c", "main.c~"), write("main.c", "second save")], true);
    await watched.settled();
    expect(desk.sent(`${FILE}~`)).toBe("first save");
    expect(desk.steps.filter((step) => !step.startsWith("write"))).toEqual([]);
    expect(desk.troubles).toEqual([]);
  });

  it("does not keep a file that was deleted while an editor had it open (W9)", async () => {
    const desk = await opened();
    await desk.carryOut(
      [write(".main.c.swp", "b0VIM 9.0"), link("nobody@host.1:1", ".#main.c"), remove("main.c")],
      true,
    );
    await desk.watched.until(() => desk.steps.length > 0);
    expect(desk.steps).toEqual([`delete ${FILE}`]);
    expect(desk.troubles).toEqual([]);
  });

  it.each<[string, Deed]>([
    [".main.c.swp", write(".main.c.swp", "b0VIM 9.0")],
    [".main.c.kate-swp", write(".main.c.kate-swp", "new text")],
    ["#main.c#", write("#main.c#", "new text")],
    [".#main.c", link("somebody@host.1234:1700000000", ".#main.c")],
    ["main.c___jb_tmp___", write("main.c___jb_tmp___", "new text")],
  ])("keeps %s here for as long as the file is open (W9)", async (name, deed) => {
    const desk = await opened();
    await desk.carryOut([deed], true);
    const now = Date.now.bind(Date);
    const anHourLater = vi.spyOn(Date, "now").mockImplementation(() => now() + 3_600_000);
    onTestFinished(() => anHourLater.mockRestore());
    await desk.carryOut([write("beside.c", "x")], true);
    expect(desk.steps).toEqual(["write src/beside.c"]);
    expect(Object.keys(safely(desk.watched.root) ?? {})).not.toContain(`src/${name}`);
    await desk.carryOut([remove(name)], true);
    expect(desk.watched.isEqual()).toBe(true);
    expect(desk.troubles).toEqual([]);
  });
});

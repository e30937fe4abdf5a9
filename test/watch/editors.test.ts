import { mkdirSync, readFileSync, renameSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { Watched } from "./watched.ts";

const anchored = { anchor: "always here", "sub/notes.md": "0\n" };
/** Nothing is looked at but what was hinted at. */
const hintsOnly = { safetyMs: 3_600_000, rescanMs: 0 };

type Save = (directory: string, text: string) => void;
/** How an editor saves `notes.md`, how often that is tried, and what it leaves beside it while the file is open. */
type Editor = { readonly save: Save; readonly times: number; readonly open?: (directory: string) => () => void };

const at = (directory: string, name: string) => join(directory, name);
const write = (directory: string, name: string, text: string) => writeFileSync(at(directory, name), text);
const rename = (directory: string, from: string, to: string) => renameSync(at(directory, from), at(directory, to));
const remove = (directory: string, name: string) => rmSync(at(directory, name));

function vim(directory: string, text: string): void {
  write(directory, "4913", "");
  remove(directory, "4913");
  rename(directory, "notes.md", "notes.md~");
  write(directory, "notes.md", text);
  remove(directory, "notes.md~");
}

const editors: Readonly<Record<string, Editor>> = {
  "a temporary name and a rename": {
    times: 100,
    save(directory, text) {
      write(directory, ".notes.md.goutputstream-X1", "");
      rename(directory, ".notes.md.goutputstream-X1", ".goutputstream-AB12CD");
      write(directory, ".goutputstream-AB12CD", text);
      rename(directory, ".goutputstream-AB12CD", "notes.md");
    },
  },
  "writing over it, as VS Code does": { times: 20, save: (directory, text) => write(directory, "notes.md", text) },
  "vim with a backup and a swap file": {
    times: 20,
    save: vim,
    open(directory) {
      write(directory, ".notes.md.swx", "");
      remove(directory, ".notes.md.swx");
      write(directory, ".notes.md.swp", "b0VIM");
      return () => remove(directory, ".notes.md.swp");
    },
  },
  "the safe write of JetBrains": {
    times: 20,
    save(directory, text) {
      write(directory, "notes.md___jb_tmp___", text);
      rename(directory, "notes.md", "notes.md___jb_old___");
      rename(directory, "notes.md___jb_tmp___", "notes.md");
      remove(directory, "notes.md___jb_old___");
    },
  },
  "Emacs with a lock and an automatic save": {
    times: 20,
    save(directory, text) {
      write(directory, "#notes.md#", text.slice(0, 3));
      rename(directory, "notes.md", "notes.md~");
      write(directory, "notes.md", text);
      remove(directory, "#notes.md#");
      remove(directory, "notes.md~");
    },
    open(directory) {
      symlinkSync("somebody@host.1234:1700000000", at(directory, ".#notes.md"));
      return () => remove(directory, ".#notes.md");
    },
  },
};

describe("watching what editors save", () => {
  it.each(Object.entries(editors))("uploads only the final bytes of %s (W9)", async (_name, { save, times, open }) => {
    const watched = new Watched();
    await watched.start(anchored, hintsOnly);
    const directory = join(watched.source, "sub");
    const saved = () => readFileSync(join(watched.root, "sub/notes.md"), "utf8");
    const close = open?.(directory);
    for (let index = 1; index <= times; index += 1) {
      const text = `version ${index}\n`.repeat(index);
      save(directory, text);
      await watched.until(() => saved() === text);
    }
    close?.();
    write(directory, "fence", "everything before this was looked at");
    await watched.settled();
    const [fence, ...others] = watched.steps.toReversed();
    expect(fence).toBe("write sub/fence");
    expect(others).toEqual(Array.from({ length: times }, () => "write sub/notes.md"));
  });

  it("takes a backup that an editor leaves behind for a file like any other (W9)", async () => {
    const watched = new Watched();
    await watched.start(anchored, hintsOnly);
    const directory = join(watched.source, "sub");
    rename(directory, "notes.md", "notes.md~");
    write(directory, "notes.md", "new");
    await watched.settled();
    expect(watched.steps.filter((step) => step.startsWith("delete"))).toEqual([]);
    expect(readFileSync(join(watched.root, "sub/notes.md~"), "utf8")).toBe("0\n");
  });

  it("sends a directory whose files merely look like an editor's, once they stay (W9)", async () => {
    const watched = new Watched();
    await watched.start(anchored, hintsOnly);
    mkdirSync(join(watched.source, "kept"));
    write(watched.source, "kept/old~", "1");
    write(watched.source, "kept/4913", "not empty");
    await watched.settled();
  });
});

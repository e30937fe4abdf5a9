import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { apply } from "../../src/reconcile/apply-plan.ts";
import { inOrderOfMaking, orderOf } from "../../src/state/backup-names.ts";
import { listBackups, pruneBackups } from "../../src/state/backups.ts";
import { kinds } from "../helpers/kinds.ts";
import { layOut, mirrorOf, temporaryDirectory } from "../helpers/workspace.ts";

const { signal } = new AbortController();

describe("the order of backups (S42)", () => {
  it("is that of their numbers, whatever their times say; then come those of before, then what is not ours", () => {
    const names = ["20300101T000000Z-000001", "20200101T000000Z-000002", "20100101T000000Z-1000000"];
    const older = ["20260101T000000Z-0a1b2c", "20260102T000000Z-0a1b2d"];
    expect(inOrderOfMaking([names[2], older[1], "mine", names[1], older[0], names[0]].map(String))).toEqual([
      "mine",
      ...older,
      ...names,
    ]);
  });

  it.each<[string, number | undefined]>([
    ["20260101T000000Z-000042", 42],
    ["20260101T000000Z-123456789012345", 123_456_789_012_345],
    ["20260101T000000Z-0a1b2c", 0],
    ["20260101T000000Z-1234567890123456", undefined],
    ["20260101T000000Z-00042", undefined],
    ["20260101-000042", undefined],
    ["mine", undefined],
  ])("of %s is %s", (name, order) => {
    expect(orderOf(name)).toBe(order);
  });
});

describe.each(kinds.filter(({ name }) => ["embedded, steps", "AGB with shell, batch"].includes(name)))(
  "$name",
  ({ strategy, open }) => {
    const options = { strategy, signal, onConflict: "overwrite" } as const;

    /** Each round overwrites somebody's bytes, so that it makes a backup. */
    async function prepare() {
      const { session, rootDirectory } = await open();
      const directory = temporaryDirectory();
      layOut(join(directory, "source"), { a: "0" });
      await apply(mirrorOf(directory), session, options);
      const state = join(rootDirectory, ".agb-sync");
      let round = 0;
      const overwrite = async () => {
        round += 1;
        writeFileSync(join(rootDirectory, "a"), `theirs ${round}`);
        layOut(join(directory, "source"), { a: `${round}` });
        await apply(mirrorOf(directory), session, options);
      };
      const numbers = () =>
        readdirSync(join(state, "backup"))
          .map(orderOf)
          .toSorted((one = 0, other = 0) => one - other);
      return { session, state, overwrite, numbers };
    }

    it("gives no number twice, also when the newest backup or the counter is lost (S42)", async () => {
      const { session, state, overwrite, numbers } = await prepare();
      await overwrite();
      await overwrite();
      expect([numbers(), readFileSync(join(state, "counter"), "utf8")]).toEqual([[1, 2], "2\n"]);
      for (const name of readdirSync(join(state, "backup"))) rmSync(join(state, "backup", name), { recursive: true });
      await overwrite();
      expect(numbers()).toEqual([3]);
      rmSync(join(state, "counter"));
      await overwrite();
      expect(numbers()).toEqual([3, 4]);
      writeFileSync(join(state, "counter"), "1\n");
      await overwrite();
      expect([numbers(), readFileSync(join(state, "counter"), "utf8")]).toEqual([[3, 4, 5], "5\n"]);
      await session.close();
    });

    it("keeps what it did not make, and the backup that a run has just made (S42)", async () => {
      const { session, state, overwrite, numbers } = await prepare();
      for (let number = 11; number <= 15; number += 1)
        mkdirSync(join(state, "backup", `29990101T000000Z-${String(number).padStart(6, "0")}/d`), { recursive: true });
      for (const name of ["mine", "20000101T000000Z-copy"])
        mkdirSync(join(state, "backup", name, "d"), { recursive: true });
      await overwrite();
      expect(numbers().filter((number) => number !== undefined)).toEqual([12, 13, 14, 15, 16]);
      expect(readdirSync(join(state, "backup"))).toEqual(expect.arrayContaining(["mine", "20000101T000000Z-copy"]));
      const { transport } = session.openWorkspace("/tmp/workspace");
      mkdirSync(join(state, "backup/29990101T000000Z-000009/d"), { recursive: true });
      // Seven of ours; a run that made those from 13 on removes only what is older.
      mkdirSync(join(state, "backup/29990101T000000Z-000017/d"), { recursive: true });
      await pruneBackups(transport, signal, 12);
      const left = (await listBackups(transport, signal)).map(orderOf).filter((number) => number !== undefined);
      expect(left).toEqual([12, 13, 14, 15, 16, 17]);
      await session.close();
    });
  },
);

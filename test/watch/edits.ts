import {
  appendFileSync,
  chmodSync,
  existsSync,
  mkdirSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { dirname, join } from "node:path";
import { setTimeout as wait } from "node:timers/promises";
import { seededRandom } from "../../src/emulator/session/parse-faults.ts";

type Random = () => number;
type Edit = (source: string, random: Random) => Promise<void> | void;

const names = ["a", "b", "c d", "sub/e", "sub/deep/f", "g.txt"];

/** What people and their tools do to files. */
export const edits: Readonly<Record<string, Edit>> = {
  write(source, random) {
    const file = join(source, pick(random, names));
    mkdirSync(dirname(file), { recursive: true });
    writeFileSync(file, `${random()}`);
  },
  rename(source, random) {
    const [from, to] = [join(source, pick(random, names)), join(source, pick(random, names))];
    if (!existsSync(from) || from === to) return;
    mkdirSync(dirname(to), { recursive: true });
    renameSync(from, to);
  },
  delete(source, random) {
    rmSync(join(source, pick(random, names)), { force: true });
  },
  moveDirectory(source) {
    rmSync(join(source, "moved"), { recursive: true, force: true });
    if (existsSync(join(source, "sub"))) renameSync(join(source, "sub"), join(source, "moved"));
  },
  replaceDirectory(source, random) {
    rmSync(join(source, "sub"), { recursive: true, force: true });
    mkdirSync(join(source, "sub/deep"), { recursive: true });
    writeFileSync(join(source, "sub/deep/f"), `${random()}`);
  },
  chmod(source, random) {
    const file = join(source, pick(random, names));
    if (existsSync(file)) chmodSync(file, random() < 0.5 ? 0o755 : 0o644);
  },
  async append(source, random) {
    for (let part = 0; part < 4; part += 1) {
      appendFileSync(join(source, "log"), `${random()}\n`);
      await wait(3);
    }
  },
  atomicSave(source, random) {
    const file = join(source, pick(random, ["a", "b"]));
    writeFileSync(`${file}.tmp`, `${random()}`);
    renameSync(`${file}.tmp`, file);
  },
  backupSave(source, random) {
    const file = join(source, pick(random, ["a", "b"]));
    if (existsSync(file)) renameSync(file, `${file}~`);
    writeFileSync(file, `${random()}`);
    rmSync(`${file}~`, { force: true });
  },
  swap(source) {
    const [one, other] = [join(source, "a"), join(source, "b")];
    if (!existsSync(one) || !existsSync(other)) return;
    renameSync(one, `${one}.swap`);
    renameSync(other, one);
    renameSync(`${one}.swap`, other);
  },
  symlink(source, random) {
    rmSync(join(source, "link"), { force: true });
    symlinkSync(random() < 0.5 ? "anchor" : "a", join(source, "link"));
  },
  ignore(source, random) {
    writeFileSync(join(source, ".gitignore"), pick(random, ["", "*.txt\n", "log\n", "sub/deep\n", "/a\n!b\n"]));
  },
};

/** Carries out `count` edits, drawn by `seed`, with pauses. */
export async function edit(source: string, seed: number, count: number, among: readonly Edit[]): Promise<void> {
  const random = seededRandom(seed);
  for (let step = 0; step < count; step += 1) {
    await among[Math.floor(random() * among.length)]?.(source, random);
    if (random() < 0.4) await wait(random() * 25);
  }
}

/** Everything but the edits of ignore files, which need a manifest that heeds them. */
export const plainEdits: readonly Edit[] = Object.entries(edits).flatMap(([name, one]) =>
  name === "ignore" ? [] : [one],
);

function pick(random: Random, list: readonly string[]): string {
  return list[Math.floor(random() * list.length)] ?? list[0] ?? "";
}

/** Writes files in as many directories as asked for, a thousand each. */
export function burst(source: string, files: number): void {
  const directories = Math.ceil(files / 1000);
  for (let index = 0; index < directories; index += 1) mkdirSync(join(source, `burst${index}`));
  for (let index = 0; index < files; index += 1)
    writeFileSync(join(source, `burst${index % directories}/f${index}`), "");
}

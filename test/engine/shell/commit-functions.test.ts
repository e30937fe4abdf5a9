import { createHash } from "node:crypto";
import {
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  renameSync,
  rmSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import commitBackups from "../../../src/engine/shell/commit-backups.sh.generated.js";
import commitFunctions from "../../../src/engine/shell/commit-functions.sh.generated.js";
import { shellProgram } from "../../../src/transport/shell-program.ts";
import { quoteForShell } from "../../../src/transport/shell-quote.ts";
import { runIn, type TestShell, testShells } from "../../helpers/shells.ts";
import { type Local, layOut } from "../../helpers/workspace.ts";

/** A tree as it is laid out, and as it is found: bytes, `-> target`, or `/` for a directory. */
type Tree = Readonly<Record<string, Local>>;
type Found = Readonly<Record<string, string>>;

type Case = {
  readonly name: string;
  /** What stands in the root, the stage (`t/…` is staged, `o/…` and `h/…` was set aside) and the state directory. */
  readonly root?: Tree;
  readonly stage?: Tree;
  readonly state?: Tree;
  /** Lines of work, in a shell whose `$R` is the root; `elsewhere` beside the root is an empty directory. */
  readonly lines: string;
  /** First words of the faults; none where left out. */
  readonly faults?: readonly string[];
  /** The first line of the report. */
  readonly word?: string;
  /** All of the root, but for the state. */
  readonly after: Found;
  /** All of the backups, without their own names. */
  readonly backup?: Found;
  /** All that was set aside in the stage. */
  readonly aside?: Found;
};

const hex = (text: string) => createHash("sha256").update(text).digest("hex");
const hostile = [
  "a\nb",
  "-n",
  " x ",
  "$(touch x)",
  "`y`",
  "back\\slash",
  "'q'",
  '"q"',
  "*",
  "?[a]",
  "é",
  "#",
  "~",
  "f 1",
];
const names = [...hostile, "x".repeat(255)];
const words = names.map(quoteForShell).join(" ");
const all = (folder: string, bytes: (name: string) => string = (name) => name) =>
  Object.fromEntries(names.map((name) => [`${folder}${name}`, bytes(name)]));
/** What becomes of names that have to be given one by one. */
const each = (line: (word: string) => string) => names.map((name) => line(quoteForShell(name))).join("\n");
const link = (target: string) => ({ link: target });

const cases: readonly Case[] = [
  // T: a new directory with all that was staged in it
  {
    name: "T brings a directory with what is in it",
    stage: { "t/d/e/f": "1", ...all("t/d/") },
    lines: "o 0 '' '' T 0755 d",
    after: { "d/e/f": "1", ...all("d/") },
  },
  {
    name: "T takes hostile names",
    stage: all("t/a/", () => ""),
    lines: each((n) => `o 0 '' a T 0755 ${n}`),
    root: { a: { directory: true } },
    after: all("a/", () => ""),
  },
  {
    name: "T refuses what appeared, be it a link to nothing",
    root: { d: link("nowhere"), e: "1" },
    stage: { "t/d/f": "1", "t/e/f": "1" },
    lines: "o 0 '' '' T 0755 d\no 1 '' '' T 0755 e",
    faults: ["0 all appeared", "1 all appeared"],
    after: { d: "-> nowhere", e: "1" },
  },
  // W: staged files
  {
    name: "W n puts many files where nothing is",
    root: { d: { directory: true } },
    stage: all("t/d/"),
    lines: `o 0 '' d W n ${words}`,
    after: all("d/"),
  },
  {
    name: "W n leaves out what appeared, and puts the others",
    root: { a: "foreign", b: link("nowhere"), d: { directory: true } },
    stage: { "t/a": "1", "t/b": "2", "t/c": "3", "t/d": "4" },
    lines: "o 0 '' '' W n a b c d",
    faults: ["0 0 appeared", "0 1 appeared", "0 3 appeared"],
    after: { a: "foreign", b: "-> nowhere", c: "3", d: "/" },
  },
  {
    name: "W r replaces and sets aside",
    root: all("d/"),
    stage: all("t/d/", () => "new"),
    lines: `o 3 '' d W r ${words}`,
    after: all("d/", () => "new"),
    aside: all("o/3/d/"),
  },
  {
    name: "W r refuses what is no file any more",
    root: { a: link("x"), "b/c": "1", d: "old" },
    stage: { "t/a": "1", "t/b": "2", "t/d": "3", "t/e": "4" },
    lines: "o 0 '' '' W r a b d e",
    faults: ["0 0 changed", "0 1 changed", "0 3 changed"],
    after: { a: "-> x", "b/c": "1", d: "3" },
    aside: { "o/0/d": "old" },
  },
  {
    name: "W b replaces and keeps a backup",
    root: all("d/"),
    stage: all("t/d/", () => "new"),
    lines: `o 0 '' d W b ${words}`,
    after: all("d/", () => "new"),
    backup: all("d/"),
  },
  {
    name: "W b changes nothing where the backup leads outside",
    root: { "d/a": "old" },
    state: { backup: link("../../elsewhere") },
    stage: { "t/d/a": "new" },
    lines: "o 0 '' d W b a",
    faults: ["0 all outside"],
    after: { "d/a": "old" },
  },
  // L: a link
  {
    name: "L n makes links of any target",
    root: { d: { directory: true } },
    lines: each((n) => `o 0 '' d L n ${n} ${n}`),
    after: Object.fromEntries(names.map((n) => [`d/${n}`, `-> ${n}`])),
  },
  {
    name: "L n refuses what appeared",
    root: { a: "1", b: link("nowhere") },
    lines: "o 0 '' '' L n t a\no 1 '' '' L n t b",
    faults: ["0 all appeared", "1 all appeared"],
    after: { a: "1", b: "-> nowhere" },
  },
  {
    name: "L replaces a link that leads to a directory",
    root: { "d/f": "1", a: link("d"), b: link("d") },
    lines: "o 0 '' '' L r new a\no 1 '' '' L b new b",
    after: { "d/f": "1", a: "-> new", b: "-> new" },
    aside: { "o/0/a": "-> d" },
    backup: { b: "-> d" },
  },
  {
    name: "L r replaces a link or a file and sets it aside",
    root: { a: link("-x"), b: "1" },
    lines: "o 0 '' '' L r new a\no 1 '' '' L r new b",
    after: { a: "-> new", b: "-> new" },
    aside: { "o/0/a": "-> -x", "o/1/b": "1" },
  },
  {
    name: "L b keeps what was there in the backup",
    root: { "d/a": link("x\n"), "d/b": "1" },
    lines: "o 0 '' d L b new a\no 1 '' d L b new b",
    after: { "d/a": "-> new", "d/b": "-> new" },
    backup: { "d/a": "-> x\n", "d/b": "1" },
  },
  {
    name: "L refuses a directory, and what is gone",
    root: { "a/f": "1" },
    lines: "o 0 '' '' L r t a\no 1 '' '' L b t b",
    faults: ["0 all changed", "1 all changed"],
    after: { "a/f": "1" },
  },
  // M and N: moves
  {
    name: "M moves files, links and directories, and makes what is missing",
    root: { a: "1", l: link("x"), "d/e/f": "2" },
    lines: "o 0 '' '' M new/deep a b\no 1 '' '' M '' l -m\no 2 '' d M '' e d2",
    after: { "new/deep/b": "1", "-m": "-> x", d: "/", "d2/f": "2" },
  },
  {
    name: "M takes hostile names",
    root: { ...all("d/"), e: { directory: true } },
    lines: each((n) => `o 0 '' d M e ${n} ${n}`),
    after: { d: "/", ...all("e/") },
  },
  {
    name: "M refuses what appeared, and says what failed",
    root: { a: "1", "e/b": "foreign" },
    lines: "o 0 '' '' M e a b\no 1 '' '' M e gone c",
    faults: ["0 all appeared", "1 all failed"],
    after: { a: "1", "e/b": "foreign" },
  },
  {
    name: "M goes through no link, at either end",
    root: { a: "1", e: link("../elsewhere"), "d/b": "2" },
    lines: "o 0 '' '' M e a b\no 1 '' '' M e/deep a b\nmv $R/d $R/d2; ln -s d2 $R/d\no 2 '' d M '' b b",
    faults: ["0 all outside", "1 all missing", "2 all outside"],
    after: { a: "1", e: "-> ../elsewhere", d: "-> d2", "d2/b": "2" },
  },
  { name: "N moves neighbours", root: all("d/"), lines: `o 0 '' d N e/f ${words}`, after: { d: "/", ...all("e/f/") } },
  {
    name: "N leaves out what appeared",
    root: { "d/a": "1", "d/b": "2", "d/c": "3", "e/b": link("nowhere") },
    lines: "o 0 '' d N e a b c",
    faults: ["0 1 appeared"],
    after: { "d/b": "2", "e/a": "1", "e/b": "-> nowhere", "e/c": "3" },
  },
  // C: modes (what they are is seen by the suite of every kind of session)
  {
    name: "C follows no link, and says what failed",
    root: { a: link("/etc/passwd") },
    lines: "o 0 '' '' C 0600 a\no 1 '' '' C 0600 gone",
    faults: ["0 all changed", "1 all failed"],
    after: { a: "-> /etc/passwd" },
  },
  { name: "C takes hostile names", root: all("d/"), lines: each((n) => `o 0 '' d C 0600 ${n}`), after: all("d/") },
  // X, Y, B: deletions
  {
    name: "X sets files and links aside",
    root: { ...all("d/"), l: link("x") },
    lines: `o 7 '' d X ${words}\no 8 '' '' X l`,
    after: { d: "/" },
    aside: { ...all("o/7/d/"), "o/8/l": "-> x" },
  },
  {
    name: "X refuses a directory, and does not miss what is gone",
    root: { "a/f": "1", b: "2" },
    lines: "o 0 '' '' X a gone b",
    faults: ["0 0 changed"],
    after: { "a/f": "1" },
    aside: { "o/0/b": "2" },
  },
  {
    name: "Y removes what is empty, and nothing else",
    root: { a: { directory: true }, "b/f": "1", c: link("a"), d: "2", "-n": { directory: true } },
    lines: "o 0 '' '' Y -n\no 1 '' '' Y b\no 2 '' '' Y c\no 3 '' '' Y d\no 4 '' '' Y gone",
    after: { a: "/", "b/f": "1", c: "-> a", d: "2" },
  },
  {
    name: "B takes files and links to the backup",
    root: { ...all("d/"), l: link("x") },
    lines: `${each((n) => `o 0 '' d B ${n}`)}\no 1 '' '' B l\no 2 '' '' B gone`,
    after: { d: "/" },
    backup: { ...all("d/"), l: "-> x" },
  },
  {
    name: "B leaves everything where the backup leads outside",
    root: { "d/a": "1" },
    state: { backup: link("../../elsewhere") },
    lines: "o 0 '' d B a",
    faults: ["0 all outside"],
    after: { "d/a": "1" },
  },
  // H, P, U: cycles
  {
    name: "H and P swap",
    root: { a: "1", "d/b": "2" },
    lines: "o 0 '' '' H 4 a\no 1 '' d H 5 b\no 2 '' d P 4 a b\no 3 '' '' P 5 d/b a",
    after: { a: "2", "d/b": "1" },
  },
  {
    name: "H, P and U take hostile names",
    root: { ...all("d/"), e: { directory: true } },
    lines: `${each((n) => `o 0 '' d H 4 ${n}`)}\n${each((n) => `o 0 '' e P 4 d/${n} ${n}`)}\n${each((n) => `o 0 '' e H 5 ${n}\nU 5 e ${n}`)}`,
    after: { d: "/", ...all("e/") },
  },
  {
    name: "P makes its directory",
    root: { x: "1" },
    lines: "o 0 '' '' H 4 x\no 1 '' x/y P 4 x z",
    after: { "x/y/z": "1" },
  },
  {
    name: "P refuses what appeared, and U puts back",
    root: { a: "1", b: "2" },
    lines: "o 0 '' '' H 4 a\no 1 '' '' P 4 a b\nU 4 '' a",
    faults: ["1 all appeared"],
    after: { a: "1", b: "2" },
  },
  {
    name: "U leaves what appeared meanwhile",
    root: { a: "1" },
    lines: "o 0 '' '' H 4 a\necho foreign >$R/a\nU 4 '' a",
    after: { a: "foreign\n" },
    aside: { "h/4/a": "1" },
  },
  // o and enter
  {
    name: "o skips what waits for a fault, and no other line",
    root: { a: "1", b: "2" },
    stage: { "t/a": "x" },
    lines: "o 1 '' '' W n a\no 2 '0 1' '' X b\no 3 '11 0' '' C 0600 b\no 4 '2' '' X b",
    faults: ["1 0 appeared", "2 all skipped", "4 all skipped"],
    after: { a: "1", b: "2" },
  },
  {
    name: "o begins nothing once it is told to stop",
    root: { a: "1" },
    lines: ": >$ST/stop\no 0 '' '' X a",
    faults: ["0 all skipped interrupted"],
    after: { a: "1" },
  },
  {
    name: "enter refuses links, files and gaps among the parents",
    root: { "d/e/f": "1", l: link("d"), "d/m": link("../d/e"), g: "2" },
    lines: "o 0 '' l X e\no 1 '' l/e X f\no 2 '' d/m X f\no 3 '' g X f\no 4 '' gone X f\no 5 '' d/gone X f",
    faults: ["0 all outside", "1 all outside", "2 all outside", "3 all missing", "4 all missing", "5 all missing"],
    after: { "d/e/f": "1", l: "-> d", "d/m": "-> ../d/e", g: "2" },
  },
  {
    name: "enter takes hostile parents",
    root: Object.fromEntries(names.map((n) => [`${n}/${n}/f`, "1"])),
    lines: each((n) => `o 0 '' ${n}/${n} X f`),
    after: Object.fromEntries(names.map((n) => [`${n}/${n}`, "/"])),
    aside: Object.fromEntries(names.map((n) => [`o/0/${n}/${n}/f`, "1"])),
  },
  {
    name: "a backup goes through no link among its parents",
    root: { "d/a": "1" },
    state: { "backup/20260102T030405Z-000007/d": link("../../../../elsewhere") },
    lines: "NAME=20260102T030405Z-000007\no 0 '' d B a",
    faults: ["0 all outside"],
    after: { "d/a": "1" },
    backup: { d: "-> ../../../../elsewhere" },
  },
  // A and K: before the work
  {
    name: "A and K pass what is as it was",
    root: { l: link("x \n") },
    lines: "A a\nA 'b\nc'\nK l 'x \n'",
    after: { l: "-> x \n" },
  },
  {
    name: "A finds what appeared",
    root: { l: link("nowhere") },
    lines: "A l",
    word: "stale",
    after: { l: "-> nowhere" },
  },
  {
    name: "K finds a link that differs by a line break at its end",
    root: { l: link("x\n") },
    lines: "K l x",
    word: "stale",
    after: { l: "-> x\n" },
  },
  { name: "K finds a link that is gone", lines: "K l x", word: "stale", after: {} },
  // V, VL, F: after the work
  {
    name: "V and VL pass what the plan saw, and what was never set aside",
    stage: { "o/1/d/a": "old", "o/2/l": link("x\n") },
    lines: `V 1 0 d a ${hex("old")} ''\nVL 2 0 '' l 'x\n' ''\nV 3 0 d gone ${hex("")} ''`,
    after: {},
    aside: { "o/1/d/a": "old", "o/2/l": "-> x\n" },
  },
  {
    name: "V gives back what was not seen, where nothing is now",
    root: { d: { directory: true } },
    stage: { "o/1/d/a": "foreign", "o/1/d/b": link("x") },
    lines: `V 1 0 d a ${hex("old")} ''\nV 1 1 d b ${hex("old")} ''`,
    faults: ["1 0 changed", "1 1 changed"],
    after: { "d/a": "foreign", "d/b": "-> x" },
  },
  {
    name: "V gives back over our own bytes",
    root: all("d/", () => "our"),
    stage: all("o/1/d/", (name) => `foreign ${name}`),
    lines: names.map((n, i) => `V 1 ${i} d ${quoteForShell(n)} ${hex("old")} ${hex("our")}`).join("\n"),
    faults: names.map((_, i) => `1 ${i} changed`),
    after: all("d/", (name) => `foreign ${name}`),
  },
  {
    name: "V keeps what was not seen in the backup where newer bytes stand",
    root: { a: "newer" },
    stage: { "o/1/a": "foreign" },
    lines: `V 1 0 '' a ${hex("old")} ${hex("our")}`,
    faults: ["1 0 changed"],
    after: { a: "newer" },
    backup: { a: "foreign" },
  },
  {
    name: "V gives nothing back through a link",
    root: { d: link("../elsewhere") },
    stage: { "o/1/d/a": "foreign" },
    lines: `V 1 0 d a ${hex("old")} ''`,
    faults: ["1 0 outside"],
    after: { d: "-> ../elsewhere" },
    aside: { "o/1/d/a": "foreign" },
  },
  {
    name: "VL gives back a link that was not seen",
    root: {},
    stage: { "o/1/l": link("x\n") },
    lines: "VL 1 0 '' l x ''",
    faults: ["1 0 changed"],
    after: { l: "-> x\n" },
  },
  {
    name: "F finds what is not there, differs, or is a link",
    root: { a: "new", b: "other", l: link("a") },
    lines: ["a", "b", "l", "gone"].map((n, i) => `F 1 ${i} '' ${n} ${hex("new")}`).join("\n"),
    faults: ["1 1 changed", "1 2 changed", "1 3 changed"],
    after: { a: "new", b: "other", l: "-> a" },
  },
  {
    name: "F tells of no line, and no name, twice",
    root: { a: "x" },
    lines: `bad 1 all failed no\nbad 2 0 changed ''\nF 1 0 '' a ${hex("")}\nF 2 0 '' a ${hex("")}\nF 2 1 '' a ${hex("")}`,
    faults: ["1 all failed no", "2 0 changed", "2 1 changed"],
    after: { a: "x" },
  },
  // the report
  {
    name: "bad writes one line, whatever the text",
    lines: `bad 0 0 failed 'a\nb\rc'"$(printf %400s x)"`,
    faults: [`0 0 failed a b c${" ".repeat(295)}`],
    after: {},
  },
  {
    name: "say tells of a backup and of what was set aside first",
    lines: "NAME=n ASIDE=' a b'\nbad 0 0 failed x",
    faults: ["backup n", "aside a", "aside b", "0 0 failed x"],
    after: {},
  },
  // backups
  {
    name: "number counts up, past what backups bear, whatever the zeros",
    state: {
      counter: "0009\n",
      "backup/20250101T000000Z-000010/f": "1",
      "backup/mine-99/f": "2",
      "backup/20250101T000000Z-00ab0f/f": "3",
    },
    lines: "number; echo $NAME >$R/n; number; echo $NAME >>$R/n; cat $G/counter >>$R/n; NAME=",
    after: { n: "20260102T030405Z-000011\n20260102T030405Z-000012\n12\n" },
    backup: { f: "1|2|3" },
  },
  {
    name: "number begins at one where the counter is none of ours",
    state: { counter: link("/etc/passwd") },
    lines: "number; echo $NAME >$R/n; NAME=",
    after: { n: "20260102T030405Z-000001\n" },
  },
  {
    name: "rescue makes backups of what was set aside, each under its path",
    state: {
      "stage/old": { directory: true },
      ...all("stage/old/o/1/d/"),
      "stage/old/o/2/d/-n": "second",
      "stage/old/h/3/l": link("x"),
    },
    lines: "rescue $G/stage/old || echo no >$R/no",
    after: {},
    backup: { ...all("d/"), "d/-n": "-n|second", l: "-> x" },
  },
  {
    name: "prune keeps its own, and the newest, and what is not ours",
    state: {
      ...Object.fromEntries(
        Array.from({ length: 5 }, (_, i) => [`backup/2025010${i}T000000Z-00000${5 - i}/f`, `${5 - i}`]),
      ),
      "backup/20260101T000000Z-00ab0f/f": "hex",
      "backup/mine/f": "mine",
    },
    root: { f: "own" },
    lines: "o 0 '' '' B f\nprune",
    after: {},
    backup: { f: "4|5|mine|own" },
  },
  {
    name: "prune keeps all that this run made, however many they are (S42)",
    state: { "stage/old/o/1/f": "1", "stage/old/o/2/f": "2", "stage/old/o/3/f": "3" },
    root: { f: "own" },
    lines: "rescue $G/stage/old\no 0 '' '' B f\nprune",
    after: {},
    backup: { f: "1|2|3|own" },
  },
];

/** What a case begins with, beside its own lines: what commit.sh and commit-in-place.sh do before the first of them. */
const begin = `
cd "$R/.agb-sync/stage/id" || exit
S=$PWD; exec 3<.; ST=/proc/self/fd/3; [ -d "$ST/." ] || ST=$S
exec 5<"$R/.agb-sync"; G=/proc/self/fd/5; [ -d "$G/." ] || G=$R/.agb-sync
BAD=; FAULTS=; STOP=; AT='?'; CLOSED=; OP=; NAME=; FIRST=; ASIDE=; WHY=
quit() { say "$1"; exit 0; }
`;
const values = { ASIDE_MARK: "=aside-", BACKUP_TIME: "20260102T030405Z", KEPT_BACKUPS: 3 };

/** All cases in one shell, each in a root of its own. */
function tryAll(shell: TestShell, top: string): string {
  const program = cases.map(({ lines, root = {}, stage = {}, state = {} }, number) => {
    const place = join(top, String(number), "root");
    layOut(place, root);
    layIn(join(place, ".agb-sync"), state);
    layIn(join(place, ".agb-sync/stage/id"), stage);
    mkdirSync(join(top, String(number), "elsewhere"));
    return `(\nR=${quoteForShell(place)}\n${begin}\n${lines}\nleave\nsay end\n)\n`;
  });
  const { stderr } = runIn(shell, shellProgram(values, commitFunctions, commitBackups, program.join("")), top);
  return stderr;
}

function layIn(directory: string, tree: Tree): void {
  layOut(`${directory}.new`, tree);
  mkdirSync(directory, { recursive: true });
  for (const name of readdirSync(`${directory}.new`)) renameInto(`${directory}.new`, directory, name);
  rmSync(`${directory}.new`, { recursive: true });
}

function renameInto(from: string, to: string, name: string): void {
  rmSync(join(to, name), { recursive: true, force: true });
  renameSync(join(from, name), join(to, name));
}

/** Everything below a directory; a directory only where nothing is in it. */
function look(top: string, below = ""): Record<string, string> {
  const found: Record<string, string> = {};
  if (!existsSync(top)) return found;
  for (const name of readdirSync(join(top, below))) {
    const path = join(below, name);
    const stats = lstatSync(join(top, path));
    if (path === ".agb-sync") continue;
    if (stats.isSymbolicLink()) found[path] = `-> ${readlinkSync(join(top, path))}`;
    else if (!stats.isDirectory()) found[path] = readFileSync(join(top, path), "utf8");
    else Object.assign(found, readdirSync(join(top, path)).length === 0 ? { [path]: "/" } : look(top, path));
  }
  return found;
}

/** What is in all backups together, by the path in each; several of one path in order. */
function lookAtBackups(state: string): Record<string, string> {
  const merged: Record<string, string> = {};
  const backups = join(state, "backup");
  if (!existsSync(backups) || !lstatSync(backups).isDirectory()) return merged;
  for (const backup of readdirSync(backups)) {
    for (const [path, what] of Object.entries(look(join(backups, backup)))) {
      merged[path] = [...(merged[path]?.split("|") ?? []), what].toSorted().join("|");
    }
  }
  return merged;
}

function lookAtAside(stage: string): Record<string, string> {
  const isAside = ([path, what]: readonly [string, string]) => /^[oh]\//.test(path) && what !== "/";
  return Object.fromEntries(Object.entries(look(stage)).filter(isAside));
}

describe.each(testShells)("the functions of a commit by $name", (shell) => {
  let top = "";
  let complaints = "";
  beforeAll(() => {
    top = mkdtempSync(join(tmpdir(), "agb-sync-test-"));
    complaints = tryAll(shell, top);
  });
  afterAll(() => rmSync(top, { recursive: true, force: true }));

  it("complain of nothing, and reach nothing beside the root", () => {
    expect(complaints).toBe("");
    expect(readdirSync(top).toSorted()).toEqual(cases.map((_, number) => String(number)).toSorted());
    for (const number of cases.keys())
      expect([number, look(join(top, String(number), "elsewhere"))]).toEqual([number, {}]);
  });

  it.each(cases.map((one, number) => ({ ...one, number })))("$name", (one) => {
    const root = join(top, String(one.number), "root");
    const stage = join(root, ".agb-sync/stage/id");
    const [word, ...lines] = readFileSync(join(stage, "report"), "utf8").split("\n");
    expect([word, lines.slice(-2)]).toEqual([one.word ?? "end", ["end", ""]]);
    const faults = lines.slice(0, -2).filter((line) => !line.startsWith("backup 2026"));
    const expected = one.faults ?? [];
    expect(faults.map((line, index) => line.slice(0, expected[index]?.length ?? 300))).toEqual(expected);
    expect(look(root)).toEqual(one.after);
    expect(lookAtBackups(join(root, ".agb-sync"))).toEqual(one.backup ?? {});
    expect(lookAtAside(stage)).toEqual(one.aside ?? {});
  });
});

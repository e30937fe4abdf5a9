import { chmodSync, existsSync, lstatSync, mkdirSync, readlinkSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";

/** Where commands start and relative paths begin (protocol §7, "Environment of code images"). */
export const homeDirectory = "/home/wuying";
/** The directory of file transfer (protocol §9). */
export const transferDirectory = "/tmp/file-transfer";

/** Top-level names that belong to the system: mounted from this machine for commands, empty for file tools. */
const systemDirectories: readonly string[] = ["usr", "etc", "proc", "dev", "run", "sys"];
/** Devices that commands may use. */
export const deviceNames: readonly string[] = ["null", "zero", "full", "random", "urandom", "tty"];

const ownDirectories: readonly (readonly [path: string, mode: number])[] = [
  ["tmp", 0o1777],
  ["tmp/file-transfer", 0o755],
  ["home", 0o755],
  ["home/wuying", 0o755],
  ["workspace", 0o755],
  ["opt", 0o755],
  ["srv", 0o755],
  ["mnt", 0o755],
  ["var", 0o755],
  ["var/tmp", 0o1777],
  ["root", 0o700],
];

/**
 * Makes the directories of a new session below `tree`, which commands will see as `/`. System directories and the
 * top itself are read-only (0555), so that nothing is written where commands would not find it.
 */
export function makeSessionTree(tree: string, readOnlyPaths: readonly string[]): void {
  mkdirSync(tree, { recursive: true });
  for (const [path, mode] of ownDirectories) makeDirectory(join(tree, path), mode);
  const readOnly = readOnlyPaths.map((path) =>
    join(tree, ...path.split("/").filter((part) => part !== "" && part !== "." && part !== "..")),
  );
  for (const path of readOnly) mkdirSync(path, { recursive: true });
  for (const path of readOnly) chmodSync(path, 0o555);
  for (const name of systemDirectories) mkdirSync(join(tree, name), { recursive: true });
  makeSystemLinks(tree);
  makeDevices(tree);
  makeEtc(tree);
  mkdirSync(join(tree, "run/userland"), { recursive: true });
  for (const name of systemDirectories) chmodSync(join(tree, name), 0o555);
  chmodSync(tree, 0o555);
}

function makeDirectory(path: string, mode: number): void {
  mkdirSync(path, { recursive: true });
  chmodSync(path, mode);
}

/** `/bin`, `/lib` and their like: links as on this machine, or directories to mount on. */
function makeSystemLinks(tree: string): void {
  for (const name of systemAliases()) {
    const here = join(tree, name);
    if (existsSync(here)) continue;
    if (lstatSync(`/${name}`).isSymbolicLink()) symlinkSync(readlinkSync(`/${name}`), here);
    else makeDirectory(here, 0o555);
  }
}

/** Those of `/bin`, `/lib` … that this machine has. */
export function systemAliases(): readonly string[] {
  return ["bin", "sbin", "lib", "lib32", "lib64", "libx32"].filter((name) => existsSync(`/${name}`));
}

function makeDevices(tree: string): void {
  for (const name of deviceNames) writeFileSync(join(tree, "dev", name), "");
  symlinkIfMissing("/proc/self/fd", join(tree, "dev/fd"));
  for (const [index, name] of ["stdin", "stdout", "stderr"].entries()) {
    symlinkIfMissing(`/proc/self/fd/${index}`, join(tree, "dev", name));
  }
  makeDirectory(join(tree, "dev/shm"), 0o1777);
}

/** `/etc` is the session's own, so that nothing of this machine's can be read there but what etcMounts names. */
function makeEtc(tree: string): void {
  writeFileSync(
    join(tree, "etc/passwd"),
    `root:x:0:0:root:/root:/bin/sh\nwuying:x:1000:1000::${homeDirectory}:/bin/sh\n`,
  );
  writeFileSync(join(tree, "etc/group"), "root:x:0:\nwuying:x:1000:\n");
  writeFileSync(join(tree, "etc/hosts"), "127.0.0.1 localhost\n");
  writeFileSync(join(tree, "etc/hostname"), "session\n");
  for (const { name, isDirectory } of etcMounts()) {
    if (isDirectory) mkdirSync(join(tree, "etc", name), { recursive: true });
    else writeFileSync(join(tree, "etc", name), "");
  }
}

/** What commands see of this machine's `/etc`, read-only: enough for programs to start and names to resolve. */
export function etcMounts(): readonly { readonly name: string; readonly isDirectory: boolean }[] {
  return [
    { name: "alternatives", isDirectory: true },
    { name: "ssl/certs", isDirectory: true },
    { name: "ld.so.cache", isDirectory: false },
    { name: "resolv.conf", isDirectory: false },
  ].filter(({ name }) => existsSync(`/etc/${name}`));
}

function symlinkIfMissing(target: string, path: string): void {
  if (!lstatSync(path, { throwIfNoEntry: false })) symlinkSync(target, path);
}

import { posix, resolve } from "node:path";
import { digestFromHex } from "../tree/digest.ts";
import type { WorkspacePath } from "../tree/workspace-path.ts";
import { MAX_NAME_BYTES, MAX_PATH_BYTES, ROOT, workspacePath, workspacePathFault } from "../tree/workspace-path.ts";
import { parseDuration } from "./duration.ts";
import type { FileOrigin, FileSpec, Manifest, Position, TreeSpec, Variables } from "./manifest.ts";
import type { ManifestFile } from "./manifest-file.ts";
import type { ManifestSource } from "./manifest-source.ts";
import type { Keys } from "./manifest-tree.ts";
import { quoted, shortened } from "./quoted.ts";
import { normalRoot, rootFault } from "./root-fault.ts";
import { describe } from "./shape-error.ts";

/** Where a manifest comes from and what its expressions may use. */
export type ParseOptions = {
  /** As shown in messages. */
  readonly file: string;
  /** Absolute local directory that sources are relative to. */
  readonly directory: string;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** What `${env.…}` may name beside `env`; asked only for what that lacks. */
  readonly envFiles?: Variables["envFiles"];
  /** Values that win over those of `vars:`, as they are. */
  readonly vars?: Readonly<Record<string, string>>;
  readonly sessionId?: string;
  /** What is wrong with the local path of a source; asked once for each source, if given. */
  readonly sourceFault?: SourceCheck;
};

/** Looks at an absolute local path that is declared as the source of a file or, a directory, of a tree. */
export type SourceCheck = (
  localPath: string,
  wanted: "file" | "directory",
) => { readonly message: string; readonly hint: string } | undefined;

const DEFAULT_IMAGE = "agb-code-space-1";
const DEFAULT_RUN_TIMEOUT_MS = 5 * 60_000;
/** A session ends after this long, idle or not (protocol §4.4). */
const LONGEST_SESSION_MS = 30 * 60_000;

/** What stands in the manifest itself: everything but the names that it may use. */
export type Built = Omit<Manifest, "variables" | "varying" | "usesSessionId" | "resolve" | "secrets">;

/** Turns the written form into the checked one, entry by entry; reports instead of throwing. */
export function buildManifest(data: ManifestFile, source: ManifestSource, options: ParseOptions): Built {
  return new Builder(source, options, data).build();
}

class Builder {
  readonly #source: ManifestSource;
  readonly #options: ParseOptions;
  readonly #data: ManifestFile;
  readonly #waiting: Position[] = [];

  constructor(source: ManifestSource, options: ParseOptions, data: ManifestFile) {
    this.#source = source;
    this.#options = options;
    this.#data = data;
  }

  build(): Built {
    const data = this.#data;
    const prune = data.prune ?? "managed";
    // A tree that is mirrored into the root itself has a rule for all of it.
    const ofRoot = (data.trees ?? []).filter(({ path }) => path === "." || path === "./").map((tree) => tree.prune);
    const fault = rootFault(data.root, ofRoot.includes("all") ? "all" : prune);
    if (fault !== undefined) {
      const hint = "choose a directory of your own, such as /tmp/workspace";
      this.#source.report("BAD_ROOT", ["root"], `root ${quoted(data.root)} ${fault}`, hint);
    }
    return {
      file: this.#options.file,
      directory: this.#options.directory,
      session: this.#session(),
      root: normalRoot(data.root),
      prune,
      onConflict: data.onConflict ?? "skip",
      ignore: this.#known("ignore", data.ignore).map(([pattern]) => pattern),
      directories: this.#known("directories", data.directories).map(([entry, index]) => {
        const keys = ["directories", index];
        const mode = this.#mode(entry.mode, [...keys, "mode"], "directory");
        return {
          path: this.#path(entry.path, [...keys, "path"]),
          ...mode,
          ...(entry.prune === undefined ? {} : { prune: entry.prune }),
          at: this.#source.positionOf(keys),
        };
      }),
      files: this.#known("files", data.files).map(([entry, index]) => this.#file(entry, ["files", index])),
      trees: this.#known("trees", data.trees).map(([entry, index]) => this.#tree(entry, ["trees", index])),
      links: this.#known("links", data.links).map(([entry, index]) => {
        const keys = ["links", index];
        const path = this.#path(entry.path, [...keys, "path"]);
        if (this.#source.tree.isSound([...keys, "path"])) this.#checkTarget(path, entry.target, [...keys, "target"]);
        const targetAt = this.#source.positionOf([...keys, "target"]);
        return { path, target: entry.target, at: this.#source.positionOf(keys), targetAt };
      }),
      moves: this.#known("moves", data.moves).map(([entry, index]) => {
        const keys = ["moves", index];
        return {
          from: this.#path(entry.from, [...keys, "from"]),
          to: this.#path(entry.to, [...keys, "to"]),
          at: this.#source.positionOf(keys),
        };
      }),
      absent: this.#known("absent", data.absent).map(([path, index]) => {
        const keys = ["absent", index];
        return { path: this.#path(path, keys), at: this.#source.positionOf(keys) };
      }),
      run: this.#known("run", data.run).map(([entry, index]) => {
        const keys = ["run", index];
        const cwd = entry.cwd === undefined || entry.cwd === "." ? ROOT : this.#path(entry.cwd, [...keys, "cwd"]);
        const timeoutMs = this.#duration(entry.timeout, [...keys, "timeout"]) ?? DEFAULT_RUN_TIMEOUT_MS;
        return {
          ...(entry.name === undefined ? {} : { name: entry.name }),
          command: entry.command,
          cwd,
          onChange: entry.onChange ?? [],
          timeoutMs,
          at: this.#source.positionOf(keys),
        };
      }),
      pull: this.#known("pull", data.pull).map(([entry, index]) => {
        const keys = ["pull", index];
        const isRoot = entry.path === "." || entry.path === "./";
        return {
          path: isRoot ? ROOT : this.#path(entry.path, [...keys, "path"]),
          to: resolve(this.#options.directory, entry.to),
          isInto: entry.to.endsWith("/"),
          exclude: entry.exclude ?? [],
          prune: entry.prune ?? false,
          at: this.#source.positionOf(keys),
        };
      }),
      waiting: this.#waiting,
    };
  }

  /** The entries of a list with their places in it, without those that wait for the session's id. */
  #known<Entry>(key: string, entries: readonly Entry[] = []): readonly (readonly [Entry, number])[] {
    return entries.flatMap((entry, index): readonly (readonly [Entry, number])[] => {
      if (!this.#source.tree.isWaiting([key, index])) return [[entry, index]];
      this.#waiting.push(this.#source.positionOf([key, index]));
      return [];
    });
  }

  #session(): Manifest["session"] {
    const session = this.#data.session ?? {};
    if ((session.count ?? 1) > 1) this.#notYet(["session", "count"], "session.count");
    const idleTimeoutMs = this.#duration(session.idleTimeout, ["session", "idleTimeout"]);
    if (idleTimeoutMs !== undefined && idleTimeoutMs > LONGEST_SESSION_MS) {
      const message = `${quoted(session.idleTimeout ?? "")} is longer than any session lives`;
      this.#source.report("BAD_DURATION", ["session", "idleTimeout"], message, "write at most 30m");
    }
    return {
      image: session.image ?? DEFAULT_IMAGE,
      labels: session.labels ?? {},
      ...(session.name === undefined ? {} : { name: session.name }),
      ...(idleTimeoutMs === undefined ? {} : { idleTimeoutMs: idleTimeoutMs }),
    };
  }

  #file(entry: NonNullable<ManifestFile["files"]>[number], keys: Keys): FileSpec {
    return {
      path: this.#path(entry.path, [...keys, "path"]),
      origin: this.#origin(entry, keys),
      ...this.#mode(entry.mode, [...keys, "mode"], "file"),
      sensitive: entry.sensitive ?? false,
      seedOnly: entry.ifPresent === "keep",
      ...(entry.onConflict === undefined ? {} : { onConflict: entry.onConflict }),
      at: this.#source.positionOf(keys),
    };
  }

  #origin(entry: NonNullable<ManifestFile["files"]>[number], keys: Keys): FileOrigin {
    const origins = (["content", "source", "url"] as const).filter((key) => entry[key] !== undefined);
    if (origins.length !== 1) {
      const isEmpty = origins.length === 0;
      const found = isEmpty ? "none of content, source and url" : `both ${origins.join(" and ")}`;
      const hint = isEmpty ? "add content: or source:" : "keep exactly one of them";
      this.#source.report("ORIGIN", keys, `${describe(keys)} has ${found}`, hint);
    }
    if (entry.template === true && entry.source === undefined) {
      this.#source.report(
        "ORIGIN",
        [...keys, "template"],
        "template goes with source only",
        "content is always interpolated",
      );
    }
    if (entry.sha256 !== undefined && digestFromHex(entry.sha256) === undefined) {
      const hint = "write the digits that sha256sum prints";
      this.#source.report("WRONG_VALUE", [...keys, "sha256"], "sha256 must be 64 hex digits", hint);
    }
    if (entry.url !== undefined) {
      this.#notYet([...keys, "url"], "url");
      if (entry.sha256 === undefined)
        this.#source.report("MISSING_KEY", keys, `${describe(keys)} has a url but no \`sha256\``, "add it");
    }
    if (entry.source !== undefined) {
      return {
        kind: "source",
        localPath: this.#local(entry.source, [...keys, "source"], "file"),
        template: entry.template ?? false,
      };
    }
    return { kind: "inline", text: entry.content ?? "" };
  }

  #tree(entry: NonNullable<ManifestFile["trees"]>[number], keys: Keys): TreeSpec {
    const isRoot = entry.path === "." || entry.path === "./";
    return {
      source: this.#local(entry.source, [...keys, "source"], "directory"),
      path: isRoot ? ROOT : this.#path(entry.path, [...keys, "path"]),
      exclude: entry.exclude ?? [],
      gitignore: entry.gitignore ?? false,
      ...(entry.prune === undefined ? {} : { prune: entry.prune }),
      ...(entry.onConflict === undefined ? {} : { onConflict: entry.onConflict }),
      at: this.#source.positionOf(keys),
    };
  }

  /** The root stands in for a path that is no path: its problem is reported, and nothing goes on from here. */
  #path(text: string, keys: Keys): WorkspacePath {
    const fault = workspacePathFault(text);
    if (fault === undefined) return workspacePath(text);
    const hint = "write a path below root, such as data/raw";
    this.#source.report("BAD_PATH", keys, `path ${quoted(text)} ${fault}`, hint);
    return ROOT;
  }

  #local(path: string, keys: Keys, wanted: "file" | "directory"): string {
    const localPath = resolve(this.#options.directory, path);
    const fault = this.#source.tree.isSound(keys) ? this.#options.sourceFault?.(localPath, wanted) : undefined;
    if (fault !== undefined) this.#source.report("SOURCE_MISSING", keys, fault.message, fault.hint);
    return localPath;
  }

  /**
   * A mode that shuts its owner out is refused, whoever that is in the session: what cannot be read cannot be verified, nor
   * compared by the next apply. Without `w` both can; what such a directory holds is replaced nevertheless.
   */
  #mode(mode: string | number | undefined, keys: Keys, kind: "file" | "directory"): { mode?: number } {
    if (mode === undefined) return {};
    const digits = /^(?:0o?)?([0-7]{3,4})$/.exec(String(mode))?.[1];
    if (digits === undefined) {
      const hint = 'write three or four octal digits in quotes, such as "0755"';
      this.#source.report("BAD_MODE", keys, `mode ${shortened(String(mode))} is not octal`, hint);
      return {};
    }
    const bits = Number.parseInt(digits, 8);
    const [needed, verb, such] =
      kind === "file" ? ([0o400, "read", '"0600"'] as const) : ([0o500, "list", '"0700"'] as const);
    if ((bits & needed) !== needed) {
      const message = `mode ${shortened(String(mode))} leaves its owner unable to ${verb} the ${kind}: it could not be verified`;
      this.#source.report(
        "BAD_MODE",
        keys,
        message,
        `give the owner ${kind === "file" ? "r" : "r and x"}, such as ${such}`,
      );
    }
    return { mode: bits };
  }

  #duration(text: string | undefined, keys: Keys): number | undefined {
    if (text === undefined) return undefined;
    const milliseconds = parseDuration(text);
    if (milliseconds === undefined || milliseconds === 0) {
      this.#source.report(
        "BAD_DURATION",
        keys,
        `${quoted(text)} is not a duration`,
        "write a number with its unit: 500ms, 90s, 5m or 1h",
      );
    }
    return milliseconds;
  }

  #checkTarget(path: WorkspacePath, target: string, keys: Keys): void {
    const say = (why: string) =>
      this.#source.report(
        "BAD_LINK",
        keys,
        `link target ${quoted(target)} ${why}`,
        "write a target relative to the link, inside root",
      );
    const reached = posix.join(posix.dirname(path), target);
    if (target.includes("\0")) say("contains a NUL character");
    else if (target.startsWith("/")) say("is absolute");
    else if (/^\.\.(\/|$)/.test(reached)) say("leaves root");
    else if (target.split("/").some((name) => Buffer.byteLength(name) > MAX_NAME_BYTES))
      say(`has a name longer than ${MAX_NAME_BYTES} bytes`);
    else if (Buffer.byteLength(target) > MAX_PATH_BYTES) say(`is longer than ${MAX_PATH_BYTES} bytes`);
    else if (reached.replace(/\/$/, "") === path) say("is the link itself");
  }

  #notYet(keys: Keys, what: string): void {
    this.#source.report("NOT_SUPPORTED_YET", keys, `${what} is not supported yet`, "leave it out for now");
  }
}

import { randomBytes } from "node:crypto";
import { rm } from "node:fs/promises";
import { join } from "node:path";
import type { Settings } from "./emulator-options.ts";
import { type Namespace, openNamespace } from "./namespace.ts";
import { removeTree } from "./remove-tree.ts";
import { makeSessionTree } from "./session-tree.ts";
import type { Userland } from "./userland.ts";

/** What lay below a watched directory when it was last asked about: path → a mark that changes with the content. */
export type Snapshot = ReadonlyMap<string, { readonly isDirectory: boolean; readonly mark: string }>;

export type Labels = Readonly<Record<string, string>>;

/** A context whose files are carried into the session at its start and back at its end (protocol §8.3). */
export type Mounted = {
  readonly contextId: string;
  readonly path: string;
  /** The path that the store knows it by: another than `path` where a mapping policy says so. */
  readonly storedPath: string;
  readonly isDownloadedAtStart: boolean;
  readonly isUploadedAtEnd: boolean;
  /** What the session deleted is deleted in the store too. */
  readonly deletesStored: boolean;
};

export type Session = {
  readonly id: string;
  /** Counts the sessions from 1, in the order of their making. */
  readonly number: number;
  /** Opens the link route. */
  readonly token: string;
  readonly imageId: string;
  readonly createdMs: number;
  readonly idleMs: number;
  /** Where its files lie on this machine. */
  tree: string;
  lastActiveMs: number;
  /** When it ended, in session time; undefined while it runs. */
  endedMs: number | undefined;
  isDiskFull: boolean;
  mounts: readonly Mounted[];
  /** Real time of creation, for lags. */
  readonly bornAt: number;
  labels: { readonly labels: Labels; readonly visibleAt: number }[];
  readonly snapshots: Map<string, Snapshot>;
  namespace: Promise<Namespace> | undefined;
};

type NewSession = {
  readonly imageId: string;
  readonly labels: Labels;
  readonly idleMs: number | undefined;
  readonly mounts: readonly Mounted[];
};

/** Every session of one emulator, with its clock. */
export type Sessions = {
  create(wanted: NewSession): Promise<Session>;
  /** A session that runs; undefined for one that has ended or never was. */
  find(id: string): Session | undefined;
  /** "RUNNING", "FINISH" for some time after the end, then undefined. */
  status(id: string): "RUNNING" | "FINISH" | undefined;
  /** Those that run, oldest first. */
  list(): readonly Session[];
  touch(session: Session): void;
  /** Ends it: processes and files are gone when the promise resolves. */
  end(session: Session): Promise<void>;
  /** Its inside for commands, made at the first use. */
  enter(session: Session): Promise<Namespace>;
  /** From now on writes fail, or work again. */
  setDiskFull(session: Session, isFull: boolean): void;
  close(): Promise<void>;
};

const sweepMs = 1000;

/**
 * @param rootDir holds `sessions/<id>`, the tree of each.
 * @param saveMounts is awaited before the files of a session go, however it ends.
 */
export function makeSessions(
  settings: Settings,
  rootDir: string,
  userland: Userland,
  saveMounts: (session: Session) => Promise<void>,
): Sessions {
  const sessions = new Map<string, Session>();
  let count = 0;
  const endings = new Set<Promise<void>>();
  const start = performance.now();
  const now = settings.sessionClock ?? (() => (performance.now() - start) * settings.clockSpeed);

  const end = async (session: Session): Promise<void> => {
    if (session.endedMs !== undefined) return;
    session.endedMs = now();
    const ending = remove(session);
    endings.add(ending);
    await ending.finally(() => endings.delete(ending));
  };

  const remove = async (session: Session): Promise<void> => {
    await saveMounts(session);
    await closeNamespace(session);
    const directory = join(rootDir, "sessions", session.id);
    await removeTree(directory);
    await rm(tableFileOf(session), { force: true });
  };

  const tableFileOf = (session: Session): string => join(rootDir, "sessions", `${session.id}.mounts`);

  const isOver = (session: Session): boolean =>
    now() - session.createdMs >= settings.maxAgeMs || now() - session.lastActiveMs >= session.idleMs;

  const find = (id: string): Session | undefined => {
    const session = sessions.get(id);
    if (session === undefined || session.endedMs !== undefined) return undefined;
    if (!isOver(session)) return session;
    void end(session);
    return undefined;
  };

  const sweep = setInterval(() => {
    for (const session of sessions.values()) {
      find(session.id);
      if (session.endedMs !== undefined && now() - session.endedMs > settings.finishedMs) sessions.delete(session.id);
    }
  }, sweepMs);
  sweep.unref();

  const open = async (session: Session): Promise<Namespace> => {
    const { diskBytes, readOnlyPaths, user } = settings;
    const namespace = await openNamespace({
      tree: join(rootDir, "sessions", session.id),
      tableFile: tableFileOf(session),
      user,
      userlandDir: userland.directory,
      disk:
        diskBytes === undefined
          ? undefined
          : { sizeBytes: diskBytes, prepare: (tree) => makeSessionTree(tree, readOnlyPaths) },
    });
    session.tree = namespace.tree;
    return namespace;
  };

  const enter = (session: Session): Promise<Namespace> => {
    session.namespace ??= open(session);
    return session.namespace;
  };

  return {
    create: async ({ imageId, labels, idleMs, mounts }) => {
      const id = `session-${randomBytes(12).toString("hex")}`;
      const tree = join(rootDir, "sessions", id);
      makeSessionTree(tree, settings.readOnlyPaths);
      const bornAt = performance.now();
      const session: Session = {
        id,
        number: (count += 1),
        token: randomBytes(16).toString("hex"),
        imageId,
        createdMs: now(),
        idleMs: idleMs ?? settings.idleMs,
        tree,
        lastActiveMs: now(),
        endedMs: undefined,
        isDiskFull: false,
        mounts,
        bornAt,
        labels: [{ labels, visibleAt: bornAt + settings.labelLagMs }],
        snapshots: new Map(),
        namespace: undefined,
      };
      sessions.set(id, session);
      if (settings.diskBytes !== undefined) await enter(session);
      return session;
    },
    find,
    status: (id) => {
      if (find(id) !== undefined) return "RUNNING";
      const endedMs = sessions.get(id)?.endedMs;
      return endedMs !== undefined && now() - endedMs <= settings.finishedMs ? "FINISH" : undefined;
    },
    list: () => [...sessions.values()].filter((session) => find(session.id) !== undefined),
    touch: (session) => {
      session.lastActiveMs = now();
    },
    end,
    enter,
    setDiskFull: (session, isFull) => {
      session.isDiskFull = isFull;
      void session.namespace?.then((namespace) => (isFull ? namespace.fillDisk?.() : namespace.freeDisk?.()));
    },
    close: async () => {
      clearInterval(sweep);
      await Promise.all([...sessions.values()].map(closeNamespace));
      await Promise.all(endings);
    },
  };
}

async function closeNamespace(session: Session): Promise<void> {
  const namespace = await session.namespace?.catch(() => undefined);
  session.namespace = undefined;
  await namespace?.close();
}

/** Replaces the labels; they become readable after `lagMs`. What can no longer be read is forgotten. */
export function setLabels(session: Session, labels: Labels, lagMs: number): void {
  const now = performance.now();
  const visible = session.labels.findLastIndex(({ visibleAt }) => visibleAt <= now);
  session.labels.splice(0, visible);
  session.labels.push({ labels, visibleAt: now + lagMs });
}

/** The labels that have become readable. */
export function visibleLabels(session: Session): Labels {
  const now = performance.now();
  return session.labels.findLast(({ visibleAt }) => visibleAt <= now)?.labels ?? {};
}

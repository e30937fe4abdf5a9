import { closeSync, constants, createReadStream, createWriteStream, openSync } from "node:fs";
import { posix } from "node:path";
import { pipeline } from "node:stream/promises";
import { setTimeout as sleep } from "node:timers/promises";
import type { Contexts, StoreContext } from "./contexts.ts";
import type { ObjectStore } from "./object-store.ts";
import type { Settings } from "./session/emulator-options.ts";
import { placeInside } from "./session/place-inside.ts";
import { errnoOf, SessionFilesError, strerror } from "./session/session-files-error.ts";
import type { Mounted, Session } from "./session/sessions.ts";
import { makeDirectories, walk, within } from "./tools/file-tools.ts";

export type TaskType = "upload" | "download";

type Task = {
  readonly contextId: string;
  readonly path: string;
  readonly taskType: TaskType;
  readonly startTime: number;
  status: "Running" | "Success" | "Failed";
  finishTime: number | undefined;
  errorMessage: string;
  pollsLeft: number;
};

type TaskFilter = {
  readonly contextId: string | undefined;
  readonly path: string | undefined;
  readonly taskType: string | undefined;
};

/** Moves files between sessions and contexts and remembers how that went (protocol §8.4). */
export type ContextSync = {
  /** Starts a move; `settled` never rejects, failures are in the status. */
  start(session: Session, context: StoreContext, path: string, type: TaskType): { readonly settled: Promise<void> };
  /** The doubly encoded list of protocol §8.4. Asking counts as one poll of every task it names. */
  status(session: Session, filter: TaskFilter): string;
  /** Makes the mounted paths of a new session at once, and starts to fill them (protocol §8.3). */
  loadMounts(session: Session): void;
  /** Saves what is mounted in a session that ends; never rejects, failures are in the status. */
  saveMounts(session: Session): Promise<void>;
  /** Waits for what is under way. */
  close(): Promise<void>;
};

const keptTasks = 100;

export function makeContextSync(settings: Settings, contexts: Contexts, store: ObjectStore): ContextSync {
  const tasks = new WeakMap<Session, Task[]>();
  const underWay = new Set<Promise<void>>();
  const stop = new AbortController();

  const carryOut = async (session: Session, context: StoreContext, task: Task, mount?: Mounted): Promise<void> => {
    const isDownload = task.taskType === "download";
    try {
      if (isDownload && mount !== undefined) makeDirectories({ session, settings }, task.path);
      if (settings.transferLagMs > 0) await sleep(settings.transferLagMs, undefined, { signal: stop.signal });
      if (!isDownload)
        await send(session, context, task.path, store, mount?.deletesStored === true ? contexts : undefined);
      else if (mount?.isDownloadedAtStart !== false) await bring(session, context, task.path, settings, store);
      task.status = "Success";
    } catch (error) {
      const errno = errnoOf(error);
      task.status = "Failed";
      task.errorMessage = errno === undefined ? "sync was interrupted" : strerror(errno);
    }
    task.finishTime = Math.floor(Date.now() / 1000);
  };

  const start = (session: Session, context: StoreContext, path: string, taskType: TaskType, mount?: Mounted) => {
    const task: Task = {
      contextId: context.id,
      path,
      taskType,
      startTime: Math.floor(Date.now() / 1000),
      status: "Running",
      finishTime: undefined,
      errorMessage: "",
      pollsLeft: settings.transferPolls,
    };
    tasks.set(session, [...(tasks.get(session) ?? []), task].slice(-keptTasks));
    const settled = carryOut(session, context, task, mount);
    underWay.add(settled);
    void settled.finally(() => underWay.delete(settled));
    return { settled };
  };

  const move = async (session: Session, mounts: readonly Mounted[], taskType: TaskType): Promise<void> => {
    await Promise.all(
      mounts.map(async (mount) => {
        const context = contexts.get(mount.contextId);
        if (context !== undefined) await start(session, context, mount.path, taskType, mount).settled;
      }),
    );
  };

  return {
    start: (session, context, path, taskType) => start(session, context, path, taskType),
    loadMounts: (session) => void move(session, session.mounts, "download"),
    saveMounts: async (session) =>
      await move(
        session,
        session.mounts.filter(({ isUploadedAtEnd }) => isUploadedAtEnd),
        "upload",
      ),
    status: (session, filter) => {
      const wanted = (tasks.get(session) ?? []).filter(
        (task) =>
          (filter.contextId === undefined || task.contextId === filter.contextId) &&
          (filter.path === undefined || task.path === filter.path) &&
          (filter.taskType === undefined || task.taskType === filter.taskType),
      );
      if (wanted.length === 0) return "";
      const shown = wanted.map(report);
      const isDone = ({ status }: { status: string }): number => (status === "Running" ? 1 : 0);
      const ordered = settings.staleTransferStatus
        ? shown.toSorted((one, other) => isDone(one) - isDone(other))
        : shown.toReversed();
      return JSON.stringify([{ type: "data", data: JSON.stringify(ordered) }]);
    },
    close: async () => {
      stop.abort();
      await Promise.all(underWay);
    },
  };
}

function report(task: Task): { readonly status: string; readonly [key: string]: unknown } {
  const isShown = task.status !== "Running" && task.pollsLeft <= 0;
  task.pollsLeft -= 1;
  return {
    contextId: task.contextId,
    path: task.path,
    taskType: task.taskType,
    startTime: task.startTime,
    status: isShown ? task.status : "Running",
    finishTime: isShown ? task.finishTime : 0,
    errorMessage: isShown ? task.errorMessage : "",
  };
}

/** What the store knows a path of the session by, and back: the same, but below a mount with a mapping policy. */
function namingOf(session: Session, { id }: StoreContext) {
  const mounts = session.mounts.filter(({ contextId }) => contextId === id);
  const exchange = (name: string, from: "path" | "storedPath", to: "path" | "storedPath"): string => {
    const mount = mounts.find((mount) => name === bare(mount[from]) || name.startsWith(`${bare(mount[from])}/`));
    return mount === undefined ? name : bare(mount[to]) + name.slice(bare(mount[from]).length);
  };
  return {
    stored: (name: string): string => exchange(name, "path", "storedPath"),
    inSession: (name: string): string => exchange(name, "storedPath", "path"),
  };
}

/** A path without slashes at its end. */
function bare(path: string): string {
  return path.replace(/\/+$/, "");
}

/** Store → session: every object at or below `path`. Written in place, as a file that is seen to grow. */
async function bring(
  session: Session,
  context: StoreContext,
  path: string,
  settings: Settings,
  store: ObjectStore,
): Promise<void> {
  const directory = bare(path);
  const naming = namingOf(session, context);
  for (const stored of context.objects.values()) {
    const name = naming.inSession(posix.normalize(stored.path));
    if (name !== directory && !name.startsWith(`${directory}/`)) continue;
    makeDirectories({ session, settings }, posix.dirname(name));
    if (session.isDiskFull && stored.sizeBytes > 0) throw new SessionFilesError("ENOSPC");
    const place = placeInside(session.tree, name, true);
    try {
      const how = constants.O_WRONLY | constants.O_CREAT | constants.O_TRUNC;
      const file = openSync(place.path, how | constants.O_NOFOLLOW | constants.O_NONBLOCK, 0o644);
      await pipeline(store.open(stored), createWriteStream("", { fd: file }));
    } finally {
      place.close();
    }
  }
}

/** Session → store: every regular file at or below `path`; with `pruned`, objects whose file is gone are dropped. */
async function send(
  session: Session,
  context: StoreContext,
  path: string,
  store: ObjectStore,
  pruned: Contexts | undefined,
): Promise<void> {
  const files: string[] = [];
  const directory = bare(path);
  const naming = namingOf(session, context);
  const isFile = within(session, directory === "" ? "/" : directory, true, ({ stats }) => {
    if (stats === undefined) throw new SessionFilesError("ENOENT");
    return stats.isFile();
  });
  if (isFile) files.push(directory);
  else {
    walk(session, directory, (itemPath, _name, stats) => {
      if (stats.isFile()) files.push(itemPath);
      return true;
    });
  }
  for (const file of files) {
    const descriptor = within(session, file, true, (place) =>
      openSync(place.path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK),
    );
    try {
      await store.keep(
        context,
        naming.stored(file),
        createReadStream("", { fd: descriptor, autoClose: false, start: 0 }),
      );
    } finally {
      closeSync(descriptor);
    }
  }
  for (const stored of pruned === undefined ? [] : [...context.objects.keys()]) {
    const file = naming.inSession(stored);
    if (file.startsWith(`${directory}/`) && !files.includes(file)) pruned?.drop(context, stored);
  }
}

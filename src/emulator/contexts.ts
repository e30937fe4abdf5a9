import { randomBytes } from "node:crypto";
import { rmSync } from "node:fs";

/** One object of a context: bytes in a file of this machine, known by its full path in the session. */
export type StoredFile = {
  readonly path: string;
  readonly file: string;
  readonly sizeBytes: number;
  readonly etag: string;
  readonly storedAt: Date;
};

export type StoreContext = {
  readonly id: string;
  name: string;
  readonly createdAt: Date;
  lastUsedAt: Date;
  state: "available" | "clearing";
  /** The session whose internal context this is; it goes with the session. */
  readonly sessionId: string | undefined;
  readonly objects: Map<string, StoredFile>;
};

/** Persistent stores by id (protocol §8.1). */
export type Contexts = {
  get(id: string): StoreContext | undefined;
  byName(name: string): StoreContext | undefined;
  /** Those of the key, without the internal ones. */
  list(): readonly StoreContext[];
  create(name: string): StoreContext;
  /** The file-transfer context of a session, made at the first use (protocol §9). */
  ofSession(sessionId: string): StoreContext;
  put(context: StoreContext, stored: StoredFile): void;
  drop(context: StoreContext, path: string): boolean;
  /** Empties it; it is "clearing" until `done` is called. */
  clear(context: StoreContext): void;
  remove(context: StoreContext): void;
};

export function makeContexts(): Contexts {
  const contexts = new Map<string, StoreContext>();
  const internal = new Map<string, StoreContext>();

  const make = (name: string, sessionId: string | undefined): StoreContext => {
    const now = new Date();
    const id = `SdkCtx-${randomBytes(8).toString("hex")}`;
    const context: StoreContext = {
      id,
      name,
      createdAt: now,
      lastUsedAt: now,
      state: "available",
      sessionId,
      objects: new Map(),
    };
    contexts.set(id, context);
    return context;
  };

  const empty = (context: StoreContext): void => {
    for (const { file } of context.objects.values()) rmSync(file, { force: true });
    context.objects.clear();
  };

  return {
    get: (id) => contexts.get(id),
    byName: (name) => [...contexts.values()].find((context) => context.name === name),
    list: () => [...contexts.values()].filter((context) => context.sessionId === undefined),
    create: (name) => make(name, undefined),
    ofSession: (sessionId) => {
      const context = internal.get(sessionId) ?? make(`file-transfer-${sessionId}`, sessionId);
      internal.set(sessionId, context);
      return context;
    },
    put: (context, stored) => {
      const old = context.objects.get(stored.path);
      context.objects.set(stored.path, stored);
      context.lastUsedAt = stored.storedAt;
      if (old !== undefined) rmSync(old.file, { force: true });
    },
    drop: (context, path) => {
      const stored = context.objects.get(path);
      if (stored === undefined) return false;
      context.objects.delete(path);
      rmSync(stored.file, { force: true });
      return true;
    },
    clear: (context) => {
      empty(context);
      context.state = "clearing";
    },
    remove: (context) => {
      empty(context);
      contexts.delete(context.id);
      if (context.sessionId !== undefined) internal.delete(context.sessionId);
    },
  };
}

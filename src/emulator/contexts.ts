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
  /** Counts the contexts from 1, in the order of their making. */
  readonly number: number;
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
  /** What all of them hold together. */
  readonly total: { readonly objects: number; readonly bytes: number };
  put(context: StoreContext, stored: StoredFile): void;
  drop(context: StoreContext, path: string): boolean;
  /** Empties it; it is "clearing" until `done` is called. */
  clear(context: StoreContext): void;
  remove(context: StoreContext): void;
  /** Removes every one: nobody can reach what is in them when the emulator has ended. */
  removeAll(): void;
};

export function makeContexts(): Contexts {
  const contexts = new Map<string, StoreContext>();
  const internal = new Map<string, StoreContext>();
  let count = 0;
  const total = { objects: 0, bytes: 0 };

  const discard = ({ file, sizeBytes }: StoredFile): void => {
    rmSync(file, { force: true });
    total.objects -= 1;
    total.bytes -= sizeBytes;
  };

  const make = (name: string, sessionId: string | undefined): StoreContext => {
    const now = new Date();
    const id = `SdkCtx-${randomBytes(8).toString("hex")}`;
    const context: StoreContext = {
      id,
      number: (count += 1),
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
    for (const stored of context.objects.values()) discard(stored);
    context.objects.clear();
  };

  return {
    total,
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
      total.objects += 1;
      total.bytes += stored.sizeBytes;
      if (old !== undefined) discard(old);
    },
    drop: (context, path) => {
      const stored = context.objects.get(path);
      if (stored === undefined) return false;
      context.objects.delete(path);
      discard(stored);
      return true;
    },
    clear: (context) => {
      empty(context);
      context.state = "clearing";
    },
    removeAll: () => {
      for (const context of contexts.values()) empty(context);
      contexts.clear();
      internal.clear();
    },
    remove: (context) => {
      empty(context);
      contexts.delete(context.id);
      if (context.sessionId !== undefined) internal.delete(context.sessionId);
    },
  };
}

import { randomUUID } from "node:crypto";
import type { Engine, LockRequest, StepResult } from "../engine/engine.ts";
import { hasCode } from "../errors.ts";
import type { RunSpec } from "../manifest/manifest.ts";
import { owedKey } from "../run/owed.ts";
import { readLatestBase } from "../state/base-store.ts";
import { type BaseHeader, emptyBase, headerOf } from "../tree/base.ts";
import type { Planned } from "./planned.ts";
import { headerAfter } from "./planned.ts";

/** What is recorded once a command has ended is not given up for the signal that ends the apply. */
const RECORD_MS = 60_000;
/** How often another apply may come in between. */
const MAX_TRIES = 5;

/** Keeps base's list of owed commands in step with what becomes of them after a commit. */
export class OwedRecord {
  readonly #planned: Planned;
  readonly #engine: Engine;
  readonly #lock: LockRequest;
  /** What the session's base has by now; undefined: it has to be read. */
  #known: { readonly generation: number; readonly header: BaseHeader } | undefined;
  /** What base says of the declared tree once nothing is owed. */
  readonly #digest: BaseHeader["desiredDigest"];

  /** `results` as the commit gave them; a plan that was settled had none. */
  constructor(planned: Planned, results: readonly StepResult[], engine: Engine, lock: LockRequest) {
    const { base, isSettled, isUnchanged } = planned;
    this.#planned = planned;
    this.#engine = engine;
    this.#lock = lock;
    const header = isSettled ? headerOf(base) : headerAfter(planned, results);
    this.#known = isUnchanged === true ? undefined : { generation: base.generation + (isSettled ? 0 : 1), header };
    this.#digest = headerAfter({ ...planned, owed: [], commands: [] }, results).desiredDigest;
  }

  /** What base says by now, if that is known. */
  get recorded() {
    return this.#known;
  }

  /** A command has ended well. */
  async strikeOut(spec: RunSpec): Promise<void> {
    const key = owedKey(spec);
    await this.#change((owed) => owed.filter((other) => other !== key));
  }

  /** These have not, whether they were due by what has changed or only wanted. */
  async add(specs: readonly RunSpec[]): Promise<void> {
    const keys = specs.map(owedKey);
    await this.#change((owed) => [...owed, ...keys.filter((key) => !owed.includes(key))]);
  }

  async #change(change: (owed: readonly string[]) => readonly string[]): Promise<void> {
    for (let round = 1; ; round += 1) {
      const { generation, header } = (this.#known ??= await this.#read());
      const owed = change(header.owed);
      if (owed.join() === header.owed.join()) return;
      const next = { ...header, owed, desiredDigest: owed.length === 0 ? this.#digest : undefined };
      try {
        await this.#write(generation, next);
        this.#known = { generation: generation + 1, header: next };
        return;
      } catch (error) {
        // Another apply came in between: base carries what was owed on, and this is a change of that.
        if (!hasCode(error, "STALE_PLAN") || round === MAX_TRIES) throw error;
        this.#known = undefined;
      }
    }
  }

  async #read() {
    const { transport } = this.#planned.workspace;
    const { base } = await readLatestBase(transport, AbortSignal.timeout(RECORD_MS));
    const found = base ?? emptyBase(transport.sessionId, transport.root);
    return { generation: found.generation, header: headerOf(found) };
  }

  async #write(baseGeneration: number, header: BaseHeader): Promise<void> {
    const nothing = () => undefined;
    await this.#engine.commit(
      {
        applyId: randomUUID(),
        steps: [],
        contents: new Map(),
        baseGeneration,
        recovered: [],
        baseChanges: [],
        headerAfter: () => header,
        rootExists: true,
        backup: false,
        lock: this.#lock,
        onStep: nothing,
        onBytes: nothing,
      },
      AbortSignal.timeout(RECORD_MS),
    );
  }
}

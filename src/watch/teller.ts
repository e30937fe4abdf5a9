import type { StepResult } from "../engine/engine.ts";
import type { Conflict, Step } from "../plan/plan.ts";
import type { Drift } from "../reconcile/drift.ts";
import { Told } from "./told.ts";
import type { StepFailure, WatchEvent } from "./watch-event.ts";

type Problem = Extract<WatchEvent, { type: "problem" }>;
type Outcome = { readonly step: Step; readonly result: StepResult };

/** Says everything once, and again only when it has changed or come back. */
export class Teller {
  readonly #problems = { manifest: new Told(), source: new Told(), guard: new Told(), session: new Told() };
  readonly #warnings = { plan: new Told(), commands: new Told(), manifest: new Told(), unsettled: new Told() };
  readonly #conflicts = new Told();
  readonly #failures = new Told();
  readonly #drift = new Told();

  /** The problems that stand now, by subject; none: that is over. */
  *problems(
    about: Problem["about"],
    now: ReadonlyMap<string, Error>,
    retryMs?: number,
  ): Generator<WatchEvent, void, undefined> {
    const hadOne = this.#hasProblem;
    const fresh = this.#problems[about].update(new Map([...now].map(([subject, { message }]) => [subject, message])));
    for (const [subject, error] of now) if (fresh.has(subject)) yield { type: "problem", about, error, retryMs };
    if (hadOne && !this.#hasProblem) yield { type: "recovered" };
  }

  *warnings(
    about: "plan" | "commands" | "manifest" | "unsettled",
    now: readonly string[],
  ): Generator<WatchEvent, void, undefined> {
    const fresh = this.#warnings[about].update(new Map(now.map((message) => [message, ""])));
    for (const message of fresh) yield { type: "warning", message };
  }

  *drift(now: readonly Drift[]): Generator<WatchEvent, void, undefined> {
    const fresh = this.#drift.update(new Map(now.map(({ path, after }) => [path, JSON.stringify(after ?? null)])));
    const changes = now.filter(({ path }) => fresh.has(path));
    if (changes.length > 0) yield { type: "drift", changes };
  }

  /** Conflicts that are new, or in which the session's side has changed (W23). */
  newConflicts(now: readonly Conflict[]): readonly Conflict[] {
    const fresh = this.#conflicts.update(new Map(now.map(({ path, actual }) => [path, JSON.stringify(actual)])));
    return now.filter(({ path }) => fresh.has(path));
  }

  newFailures(outcomes: readonly Outcome[]): readonly StepFailure[] {
    const failures = outcomes.flatMap(({ step, result }) =>
      result.status === "failed" ? [{ step, error: result.error }] : [],
    );
    const named = failures.map((failure) => ({ ...failure, name: nameOf(failure.step) }));
    const fresh = this.#failures.update(new Map(named.map(({ name, error }) => [name, error.message])));
    return named.filter(({ name }) => fresh.has(name)).map(({ step, error }) => ({ step, error }));
  }

  get #hasProblem(): boolean {
    return Object.values(this.#problems).some((told) => !told.isEmpty);
  }
}

function nameOf(step: Step): string {
  return step.op === "move" ? `move ${step.from} ${step.to}` : `${step.op} ${step.path}`;
}

/** What stands and has been told: everything once, until it says something else or has gone away. */
export class Told {
  #standing: ReadonlyMap<string, string> = new Map();

  /** Whether anything stands. */
  get isEmpty(): boolean {
    return this.#standing.size === 0;
  }

  /** The subjects of `now` that were not told like this before. What `now` lacks is forgotten. */
  update(now: ReadonlyMap<string, string>): ReadonlySet<string> {
    const before = this.#standing;
    this.#standing = now;
    return new Set([...now].filter(([subject, what]) => before.get(subject) !== what).map(([subject]) => subject));
  }
}

/** Values shorter than this are found everywhere by chance; they are never printed in the first place. */
const SHORTEST = 4;

/** Replaces every secret in a text. Longest first, so that no part of a longer one is left over. */
export class Redactor {
  #secrets: readonly string[] = [];

  /** From now on these values are replaced, also line by line where one spans lines. */
  add(secrets: readonly string[]): void {
    const parts = secrets.flatMap((secret) => [secret, ...secret.split("\n")]).map((part) => part.trim());
    const all = new Set([...this.#secrets, ...parts].filter((part) => part.length >= SHORTEST));
    this.#secrets = [...all].toSorted((one, other) => other.length - one.length);
  }

  clean(text: string): string {
    let clean = text;
    for (const secret of this.#secrets) {
      clean = clean.replaceAll(secret, "(redacted)");
      const escaped = JSON.stringify(secret).slice(1, -1);
      if (escaped !== secret) clean = clean.replaceAll(escaped, "(redacted)");
    }
    return clean;
  }
}

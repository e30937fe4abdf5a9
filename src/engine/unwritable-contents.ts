import type { ContentStore } from "../tree/content.ts";
import type { Digest } from "../tree/digest.ts";

/** Digests of contents that a text-only session cannot hold: not UTF-8, or with a NUL (protocol §6.2, §13 trap 4). */
export async function unwritableContents(contents: ContentStore): Promise<ReadonlySet<Digest>> {
  const unwritable = new Set<Digest>();
  for (const content of contents.values()) {
    const decoder = new TextDecoder("utf-8", { fatal: true });
    try {
      for await (const chunk of content.open()) {
        if (chunk.includes(0)) throw new TypeError("a NUL");
        decoder.decode(chunk, { stream: true });
      }
      decoder.decode();
    } catch (error) {
      if (!(error instanceof TypeError)) throw error;
      unwritable.add(content.digest);
    }
  }
  return unwritable;
}

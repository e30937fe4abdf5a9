import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { MESSAGE_BUDGET_BYTES, serialisedBytes, textChunks } from "../../../src/transport/agb/text-chunks.ts";

/** Of one, two, three and four bytes, with what JSON escapes and halves of a surrogate pair. */
const character = fc.oneof(
  fc.constantFrom("a", "ä", "€", "😀", '"', "\\", "\n", "\u0000", "\u2028", "\ud83d", "\ude00"),
  fc.string({ unit: "binary", minLength: 1, maxLength: 1 }),
);
const anyText = fc.array(character, { maxLength: 200 }).map((parts) => parts.join(""));
/** Room for the longest single character: a pair, or one escape. */
const anyBudget = fc.integer({ min: 12, max: 300 });

describe("chunks of text", () => {
  it("join to the text, at least one of them", () => {
    fc.assert(
      fc.property(anyText, anyBudget, (text, budget) => {
        const chunks = [...textChunks(text, budget)];
        expect(chunks.join("")).toBe(text);
        expect(chunks.length).toBeGreaterThan(0);
        expect(chunks.slice(1)).not.toContain("");
      }),
    );
  });

  it("are each within the budget as JSON in UTF-8", () => {
    fc.assert(
      fc.property(anyText, anyBudget, (text, budget) => {
        for (const chunk of textChunks(text, budget)) {
          expect(serialisedBytes(chunk)).toBeLessThanOrEqual(budget);
          expect(Buffer.byteLength(JSON.stringify(chunk))).toBe(serialisedBytes(chunk) + 2);
        }
      }),
    );
  });

  it("never cut a surrogate pair: sound text gives sound chunks", () => {
    const sound = fc.array(fc.constantFrom("a", "€", "😀", "\n"), { maxLength: 200 }).map((parts) => parts.join(""));
    fc.assert(
      fc.property(sound, anyBudget, (text, budget) => {
        expect([...textChunks(text, budget)].every((chunk) => chunk.isWellFormed())).toBe(true);
      }),
    );
  });

  it.each([
    ["plain text", "x".repeat(150_000)],
    ["text of four bytes each", "😀".repeat(40_000)],
    ["text that doubles when escaped", "\n".repeat(100_000)],
    ["text that grows sixfold", "\u0001".repeat(30_000)],
  ])("use most of a message for %s", (_name, text) => {
    const chunks = [...textChunks(text)];
    const least = Math.ceil(serialisedBytes(text) / MESSAGE_BUDGET_BYTES);
    expect(chunks.length).toBeGreaterThanOrEqual(least);
    expect(chunks.length).toBeLessThanOrEqual(least + 1);
    expect(Math.max(...chunks.map(serialisedBytes))).toBeLessThanOrEqual(MESSAGE_BUDGET_BYTES);
  });

  it("are one empty chunk for an empty text", () => {
    expect([...textChunks("")]).toEqual([""]);
  });
});

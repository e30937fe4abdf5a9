/** Tool messages are capped at 64,512 bytes of serialised arguments (protocol §6.2); this leaves room for the rest. */
export const MESSAGE_BUDGET_BYTES = 60_000;

/** Bytes that `text` takes in a message: as JSON inside JSON, in UTF-8. */
export function serialisedBytes(text: string): number {
  return Buffer.byteLength(JSON.stringify(text)) - 2;
}

/**
 * Cuts text into pieces whose serialised size stays within `budgetBytes`, never inside a character (protocol §13,
 * traps 1 and 2). Always gives at least one piece, so that an empty text makes an empty file.
 */
export function* textChunks(text: string, budgetBytes = MESSAGE_BUDGET_BYTES): Generator<string> {
  let start = 0;
  do {
    let end = Math.min(text.length, start + budgetBytes);
    while (end > start) {
      if (end < text.length && isLowSurrogate(text, end)) end -= 1;
      const sizeBytes = serialisedBytes(text.slice(start, end));
      if (sizeBytes <= budgetBytes) break;
      end = start + Math.max(1, Math.floor(((end - start) * budgetBytes) / sizeBytes) - 1);
    }
    if (end === start && start < text.length) end = start + (isLowSurrogate(text, start + 1) ? 2 : 1);
    yield text.slice(start, end);
    start = end;
  } while (start < text.length);
}

function isLowSurrogate(text: string, index: number): boolean {
  const unit = text.charCodeAt(index);
  return unit >= 0xdc00 && unit <= 0xdfff;
}

/**
 * `npm test` tries a part of the long series of cases, so that it stays short; `npm run test:exhaustive`, which sets
 * CRASH_MATRIX=full, goes through all of them. The files that ask this are the ones that it runs.
 */
export const triesAll = process.env["CRASH_MATRIX"] === "full";

/** How much of a long series: `usual` in `npm test`, `all` in `npm run test:exhaustive`. */
export function thorough<Value>(usual: Value, all: Value): Value {
  return triesAll ? all : usual;
}

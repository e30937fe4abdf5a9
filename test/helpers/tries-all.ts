/** `npm test` tries a part of the long series of cases; with CRASH_MATRIX=full every one of them is tried. */
export const triesAll = process.env["CRASH_MATRIX"] === "full";

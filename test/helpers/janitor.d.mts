/** Removes a directory with everything in it, closed directories too. */
export function removeTree(directory: string): void;

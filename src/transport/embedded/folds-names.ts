import { lstatSync } from "node:fs";
import { basename, dirname, join } from "node:path";

/** Whether the file system at `directory`, or at the nearest place above it that exists, takes `a` and `A` for one name. */
export function foldsNames(directory: string): boolean {
  for (let place = directory; place !== dirname(place); place = dirname(place)) {
    const here = lstatSync(place, { throwIfNoEntry: false });
    const name = basename(place);
    const other = swapCase(name);
    if (here === undefined || other === name) continue;
    const there = lstatSync(join(dirname(place), other), { throwIfNoEntry: false });
    return there !== undefined && there.ino === here.ino && there.dev === here.dev;
  }
  return false;
}

function swapCase(name: string): string {
  const upper = name.toUpperCase();
  return name === upper ? name.toLowerCase() : upper;
}

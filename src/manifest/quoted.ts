/** Longest name that a message repeats in full, and what is left of both ends of a longer one. */
const LONGEST = 100;
const HEAD = 60;
const TAIL = 30;

/** A name as a message shows it: in quotes, without its middle if it is very long. */
export function quoted(name: string): string {
  return JSON.stringify(shortened(name));
}

/** A name without its middle if it is longer than 100 characters. */
export function shortened(name: string): string {
  const characters = Array.from(name);
  if (characters.length <= LONGEST) return name;
  return `${characters.slice(0, HEAD).join("")}…${characters.slice(-TAIL).join("")}`;
}

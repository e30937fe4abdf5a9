/** Colours and weights of text. */
export type Paint = "green" | "red" | "yellow" | "cyan" | "bold" | "dim";

/** How rendered text is coloured, and how texts of others come into it. */
export type Ink = {
  readonly paint: (paint: Paint, text: string) => string;
  /** A message, output or content that agb-sync did not write: secrets replaced, escapes made visible. */
  readonly foreign: (text: string) => string;
};

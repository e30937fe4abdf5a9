/** The text of a program that runs in a session, made from the `.sh` file beside it (`npm run generate`). */
declare module "*.sh.generated.js" {
  const text: string;
  export default text;
}

/** The same of a program in Python. */
declare module "*.py.generated.js" {
  const text: string;
  export default text;
}

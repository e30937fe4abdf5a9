/** Kept in the directory of an embedded session, with its id in it. */
export const SESSION_FILE = ".agb-sync-session";
/** Kept in the directory of an emulator. */
export const EMULATOR_FILE = ".agb-sync-emulator";

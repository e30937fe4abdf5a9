import { answers } from "./mutations/answers.mjs";
import { bytes } from "./mutations/bytes.mjs";
import { locks } from "./mutations/locks.mjs";
import { secrets } from "./mutations/secrets.mjs";
import { state } from "./mutations/state.mjs";
import { truth } from "./mutations/truth.mjs";
import { watching } from "./mutations/watching.mjs";

/**
 * Changes of src that each break a promise, by the rows of README.md. `text` stands in `file` exactly once; `tests` (those
 * whose names match `only`) fail when it becomes `becomes`, and pass as it is.
 */
export const mutations = [...bytes, ...truth, ...locks, ...state, ...answers, ...secrets, ...watching];

// What the command line uses of undici. These paths are private to it: the lock file pins them, and the tests of the built
// command line fail when one goes away.
import { setFlagsFromString } from "node:v8";
import api from "../node_modules/undici/lib/api/index.js";
import Agent from "../node_modules/undici/lib/dispatcher/agent.js";
import Dispatcher from "../node_modules/undici/lib/dispatcher/dispatcher.js";
import EnvHttpProxyAgent from "../node_modules/undici/lib/dispatcher/env-http-proxy-agent.js";

Object.assign(Dispatcher.prototype, api);

// Before version 22 Node optimizes undici's HTTP parser, one function of WebAssembly, at the first answer: 80 ms of a core
// which the end of the process waits for, for a parser that is fast enough as it is.
if (Number.parseInt(process.versions.node, 10) < 22) setFlagsFromString("--wasm-tiering-budget=180000000");

export { Agent, EnvHttpProxyAgent };

// What the command line uses of undici. These paths are private to it: the lock file pins them, and the tests of the built
// command line fail when one goes away.
import api from "../node_modules/undici/lib/api/index.js";
import Agent from "../node_modules/undici/lib/dispatcher/agent.js";
import Dispatcher from "../node_modules/undici/lib/dispatcher/dispatcher.js";
import EnvHttpProxyAgent from "../node_modules/undici/lib/dispatcher/env-http-proxy-agent.js";

Object.assign(Dispatcher.prototype, api);

export { Agent, EnvHttpProxyAgent };

import { isIP } from "node:net";
import { UsageError } from "../../errors.ts";

type Environment = Readonly<Record<string, string | undefined>>;

/** A proxy, and the variable that names it. */
export type Proxy = {
  readonly variable: string;
  /** With credentials, for the connection only. */
  readonly url: string;
  /** Without them, for people. */
  readonly shown: string;
};

/** Which proxy requests take, from the environment. */
export type Proxies = {
  readonly http: Proxy | undefined;
  readonly https: Proxy | undefined;
  /** The proxy on the way to `url`; undefined: straight there. */
  readonly of: (url: URL) => Proxy | undefined;
};

/**
 * Reads HTTP_PROXY, HTTPS_PROXY, ALL_PROXY and NO_PROXY, in capitals or not; an empty one counts as not set. Loopback
 * never goes through a proxy. @throws {UsageError} for a value that is no address of an HTTP proxy.
 */
export function proxiesFrom(env: Environment): Proxies {
  const all = proxyIn(env, "all_proxy");
  const http = proxyIn(env, "http_proxy") ?? all;
  const https = proxyIn(env, "https_proxy") ?? all ?? http;
  const exceptions = (named(env, "no_proxy")?.value ?? "").split(/[\s,]+/).filter((item) => item !== "");
  const of = (url: URL) => {
    const proxy = url.protocol === "https:" ? https : http;
    if (proxy === undefined || isLoopback(hostOf(url))) return undefined;
    return exceptions.some((item) => matches(item, url)) ? undefined : proxy;
  };
  return { http, https, of };
}

function named(env: Environment, name: string): { readonly variable: string; readonly value: string } | undefined {
  for (const variable of [name, name.toUpperCase()]) {
    const value = env[variable]?.trim() ?? "";
    if (value !== "") return { variable, value };
  }
  return undefined;
}

function proxyIn(env: Environment, name: string): Proxy | undefined {
  const found = named(env, name);
  if (found === undefined) return undefined;
  const { variable, value } = found;
  const text = value.includes("://") ? value : `http://${value}`;
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url === undefined || url.hostname === "" || !["http:", "https:"].includes(url.protocol)) {
    // What cannot be read may hold a password.
    const shown = value.replace(/^(.*:\/\/)?.*@/, "$1***@");
    throw new UsageError(`${variable}=${shown} is no address of an HTTP proxy`, {
      hint: `write for example ${variable}=http://proxy.example.org:3128, or unset it`,
    });
  }
  return { variable, url: url.href, shown: url.host };
}

/** One item of NO_PROXY: `*`, a name with all below it, an address; each with or without a port. */
function matches(item: string, url: URL): boolean {
  if (item === "*") return true;
  const { host, port } = partsOf(item.toLowerCase());
  const own = url.port === "" ? (url.protocol === "https:" ? "443" : "80") : url.port;
  if (port !== undefined && port !== own) return false;
  const name = hostOf(url);
  const domain = host.replace(/^\*?\./, "");
  return domain !== "" && (name === domain || (isIP(domain) === 0 && name.endsWith(`.${domain}`)));
}

function partsOf(item: string): { readonly host: string; readonly port: string | undefined } {
  if (isIP(item) === 6) return { host: item, port: undefined };
  const match = /^(?:\[([^\]]*)\]|([^:]*))(?::(\d+))?$/.exec(item);
  return { host: match?.[1] ?? match?.[2] ?? item, port: match?.[3] };
}

function hostOf(url: URL): string {
  return url.hostname
    .toLowerCase()
    .replace(/^\[|\]$/g, "")
    .replace(/\.$/, "");
}

function isLoopback(host: string): boolean {
  return host === "::1" || host === "localhost" || host.endsWith(".localhost") || /^127\.\d+\.\d+\.\d+$/.test(host);
}

// Looks at a server as the stock Admin UI does: connects to /admin, and checks what comes of it.
//
//   node admin-suite.mjs URL --username NAME --password WORD [--mode MODE] [--read-only] [--bounds] [--only WORD]
//
// The server must speak the chat protocol on `/`, and was told the same mode and name. Knows nothing about
// whose server it is: the same checks hold against a stock Node server; except those with --bounds, which are
// for a server that has some.

import { parseArgs } from "node:util";

import * as acting from "./admin/acting.mjs";
import * as bounds from "./admin/bounds.mjs";
import * as entering from "./admin/entering.mjs";
import * as looking from "./admin/looking.mjs";
import * as restricted from "./admin/restricted.mjs";
import { AdminWorld } from "./admin/world.mjs";
import { run } from "./suite/runner.mjs";

const { values: options, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    username: { type: "string" },
    password: { type: "string" },
    mode: { type: "string", default: "production" },
    "read-only": { type: "boolean", default: false },
    bounds: { type: "boolean", default: false },
    only: { type: "string", default: "" },
  },
});
const [url] = positionals;
if (!url || !options.username || !options.password) {
  console.error("usage: node admin-suite.mjs URL --username NAME --password WORD [--mode MODE] [--read-only]");
  process.exit(2);
}

const isDevelopment = options.mode === "development";
const groups = [entering];
if (isDevelopment) groups.push(looking);
if (isDevelopment && !options["read-only"]) groups.push(acting);
if (!isDevelopment || options["read-only"]) groups.push(restricted);
await run(options.bounds ? [bounds] : groups, () => new AdminWorld(url, options), options.only);

// Drives a chat server through the whole chat protocol with the stock client.
//
//   node chat-suite.mjs URL --namespace NAME [--only WORD]
//
// NAME is a second namespace that serves the chat (rooms of its own). Prints one line per check; the
// exit code is 0 if all of them hold. Knows nothing about whose server it is.

import { parseArgs } from "node:util";

import * as bodies from "./suite/bodies.mjs";
import * as connections from "./suite/connections.mjs";
import * as messages from "./suite/messages.mjs";
import * as namespaces from "./suite/namespaces.mjs";
import * as presence from "./suite/presence.mjs";
import * as rooms from "./suite/rooms.mjs";
import { run } from "./suite/runner.mjs";
import { World } from "./suite/world.mjs";

const { values: options, positionals } = parseArgs({
  allowPositionals: true,
  options: { namespace: { type: "string" }, only: { type: "string", default: "" } },
});
const [url] = positionals;
if (!url || !options.namespace) {
  console.error("usage: node chat-suite.mjs URL --namespace NAME [--only WORD]");
  process.exit(2);
}

const groups = [connections, rooms, messages, bodies, presence, namespaces];
await run(groups, () => new World(url, options.namespace), options.only);

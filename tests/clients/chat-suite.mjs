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
import { World } from "./suite/world.mjs";

const CHECK_MS_MAX = 20_000;
const FAILURES_MAX = 3;

const { values: options, positionals } = parseArgs({
  allowPositionals: true,
  options: { namespace: { type: "string" }, only: { type: "string", default: "" } },
});
const [url] = positionals;
if (!url || !options.namespace) {
  console.error("usage: node chat-suite.mjs URL --namespace NAME [--only WORD]");
  process.exit(2);
}

let passed = 0;
let failed = 0;
for (const group of [connections, rooms, messages, bodies, presence, namespaces]) {
  for (const [name, check] of Object.entries(group)) {
    const title = name.replaceAll("_", " ");
    if (!title.includes(options.only)) continue;
    if (await holds(title, check)) passed += 1;
    else failed += 1;
    if (failed === FAILURES_MAX) finish();
  }
}
finish();

async function holds(title, check) {
  const world = new World(url, options.namespace);
  const watchdog = setTimeout(() => {
    console.log(`FAIL  ${title}: not done after ${CHECK_MS_MAX} ms`);
    process.exit(1);
  }, CHECK_MS_MAX);
  try {
    await check(world);
    console.log(`ok    ${title}`);
    return true;
  } catch (error) {
    console.log(`FAIL  ${title}\n${String(error.stack).replaceAll(/^/gm, "      ")}`);
    return false;
  } finally {
    clearTimeout(watchdog);
    world.close();
  }
}

function finish() {
  console.log(`${passed} checks passed, ${failed} failed`);
  process.exit(failed > 0 || passed === 0 ? 1 : 0);
}

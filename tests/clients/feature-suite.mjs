// Drives the application of tests/features through its features with the stock client.
//
//   node feature-suite.mjs URL [--only WORD]
//
// What clients are and speak is set in the environment: CLIENT (2 for that of Socket.IO 2), TRANSPORTS, in
// order of preference, and PARSER.

import { parseArgs } from "node:util";

import * as entering from "./features/entering.mjs";
import * as speaking from "./features/speaking.mjs";
import * as staying from "./features/staying.mjs";
import { FeatureWorld } from "./features/world.mjs";
import { run } from "./suite/runner.mjs";

const { values: options, positionals } = parseArgs({
  allowPositionals: true,
  options: { only: { type: "string", default: "" } },
});
const [url] = positionals;
if (!url) {
  console.error("usage: node feature-suite.mjs URL [--only WORD]");
  process.exit(2);
}
await run([entering, speaking, staying], () => new FeatureWorld(url), options.only);

// Who gets in, and what is told to whoever does.

import assert from "node:assert/strict";

import { shape } from "./world.mjs";

export async function the_password_lets_in(world) {
  const operator = await world.login();
  const again = await world.login();
  assert.notEqual(operator.received[0][1], again.received[0][1], "each login has a session of its own");
}

export async function nothing_else_does(world) {
  // Not among these: the name without a password, which ends a stock server.
  const { username, password } = world.options;
  const auths = [
    {},
    { password },
    { username, password: `${password}.` },
    { username: "somebody", password },
    { username, password: "" },
    { sessionId: "0123456789abcdef" },
    { sessionId: "" },
  ];
  for (const auth of auths) {
    await assert.rejects(world.operatorWith(auth), { message: "invalid credentials" }, JSON.stringify(auth));
  }
}

export async function a_session_lets_in_without_the_password(world) {
  const operator = await world.login();
  const [, sessionId] = operator.received.find(([event]) => event === "session");
  // On several connections, hence on several shards.
  for (let count = 0; count < 6; count += 1) {
    const again = await world.operatorWith({ sessionId });
    await again.until("config");
    assert.deepEqual(again.all("session"), []);
  }
}

export async function the_features_are_those_of_the_mode(world) {
  const operator = await world.operator();
  const [config] = operator.all("config");
  const commands = ["EMIT", "JOIN", "LEAVE", "DISCONNECT", "MJOIN", "MLEAVE", "MDISCONNECT"];
  const expected = [
    ...(world.options["read-only"] ? [] : commands),
    "AGGREGATED_EVENTS",
    ...(world.options.mode === "development" ? ["ALL_EVENTS"] : []),
  ];
  assert.deepEqual(config, { supportedFeatures: expected });
}

export async function there_is_one_server_with_everything(world) {
  const peers = [];
  for (let count = 0; count < 6; count += 1) peers.push(await world.peer());
  const operator = await world.operator();
  // Clients of earlier checks may still be counted, and some of these not yet.
  let stats;
  do [stats] = await operator.until("server_stats");
  while (stats.clientsCount !== 7);
  const { aggregatedEvents, namespaces, ...rest } = stats;
  assert.deepEqual(shape(rest), {
    serverId: "string",
    hostname: "string",
    pid: "number",
    uptime: "number",
    clientsCount: "number",
    pollingClientsCount: "number",
  });
  assert.deepEqual([rest.clientsCount, rest.pollingClientsCount], [7, 0]);
  namespaces.sort((one, other) => (one.name < other.name ? -1 : 1));
  assert.deepEqual(namespaces, [
    { name: "/", socketsCount: 6 },
    { name: "/admin", socketsCount: 1 },
  ]);
  await peers[0].ask("echo", "x");
  peers[1].socket.io._close();
  const seen = new Set();
  const keep = ({ timestamp, type, subType, count }) => {
    assert.equal(timestamp % 1000, 0);
    assert.equal(shape(count), "number");
    seen.add(subType ? `${type}: ${subType}` : type);
  };
  aggregatedEvents.forEach(keep);
  const wanted = ["rawConnection", "rawDisconnection: transport close", "packetsIn", "packetsOut", "bytesIn", "bytesOut"];
  while (!wanted.every((kind) => seen.has(kind))) {
    const [next] = await operator.until("server_stats");
    assert.equal(next.serverId, rest.serverId);
    next.aggregatedEvents.forEach(keep);
  }
}

// What operators may not do, or do not see.

import assert from "node:assert/strict";

export async function who_may_only_look_changes_nothing(world) {
  if (!world.options["read-only"]) return;
  const operator = await world.operator();
  const room = world.room();
  const [peer, other] = [await world.peer(), await world.peer(room)];
  operator.socket.emit("join", "/", room, peer.id);
  operator.socket.emit("emit", "/", null, "note", 1);
  operator.socket.emit("_disconnect", "/", true, peer.id);
  // What was asked for had its turn before these statistics were sent.
  await operator.until("server_stats");
  await operator.until("server_stats");
  await other.ok("message", { room, body: "x" });
  await peer.quiet();
  await other.quiet();
}

export async function in_production_no_socket_is_shown(world) {
  if (world.options.mode === "development") return;
  const operator = await world.operator();
  const peer = await world.peer(world.room());
  peer.socket.disconnect();
  await operator.until("server_stats");
  await operator.until("server_stats");
  const names = new Set(operator.received.map(([event]) => event));
  assert.deepEqual([...names].filter((name) => !["session", "config", "server_stats"].includes(name)), []);
}

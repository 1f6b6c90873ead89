// Watching a room: a list, and the changes that continue it.

import assert from "node:assert/strict";

import { soon } from "./peer.mjs";

const ids = (members) => members.map(({ id }) => id).sort();

/** Keeps the server busy for a moment, so that what `peer` emits next piles up. */
function busy(peer) {
  for (let number = 0; number < 50; number += 1) peer.socket.emit("echo", number);
}

/** Takes notices of `room` off `watcher` until `count` changes have come. */
async function changes(watcher, room, count) {
  const seen = [];
  while (seen.length < count) {
    const notice = await watcher.expect("presence");
    assert.deepEqual(Object.keys(notice).sort(), ["changes", "room"]);
    assert.equal(notice.room, room);
    assert.notEqual(notice.changes.length, 0, "a notice without a change");
    seen.push(...notice.changes);
  }
  return seen;
}

export async function watch_answers_with_the_members(world) {
  const room = world.room();
  const watcher = await world.peer();
  assert.deepEqual(await watcher.call("watch", room), { ok: true, members: [] });
  const member = await world.peer(room);
  await member.ok("name", "Ada");
  const late = await world.peer();
  assert.deepEqual(await late.call("watch", room), { ok: true, members: [{ id: member.id, name: "Ada" }] });
  await late.quiet();
}

export async function every_join_and_leave_is_announced_once_and_in_order(world) {
  const [room, next] = [world.room(), world.room()];
  const watcher = await world.peer();
  await watcher.ok("watch", room);
  const [first, second] = [await world.peer(), await world.peer()];
  const expected = [];
  for (const [peer, sign, ...event] of [
    [first, "+", "join", room],
    [second, "+", "join", room],
    [first, "-", "leave", room],
    [first, "+", "join", room],
    [second, "-", "switch", room, next],
    [second, "+", "switch", next, room],
  ]) {
    await peer.ok(...event);
    expected.push([sign, peer.id]);
  }
  assert.deepEqual(await changes(watcher, room, expected.length), expected);
  await watcher.quiet();
}

export async function a_disconnect_is_announced_like_a_leave(world) {
  const room = world.room();
  const watcher = await world.peer();
  await watcher.ok("watch", room);
  const [polite, abrupt] = [await world.peer(room), await world.peer(room)];
  const [first, second] = [polite.id, abrupt.id];
  assert.deepEqual(await changes(watcher, room, 2), [["+", first], ["+", second]]);
  polite.socket.disconnect();
  assert.deepEqual(await changes(watcher, room, 1), [["-", first]]);
  abrupt.socket.io.reconnection(false);
  const transport = await abrupt.transport();
  // The client of a poller cannot be broken off; two polls at a time break the session.
  if (transport.name === "websocket") transport.ws.terminate();
  else await fetch(transport.uri());
  assert.deepEqual(await changes(watcher, room, 1), [["-", second]]);
  assert.deepEqual((await watcher.ok("members", room)).members, []);
  await watcher.quiet();
}

export async function notices_continue_from_the_list(world) {
  const room = world.room();
  const peers = await Promise.all(Array.from({ length: 8 }, () => world.peer()));
  const watcher = await world.peer();
  let churning = true;
  const churned = Promise.all(
    peers.map(async (peer, index) => {
      for (let round = 0; churning || round % 2; round += 1) {
        await peer.ok(round % 2 ? "leave" : "join", room);
        if (index === round % 8) await new Promise(setImmediate);
      }
    }),
  );
  for (let round = 0; round < 20; round += 1) {
    const before = watcher.received.length;
    const { members } = await watcher.ok("watch", room);
    await watcher.ask("echo");
    await watcher.ask("echo");
    await watcher.ok("unwatch", room);
    const after = watcher.received.length;
    const inside = new Set(ids(members));
    for (const [, { changes }] of watcher.received.slice(before, after)) apply(inside, changes);
    await watcher.ask("echo");
    assert.equal(watcher.received.length, after, "a notice came after the ack of unwatch");
  }
  churning = false;
  await soon(churned, "the churn to end");
}

/** Applies changes to a set of members; each must make a difference. */
function apply(inside, changes) {
  for (const [sign, id] of changes) {
    assert.equal(inside.has(id), sign === "-", `${sign} ${id} continues what was known`);
    if (sign === "+") inside.add(id);
    else inside.delete(id);
  }
}

export async function a_watcher_ends_with_the_true_membership(world) {
  const room = world.room();
  const watcher = await world.peer();
  const inside = new Set(ids((await watcher.ok("watch", room)).members));
  const peers = await Promise.all(Array.from({ length: 20 }, () => world.peer()));
  let announced = 0;
  const rush = peers.map(async (peer, index) => {
    const steps = 1 + (index % 4);
    for (let step = 0; step < steps; step += 1) peer.socket.emit(step % 2 ? "leave" : "join", room);
    announced += steps;
    await peer.ask("echo");
    if (index % 5 !== 4) return;
    peer.socket.disconnect();
    announced += steps % 2;
  });
  await Promise.all(rush);
  apply(inside, await changes(watcher, room, announced));
  assert.deepEqual([...inside].sort(), ids((await watcher.ok("members", room)).members));
  await watcher.quiet();
}

export async function a_watching_member_sees_itself_come_and_go(world) {
  const room = world.room();
  const peer = await world.peer();
  await peer.ok("watch", room);
  await peer.ok("join", room);
  assert.deepEqual(await changes(peer, room, 1), [["+", peer.id]]);
  await peer.ok("leave", room);
  assert.deepEqual(await changes(peer, room, 1), [["-", peer.id]]);
}

export async function what_the_list_shows_is_not_announced_again(world) {
  const room = world.room();
  const [steady, peer] = [await world.peer(), await world.peer()];
  await steady.ok("watch", room);
  for (let round = 0; round < 10; round += 1) {
    // Behind other work, so that join and watch are likely handled in one tick.
    busy(peer);
    peer.socket.emit("join", room);
    assert.deepEqual(ids((await peer.ok("watch", room)).members), [peer.id]);
    await peer.quiet();
    busy(peer);
    peer.socket.emit("leave", room);
    await peer.ok("unwatch", room);
    assert.deepEqual(await changes(peer, room, 1), [["-", peer.id]]);
    await peer.quiet();
    assert.deepEqual(await changes(steady, room, 2), [["+", peer.id], ["-", peer.id]]);
  }
}

export async function unwatch_ends_the_notices(world) {
  const room = world.room();
  const [watcher, other] = [await world.peer(), await world.peer()];
  await watcher.ok("watch", room);
  await other.ok("watch", room);
  const member = await world.peer(room);
  assert.deepEqual(await changes(watcher, room, 1), [["+", member.id]]);
  assert.deepEqual(await watcher.call("unwatch", room), { ok: true });
  await member.ok("leave", room);
  assert.deepEqual(await changes(other, room, 2), [["+", member.id], ["-", member.id]]);
  await watcher.quiet();
}

export async function watching_is_not_membership(world) {
  const room = world.room();
  const watcher = await world.peer();
  await watcher.ok("watch", room);
  const [speaker, listener] = [await world.peer(room), await world.peer(room)];
  await changes(watcher, room, 2);
  await speaker.ok("message", { room, body: "for members" });
  await listener.expect("message");
  await watcher.refused("message", { room, body: "from outside" });
  await watcher.quiet();
}

export async function watching_twice_announces_once(world) {
  const room = world.room();
  const watcher = await world.peer();
  await watcher.ok("watch", room);
  await watcher.ok("watch", room);
  const member = await world.peer(room);
  assert.deepEqual(await changes(watcher, room, 1), [["+", member.id]]);
  await watcher.quiet();
}

// Join, leave, switch, members: who is in which room, and what is refused.

import assert from "node:assert/strict";

const ids = (members) => members.map(({ id }) => id).sort();

export async function join_and_leave_answer_as_documented(world) {
  const room = world.room();
  const [first, second] = [await world.peer(), await world.peer()];
  assert.deepEqual(await first.call("join", room), { ok: true, members: 1 });
  assert.deepEqual(await second.call("join", room), { ok: true, members: 2 });
  assert.deepEqual(await first.call("leave", room), { ok: true });
  assert.deepEqual(await first.call("join", room), { ok: true, members: 2 });
}

export async function joining_twice_changes_nothing(world) {
  const room = world.room();
  const watcher = await world.peer();
  await watcher.ok("watch", room);
  const [first, second] = [await world.peer(room), await world.peer(room)];
  assert.deepEqual(await first.call("join", room), { ok: true, members: 2 });
  await second.ok("message", { room, body: "once" });
  assert.equal((await first.expect("message")).body, "once");
  await first.quiet();
  await first.ok("leave", room);
  await watcher.ask("echo");
  const changes = watcher.all("presence").flatMap((notice) => notice.changes);
  assert.deepEqual(changes, [["+", first.id], ["+", second.id], ["-", first.id]]);
}

export async function members_carry_ids_and_names(world) {
  const room = world.room();
  const [ada, eve] = [await world.peer(room), await world.peer(room)];
  assert.deepEqual(await ada.call("name", "Ada"), { ok: true });
  await eve.ok("name", "Ève 🌍 \"\\\u0001");
  const { ok, members, ...rest } = await eve.call("members", room);
  assert.equal(ok, true);
  assert.deepEqual(rest, {});
  assert.deepEqual(
    members.toSorted((a, b) => (a.name < b.name ? -1 : 1)),
    [{ id: ada.id, name: "Ada" }, { id: eve.id, name: "Ève 🌍 \"\\\u0001" }],
  );
  await ada.ok("name", "Lovelace");
  const renamed = (await eve.ok("members", room)).members.find(({ id }) => id === ada.id);
  assert.deepEqual(renamed, { id: ada.id, name: "Lovelace" });
}

export async function members_follow_joins_leaves_and_disconnects(world) {
  const room = world.room();
  const [stays, leaves, goes] = [await world.peer(room), await world.peer(room), await world.peer(room)];
  assert.deepEqual(ids((await stays.ok("members", room)).members), [stays.id, leaves.id, goes.id].sort());
  await leaves.ok("leave", room);
  assert.deepEqual(ids((await stays.ok("members", room)).members), [stays.id, goes.id].sort());
  await stays.ok("watch", room);
  const gone = goes.id;
  goes.socket.disconnect();
  assert.deepEqual(await stays.expect("presence"), { room, changes: [["-", gone]] });
  assert.deepEqual(ids((await stays.ok("members", room)).members), [stays.id]);
}

export async function a_socket_may_be_in_at_least_a_hundred_rooms(world) {
  const rooms = Array.from({ length: 100 }, () => world.room());
  const [speaker, listener] = [await world.peer(...rooms), await world.peer(...rooms)];
  for (const [index, room] of rooms.entries()) speaker.socket.emit("message", { room, body: index });
  const heard = (await listener.take(100)).map(([, message]) => [message.room, message.body, message.seq]);
  assert.deepEqual(heard, rooms.map((room, index) => [room, index, 1]));
}

export async function a_room_name_of_256_bytes_is_served_and_one_of_257_refused(world) {
  const [speaker, listener] = [await world.peer(), await world.peer()];
  for (const [fits, over] of [
    ["a".repeat(256), "a".repeat(257)],
    ["🌍".repeat(64), "🌍".repeat(64) + "a"],
    ["é".repeat(128), "é".repeat(127) + "aaa"],
    ["\u0000".repeat(256), "\u0000".repeat(257)],
  ]) {
    await speaker.ok("join", fits);
    await listener.ok("join", fits);
    await speaker.ok("message", { room: fits, body: 1 });
    assert.equal((await listener.expect("message")).room, fits);
    for (const event of ["join", "leave", "members", "watch"]) await speaker.refused(event, over);
    await speaker.refused("message", { room: over, body: 1 });
    await speaker.refused("switch", fits, over);
  }
}

export async function what_is_no_room_name_is_refused(world) {
  const peer = await world.peer(world.room());
  for (const room of ["", 1, null, true, [], {}, ["a"], Buffer.from("room")]) {
    await peer.refused("join", room);
    await peer.refused("leave", room);
    await peer.refused("watch", room);
    await peer.refused("members", room);
    await peer.refused("message", { room, body: 1 });
  }
  for (const event of ["join", "leave", "switch", "message", "members", "watch", "name"]) {
    await peer.refused(event);
  }
  await peer.refused("name", 7);
  await peer.refused("message", "not an object");
  await peer.refused("message", { body: "no room" });
  await peer.quiet();
}

export async function odd_room_names_are_names_like_others(world) {
  const [speaker, listener] = [await world.peer(), await world.peer()];
  const tail = world.room("");
  const names = [
    "🌍", "\u0000", "__proto__", "constructor", "toString", '"', '\\"', "\\", "a,b", "/", "/x,", "1[",
    "\n\r\t", " ", "\u2028\u2029", "\u200f\u202e", "\ufeff", "\uffff", "_placeholder", "null", "0", "#", "{}",
  ];
  for (const room of names.flatMap((name) => [name, name + tail])) {
    await listener.ok("join", room);
    await speaker.ok("join", room);
    await speaker.ok("message", { room, body: room });
    const { body, room: named } = await listener.expect("message");
    assert.deepEqual([named, body], [room, room]);
    const { members } = await speaker.ok("members", room);
    assert.ok(ids(members).includes(listener.id));
    await listener.ok("leave", room);
    await speaker.ok("leave", room);
  }
  await listener.quiet();
}

export async function the_id_of_another_socket_is_no_room_name(world) {
  const room = world.room();
  const [spy, target] = [await world.peer(room), await world.peer()];
  await spy.refused("join", target.id);
  await spy.refused("switch", room, target.id);
  await spy.refused("message", { room: target.id, body: "not a member" });
  await spy.ok("message", { room, body: "still in the old room" });
  await target.quiet();
}

export async function who_is_not_a_member_may_not_speak(world) {
  const room = world.room();
  const [stranger, member] = [await world.peer(), await world.peer(room)];
  await stranger.refused("message", { room, body: "hello?" });
  await stranger.refused("message", { room: world.room(), body: "nobody here" });
  await stranger.ok("join", room);
  await stranger.ok("leave", room);
  await stranger.refused("message", { room, body: "left already" });
  await stranger.refused("switch", room, world.room());
  await member.quiet();
}

export async function a_refusal_without_an_ack_is_an_error_message(world) {
  const room = world.room();
  const [stranger, member] = [await world.peer(), await world.peer(room)];
  const over = "a".repeat(257);
  for (const event of [
    ["message", { room, body: "hello?" }],
    ["join", over],
    ["join"],
    ["switch", room, over],
    ["typing", room],
  ]) {
    stranger.socket.emit(...event);
    const refusal = await stranger.expect("error_message");
    assert.equal(refusal.ok, false, JSON.stringify(refusal));
    assert.equal(typeof refusal.error, "string", JSON.stringify(refusal));
  }
  await stranger.quiet();
  await member.quiet();
}

export async function switch_leaves_one_room_and_joins_the_other(world) {
  const [from, to] = [world.room("from"), world.room("to")];
  const [mover, old, fresh] = [await world.peer(from), await world.peer(from), await world.peer(to)];
  assert.deepEqual(await mover.call("switch", from, to), { ok: true, members: 2 });
  assert.deepEqual(ids((await old.ok("members", from)).members), [old.id]);
  assert.deepEqual(ids((await fresh.ok("members", to)).members), [mover.id, fresh.id].sort());
  await old.ok("message", { room: from, body: "gone" });
  await fresh.ok("message", { room: to, body: "here" });
  assert.equal((await mover.expect("message")).body, "here");
  await mover.quiet();
}

export async function a_refused_switch_changes_nothing(world) {
  const [from, to] = [world.room("from"), world.room("to")];
  const [mover, old, fresh] = [await world.peer(from), await world.peer(from), await world.peer(to)];
  await mover.refused("switch", from, "a".repeat(257));
  await mover.refused("switch", from, "");
  await mover.refused("switch", from);
  await mover.refused("switch", to, from);
  await old.ok("message", { room: from, body: "still here" });
  await fresh.ok("message", { room: to, body: "not here" });
  assert.equal((await mover.expect("message")).body, "still here");
  await mover.quiet();
  assert.deepEqual(ids((await fresh.ok("members", to)).members), [fresh.id]);
}

export async function switch_is_one_step_in_the_order_of_messages(world) {
  const [from, to] = [world.room("from"), world.room("to")];
  const speaker = await world.peer(from, to);
  for (let round = 0; round < 20; round += 1) {
    const mover = await world.peer(from);
    const numbers = Array.from({ length: 60 }, (_, number) => number);
    const moved = new Promise((resolve) => setImmediate(() => resolve(mover.ok("switch", from, to))));
    for (const number of numbers) {
      speaker.socket.emit("message", { room: number % 2 ? to : from, body: number });
      if (number % 10 === round % 10) await new Promise(setImmediate);
    }
    await moved;
    await speaker.ask("echo");
    await mover.ask("echo");
    const heard = mover.all("message").map(({ body }) => body).join();
    // What was accepted before the switch came from one room, the rest from the other.
    const possible = [...numbers, numbers.length].map((cut) =>
      numbers.filter((number) => (number % 2 ? number >= cut : number < cut)).join(),
    );
    assert.ok(possible.includes(heard), `round ${round}: heard ${heard}`);
    mover.socket.disconnect();
  }
}

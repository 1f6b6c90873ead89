// Messages: who hears them, in which order, and what they carry.

import assert from "node:assert/strict";

export async function a_message_reaches_every_other_member_and_not_its_sender(world) {
  const room = world.room();
  const [speaker, ...listeners] = [await world.peer(room), await world.peer(room), await world.peer(room)];
  const stranger = await world.peer(world.room());
  assert.deepEqual(await speaker.call("message", { room, body: "hi" }), { ok: true, seq: 1 });
  for (const listener of listeners) {
    const message = await listener.expect("message");
    assert.deepEqual(message, { room, from: speaker.id, body: "hi", seq: 1 });
    await listener.quiet();
  }
  await speaker.quiet();
  await stranger.quiet();
}

export async function a_message_needs_no_ack(world) {
  const room = world.room();
  const [speaker, listener] = [await world.peer(room), await world.peer(room)];
  speaker.socket.emit("message", { room, body: 1 });
  assert.deepEqual(await listener.expect("message"), { room, from: speaker.id, body: 1, seq: 1 });
  await speaker.quiet();
}

export async function an_id_is_delivered_only_if_it_was_sent(world) {
  const room = world.room();
  const [speaker, listener] = [await world.peer(room), await world.peer(room)];
  for (const id of ["m-1", "", 7, 0, null]) {
    const { seq } = await speaker.ok("message", { room, body: "b", id });
    assert.deepEqual(await listener.expect("message"), { room, from: speaker.id, body: "b", seq, id });
  }
  const { seq } = await speaker.ok("message", { room, body: "b" });
  assert.deepEqual(await listener.expect("message"), { room, from: speaker.id, body: "b", seq });
}

export async function seq_counts_the_messages_of_a_room(world) {
  const [room, busy] = [world.room(), world.room()];
  const [first, second] = [await world.peer(room, busy), await world.peer(room, busy)];
  const listener = await world.peer(room);
  for (let seq = 1; seq <= 10; seq += 1) {
    const speaker = seq % 2 ? first : second;
    await speaker.ok("message", { room: busy, body: "elsewhere" });
    assert.deepEqual(await speaker.call("message", { room, body: seq }), { ok: true, seq });
    assert.equal((await listener.expect("message")).seq, seq);
  }
  await first.refused("message", { room: world.room(), body: "refused messages are not counted" });
  assert.equal((await first.ok("message", { room, body: 11 })).seq, 11);
}

export async function messages_of_one_sender_arrive_in_the_order_sent(world) {
  const room = world.room();
  const [speaker, listener] = [await world.peer(room), await world.peer(room)];
  const numbers = Array.from({ length: 500 }, (_, number) => number);
  for (const number of numbers) speaker.socket.emit("message", { room, body: number });
  const heard = (await listener.take(numbers.length)).map(([, { body }]) => body);
  assert.deepEqual(heard, numbers);
}

export async function all_members_see_one_order(world) {
  const room = world.room();
  const peers = await Promise.all(Array.from({ length: 6 }, () => world.peer(room)));
  const rounds = 50;
  for (let round = 0; round < rounds; round += 1) {
    for (const peer of peers) peer.socket.emit("message", { room, body: round });
    if (round % 7 === 0) await new Promise(setImmediate);
  }
  const orders = [];
  for (const peer of peers) {
    const heard = (await peer.take(rounds * (peers.length - 1))).map(([, message]) => message);
    for (const [index, { seq }] of heard.entries()) {
      if (index > 0) assert.ok(seq > heard[index - 1].seq, "seq increases at every member");
    }
    orders.push(new Map(heard.map(({ seq, from, body }) => [seq, `${from} ${body}`])));
  }
  for (let seq = 1; seq <= rounds * peers.length; seq += 1) {
    const seen = new Set(orders.map((order) => order.get(seq)).filter(Boolean));
    assert.equal(seen.size, 1, `number ${seq} is one message for everybody who heard it`);
  }
  for (const peer of peers) await peer.quiet();
}

export async function an_ack_means_that_the_message_has_its_place(world) {
  const room = world.room();
  const [speaker, late] = [await world.peer(room), await world.peer()];
  for (let round = 0; round < 30; round += 1) {
    const { seq: before } = await speaker.ok("message", { room, body: "before" });
    await late.ok("join", room);
    const { seq: after } = await speaker.ok("message", { room, body: "after" });
    assert.equal(after, before + 1);
    const heard = await late.expect("message");
    assert.deepEqual([heard.body, heard.seq], ["after", after], "only what was sent after the join");
    await late.ok("leave", room);
  }
}

export async function after_the_ack_of_a_leave_the_room_is_silent(world) {
  const room = world.room();
  const [speaker, leaver] = [await world.peer(room), await world.peer(room)];
  let speaking = true;
  const spoken = (async () => {
    for (let number = 0; speaking; number += 1) {
      speaker.socket.emit("message", { room, body: number });
      if (number % 20 === 0) await speaker.ask("echo");
    }
    await speaker.ask("echo");
  })();
  for (let round = 0; round < 30; round += 1) {
    await leaver.next();
    await leaver.ok("leave", room);
    const heard = leaver.received.length;
    for (let trips = 0; trips < 3; trips += 1) await leaver.ask("echo");
    assert.equal(leaver.received.length, heard, "a message came after the ack of the leave");
    await leaver.ok("join", room);
  }
  speaking = false;
  await spoken;
}

export async function rooms_do_not_hear_each_other(world) {
  const [one, two] = [world.room(), world.room()];
  const [first, second, both] = [await world.peer(one), await world.peer(two), await world.peer(one, two)];
  await both.ok("message", { room: one, body: 1 });
  await both.ok("message", { room: two, body: 2 });
  assert.equal((await first.expect("message")).body, 1);
  assert.equal((await second.expect("message")).body, 2);
  for (const peer of [first, second, both]) await peer.quiet();
}

export async function typing_reaches_the_others_without_an_ack(world) {
  const room = world.room();
  const [typist, reader] = [await world.peer(room), await world.peer(room)];
  typist.socket.emit("typing", room);
  assert.deepEqual(await reader.expect("typing"), { room, from: typist.id });
  await reader.quiet();
  await typist.quiet();
}

export async function a_volatile_emit_of_the_client_is_served(world) {
  const room = world.room();
  const [typist, reader] = [await world.peer(room), await world.peer(room)];
  await typist.writable();
  typist.socket.volatile.emit("typing", room);
  assert.deepEqual(await reader.expect("typing"), { room, from: typist.id });
  await typist.writable();
  typist.socket.volatile.emit("message", { room, body: "quick" });
  assert.equal((await reader.expect("message")).body, "quick");
  assert.deepEqual(await typist.socket.timeout(5000).emitWithAck("echo", 1), 1);
}

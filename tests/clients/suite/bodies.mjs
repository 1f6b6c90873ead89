// Bodies: any JSON, binary, and several attachments come out as they went in.

import assert from "node:assert/strict";

const bytes = (length, seed = 1) => Buffer.from(Array.from({ length }, (_, at) => (at * 31 + seed * 17) & 255));

const JSON_BODIES = [
  null, true, false, "", "text", 0, -1, 0.1, 1e21, 1e-7, 5e-324, 1.7976931348623157e308,
  9007199254740991, -9007199254740991, 4294967296, 123456789.125,
  [], {}, [[[]]], { "": "" }, [null, [null]],
  { a: { b: { c: { d: ["e", { f: [1, 2, { g: "h" }] }] } } } },
  { z: 1, a: 2, 10: 3, 9: 4, constructor: 5, toString: "6", length: -1 },
  { _placeholder: false, num: 0 }, { _placeholder: "true" }, [{ num: 1 }],
  "quotes \" \\ \/ \b \f \n \r \t \u0000 \u001f \u007f",
  "Grüße, 世界, мир, 🌍👩‍👩‍👧, e\u0301, \u2028\u2029, \ufeff, \uffff, \u{10ffff}",
  "\\u0041 is not an escape here", "</script><!--", "451-[\"x\"]", "x".repeat(100_000),
  Array.from({ length: 2000 }, (_, index) => ({ index, half: index / 2 })),
];

const BINARY_BODIES = [
  bytes(1), bytes(0), bytes(300_000), bytes(65_536), bytes(126), bytes(125),
  { file: bytes(10), name: "a.bin" },
  [bytes(3, 1), bytes(3, 2), bytes(3, 3)],
  { first: bytes(5, 1), list: [bytes(6, 2), { deep: { deeper: bytes(7, 3) } }, "text", null], last: bytes(0) },
  Array.from({ length: 10 }, (_, index) => bytes(index, index)),
  [Buffer.from('42["not a packet"]'), Buffer.from([0x34]), Buffer.from([0xff, 0xfe])],
  { "né \"": bytes(2), n: 1.5, empty: [] },
];

export async function json_bodies_arrive_as_sent(world) {
  const room = world.room();
  const [speaker, listener] = [await world.peer(room), await world.peer(room)];
  for (const [index, body] of JSON_BODIES.entries()) {
    const { seq } = await speaker.ok("message", { room, body });
    const heard = await listener.expect("message");
    assert.deepEqual(heard, { room, from: speaker.id, body, seq });
    assert.deepEqual(Object.keys(Object(heard.body)), Object.keys(Object(body)), `order of keys of body ${index}`);
  }
}

export async function nesting_up_to_a_hundred_levels_arrives(world) {
  const room = world.room();
  const [speaker, listener] = [await world.peer(room), await world.peer(room)];
  let body = "core";
  for (let depth = 0; depth < 100; depth += 1) body = depth % 2 ? { in: body } : [body];
  await speaker.ok("message", { room, body });
  assert.deepEqual((await listener.expect("message")).body, body);
  assert.deepEqual(await speaker.call("echo", body), body);
}

export async function binary_bodies_arrive_as_sent(world) {
  const room = world.room();
  const [speaker, ...listeners] = [await world.peer(room), await world.peer(room), await world.peer(room)];
  for (const body of BINARY_BODIES) {
    const { seq } = await speaker.ok("message", { room, body, id: "b" });
    for (const listener of listeners) {
      assert.deepEqual(await listener.expect("message"), { room, from: speaker.id, body, seq, id: "b" });
    }
  }
  await speaker.quiet();
}

export async function binary_goes_both_ways_in_echo(world) {
  const peer = await world.peer();
  for (const body of BINARY_BODIES) assert.deepEqual(await peer.ask("echo", body), [body]);
  const args = [bytes(3, 1), "between", { b: bytes(4, 2) }, 7, [bytes(0), bytes(9, 3)]];
  assert.deepEqual(await peer.ask("echo", ...args), args);
}

export async function typed_arrays_arrive_as_their_bytes(world) {
  const peer = await world.peer();
  const [buffer, array, view] = await peer.ask(
    "echo", new Uint8Array([1, 2, 3]).buffer, new Uint8Array([4, 5]), new Uint8Array([0, 6, 7, 0]).subarray(1, 3),
  );
  assert.deepEqual([buffer, array, view], [Buffer.from([1, 2, 3]), Buffer.from([4, 5]), Buffer.from([6, 7])]);
}

export async function binary_and_text_keep_their_order(world) {
  const room = world.room();
  const [speaker, second, listener] = [await world.peer(room), await world.peer(room), await world.peer(room)];
  const bodies = Array.from({ length: 100 }, (_, index) => (index % 3 ? index : [bytes(index * 50, index), bytes(3, index)]));
  for (const body of bodies) {
    speaker.socket.emit("message", { room, body });
    second.socket.emit("message", { room, body: "meanwhile" });
  }
  const heard = (await listener.take(200)).map(([, message]) => message);
  const ours = heard.filter(({ from }) => from === speaker.id);
  assert.deepEqual(ours.map(({ body }) => body), bodies);
}

export async function a_refused_binary_call_leaves_the_connection_in_order(world) {
  const room = world.room();
  const peer = await world.peer();
  await peer.refused("message", { room, body: bytes(100) });
  await peer.refused("message", { room, body: [bytes(5), bytes(6)] });
  assert.deepEqual(await peer.ask("echo", bytes(4)), [bytes(4)]);
  peer.socket.emit("unheard", bytes(8));
  await peer.quiet();
}

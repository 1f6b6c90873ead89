// Getting in, and being kept out.

import assert from "node:assert/strict";

import { IS_OLD } from "../suite/peer.mjs";

/** A CONNECT must be refused with this. */
async function refused(world, namespace, auth, message, data) {
  const entered = world.stranger(namespace, { auth }).enter();
  const error = await entered.then(() => assert.fail("it was let in"), (error) => error);
  // Socket.IO 2 has one value for both.
  if (IS_OLD) return assert.deepEqual(error, data ?? message);
  assert.equal(error.message, message);
  assert.deepEqual(error.data, data);
}

export async function a_client_connects_to_several_namespaces_and_has_an_id_in_each(world) {
  const [first, second] = [await world.member("/"), await world.member("/acks")];
  const ids = [await first.identify(), await second.identify()];
  for (const id of ids) assert.match(id, /^[\w-]{20}$/);
  assert.notEqual(ids[0], ids[1]);
  if (!IS_OLD) assert.deepEqual([first.id, second.id], ids);
}

export async function a_namespace_that_is_not_served_is_a_connect_error(world) {
  await refused(world, "/nowhere", undefined, "Invalid namespace");
}

export async function auth_decides_who_is_let_in_and_the_refusal_has_message_and_data(world) {
  const cases = [
    [undefined, "no token", undefined],
    [{ token: "guess", age: 30 }, "wrong token", { code: 7 }],
    [{ token: "secret", age: 17 }, "too young", undefined],
  ];
  for (const [auth, message, data] of cases) await refused(world, "/guarded", auth, message, data);
  const member = await world.stranger("/guarded", { auth: { token: "secret", age: 18 } }).enter();
  assert.deepEqual(await member.next(), ["welcome"]);
}

export async function who_was_refused_is_let_in_with_another_auth_payload(world) {
  let age = 17;
  const auth = (give) => give({ token: "secret", age });
  const stranger = world.stranger("/guarded", { auth });
  await assert.rejects(stranger.enter(), { message: "too young" });
  age = 18;
  await stranger.enter();
  assert.deepEqual(await stranger.next(), ["welcome"]);
}

who_was_refused_is_let_in_with_another_auth_payload.newOnly = true;

export async function packets_are_refused_by_ack_or_by_error_message(world) {
  const member = await world.member("/filtered");
  const refused = { ok: false, error: "too rude" };
  assert.deepEqual(await member.call("mutter", "damn"), refused);
  member.socket.emit("mutter", "damn");
  assert.deepEqual(await member.expect("error_message"), refused);
  member.socket.emit("mutter", "dear me");
  assert.equal(await member.expect("muttered"), "dear me");
}

// Two tabs of a browser on parlor's own page, and a page with the stock client
// that parlor serves. Usage: page-client.mjs URL [FOLDER FOR PICTURES]
//
// Prints `ready for a restart` when the server may go, and expects another at
// the same address.

import assert from "node:assert/strict";
import { launch } from "./browser.mjs";

const [url, pictures] = process.argv.slice(2);
const browser = await launch();
const lines = `[...document.querySelectorAll("#messages li:not(.event)")]`;
const said = (page) => page.evaluate(`${lines}.map((li) => li.querySelector(".from").textContent + ": " + li.querySelector(".body").textContent)`);
const people = `[...document.querySelectorAll("#people .called")].map((one) => one.textContent).join()`;
const connected = `document.querySelector("#state").dataset.state === "connected"`;
const room = (name) => `document.querySelector("#room-title").textContent === ${JSON.stringify(name)}`;
const settled = (count) => `${lines}.length === ${count} && !document.querySelector(".pending")`;

async function come(name) {
  const page = await browser.open(url);
  await page.until(`${connected} && ${room("lobby")}`);
  await page.press("#name", name);
  await page.until(`document.activeElement.id !== "name"`);
  return page;
}

async function talkInTheLobby(ann, bob) {
  await ann.until(`${people} === "Ann,Bob"`);
  await bob.until(`${people} === "Ann,Bob"`);
  for (let n = 0; n < 5; n++) {
    await ann.press("#say", `a${n} <b>&`);
    await bob.press("#say", `b${n}`);
  }
  await ann.until(settled(10));
  await bob.until(settled(10));
  const heard = await said(ann);
  assert.deepEqual(heard, await said(bob), "both see the order of the room");
  assert.deepEqual(heard.filter((line) => line.startsWith("Ann")), [0, 1, 2, 3, 4].map((n) => `Ann: a${n} <b>&`));
}

async function switchAndCount(ann, bob) {
  await bob.type("#join", "garden");
  await bob.click("button[value=switch]");
  await bob.until(`${room("garden")} && ${people} === "Bob"`);
  await ann.until(`${people} === "Ann"`);
  await ann.press("#say", "is he gone?");
  await ann.until(settled(11));
  await ann.press("#join", "garden");
  await ann.until(`${room("garden")} && ${people} === "Ann,Bob"`);
  await ann.click("#rooms li:first-child button");
  await ann.until(room("lobby"));
  await bob.press("#say", "over here");
  await ann.until(`document.querySelector("#rooms .unread")?.textContent === "1"`);
  if (pictures) await ann.picture(`${pictures}/unread.png`, "light");
  await ann.click("#rooms li:last-child button");
  await ann.until(`${settled(1)} && !document.querySelector(".unread")`);
  assert.deepEqual(await said(bob), ["Bob: over here"], "nothing of the lobby");
}

async function surviveARestart(ann, bob) {
  console.log("ready for a restart");
  for (const page of [ann, bob]) {
    await page.until(`document.querySelector("#state").dataset.state === "disconnected"`);
    assert.equal(await page.evaluate(`document.querySelector("#say").disabled`), true);
  }
  if (pictures) await ann.picture(`${pictures}/lost.png`, "light");
  console.log("disconnected");
  for (const page of [ann, bob]) await page.until(`${connected} && ${people} === "Ann,Bob"`);
  await bob.press("#say", "back again");
  await ann.until(`${lines}.at(-1).textContent.includes("back again")`);
  assert.equal(await ann.evaluate(`document.querySelectorAll("#rooms li").length`), 2);
  await ann.click("#leave");
  await ann.until(room("lobby"));
  await bob.until(`${people} === "Bob"`);
  // Not only the room that was on the screen was joined again.
  await ann.press("#say", "in the lobby");
  await ann.until(`${lines}.at(-1).textContent.includes("in the lobby") && !document.querySelector(".pending")`);
  assert.equal(await ann.evaluate(`document.querySelector(".failed")`), null);
}

/** The test gives the server a short interval between pings. */
async function answerPings(page) {
  for (const begun = page.pongs; page.pongs < begun + 2;) {
    await page.evaluate(`new Promise((resolve) => setTimeout(resolve, 20))`);
    assert.equal(await page.evaluate(connected), true);
  }
}

async function takePictures(ann, bob) {
  await ann.picture(`${pictures}/light.png`, "light");
  await bob.picture(`${pictures}/dark.png`, "dark");
  await bob.picture(`${pictures}/phone.png`, "dark", 390, 760);
}

/** In any page of the same origin, such as a file of the chat page. */
async function stockClient() {
  const page = await browser.open(`${url}/page/style.css`);
  await page.until(`document.readyState === "complete"`);
  const greeting = await page.evaluate(`new Promise((resolve, reject) => {
    const script = document.createElement("script");
    script.src = "/socket.io/socket.io.js";
    script.onerror = reject;
    script.onload = () => io().on("hello", async function ({ id }) {
      const joined = await this.emitWithAck("join", "stock");
      resolve([id === this.id, joined]);
    });
    document.head.append(script);
  })`);
  assert.deepEqual(greeting, [true, { ok: true, members: 1 }]);
  return page;
}

try {
  const ann = await come("Ann");
  const bob = await come("Bob");
  await talkInTheLobby(ann, bob);
  if (pictures) await takePictures(ann, bob);
  await switchAndCount(ann, bob);
  await answerPings(ann);
  await surviveARestart(ann, bob);
  const stock = await stockClient();
  const complaints = [ann, bob, stock].flatMap((page) => page.complaints);
  assert.deepEqual(complaints, [], "no exception, nothing refused");
} finally {
  await browser.close();
}
console.log("all is well");

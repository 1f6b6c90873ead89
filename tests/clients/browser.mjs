// Chromium over its DevTools protocol: pages that are clicked and looked at.

import { spawn } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

const PATIENCE_MS = 30000;

/** A browser of its own, with an empty profile. */
export async function launch() {
  const profile = await mkdtemp(join(tmpdir(), "parlor-browser-"));
  const flags = ["--headless=new", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-dev-shm-usage"];
  const own = ["--remote-debugging-pipe", `--user-data-dir=${profile}`, "about:blank"];
  // It reads commands from its descriptor 3, answers on 4, and ends when they close:
  // also when this process is killed.
  const stdio = ["ignore", "ignore", "ignore", "pipe", "pipe"];
  const child = spawn("chromium", [...flags, ...own], { stdio });
  const gone = new Promise((resolve) => child.once("exit", resolve));
  const devtools = connect(child.stdio[3], child.stdio[4]);
  return {
    open: (url) => open(devtools, url),
    async close() {
      devtools.send("Browser.close").catch(() => {});
      await gone;
      await rm(profile, { recursive: true, force: true, maxRetries: 5 });
    },
  };
}

/** One connection carries the commands for all pages; each message ends with a zero. */
function connect(commands, answers) {
  const waiting = new Map();
  const listeners = new Map();
  let number = 0;
  const take = ({ id, result, error, method, params, sessionId }) => {
    if (id === undefined) return listeners.get(sessionId)?.(method, params);
    const { resolve, reject } = waiting.get(id);
    waiting.delete(id);
    if (error) reject(new Error(error.message));
    else resolve(result);
  };
  let unread = "";
  answers.setEncoding("utf8");
  answers.on("data", (data) => {
    const messages = (unread + data).split("\0");
    unread = messages.pop();
    for (const message of messages) take(JSON.parse(message));
  });
  answers.on("close", () => {
    for (const { reject } of waiting.values()) reject(new Error("chromium has ended"));
  });
  const send = (method, params = {}, sessionId) => new Promise((resolve, reject) => {
    waiting.set(++number, { resolve, reject });
    commands.write(JSON.stringify({ id: number, method, params, sessionId }) + "\0");
  });
  return { send, listen: (sessionId, listener) => listeners.set(sessionId, listener) };
}

async function open(devtools, url) {
  const { targetId } = await devtools.send("Target.createTarget", { url: "about:blank" });
  const { sessionId } = await devtools.send("Target.attachToTarget", { targetId, flatten: true });
  const send = (method, params) => devtools.send(method, params, sessionId);
  // Exceptions, and what the security policy has refused.
  const complaints = [];
  const page = new Page(send, complaints);
  devtools.listen(sessionId, (method, params) => {
    if (method === "Runtime.exceptionThrown") complaints.push(params.exceptionDetails.exception?.description ?? params.exceptionDetails.text);
    if (method === "Log.entryAdded" && params.entry.source === "security") complaints.push(params.entry.text);
    if (method === "Network.webSocketFrameSent" && params.response.payloadData === "3") page.pongs++;
  });
  await send("Runtime.enable");
  await send("Log.enable");
  await send("Network.enable");
  await send("Page.enable");
  await send("Page.navigate", { url });
  return page;
}

class Page {
  constructor(send, complaints) {
    this.send = send;
    this.complaints = complaints;
    // Answers of Engine.IO to pings, which scripts in the page do not see.
    this.pongs = 0;
  }

  /** The value of an expression in the page. */
  async evaluate(expression) {
    const { result, exceptionDetails } = await this.send("Runtime.evaluate", {
      expression, awaitPromise: true, returnByValue: true,
    });
    if (exceptionDetails) throw new Error(exceptionDetails.exception?.description ?? exceptionDetails.text);
    return result.value;
  }

  /** Waits until an expression is true. */
  async until(expression) {
    const deadline = Date.now() + PATIENCE_MS;
    while (!(await this.evaluate(expression).catch(() => false))) {
      if (Date.now() > deadline) {
        const text = await this.evaluate("document.body.innerText");
        throw new Error(`never true: ${expression}; the page says:\n${text}\n${this.complaints.join("\n")}`);
      }
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }

  click(selector) {
    return this.evaluate(`document.querySelector(${JSON.stringify(selector)}).click()`);
  }

  /** Types as a person does: keys, not values. */
  async type(selector, text) {
    await this.evaluate(`{ const input = document.querySelector(${JSON.stringify(selector)}); input.focus(); input.select(); }`);
    await this.send("Input.insertText", { text });
  }

  async press(selector, text) {
    await this.type(selector, text);
    for (const type of ["keyDown", "keyUp"]) {
      await this.send("Input.dispatchKeyEvent", { type, key: "Enter", code: "Enter", text: "\r", windowsVirtualKeyCode: 13 });
    }
  }

  /** A picture of it, `scheme` being dark or light. */
  async picture(path, scheme, width = 1100, height = 680) {
    await this.send("Emulation.setEmulatedMedia", { features: [{ name: "prefers-color-scheme", value: scheme }] });
    await this.send("Emulation.setDeviceMetricsOverride", { width, height, deviceScaleFactor: 1, mobile: false });
    const { data } = await this.send("Page.captureScreenshot", { format: "png" });
    await this.send("Emulation.clearDeviceMetricsOverride");
    await writeFile(path, Buffer.from(data, "base64"));
  }
}

// Runs checks one after the other: one line for each, and a last one with their count.

import { IS_OLD } from "./peer.mjs";

const CHECK_MS_MAX = 60_000;
const FAILURES_MAX = 3;

/**
 * Runs every function that the modules `groups` export and whose name has `only` in it, each with a
 * world of its own that `makeWorld` makes. What clients of Socket.IO 2 cannot do is marked `newOnly` and
 * not asked of them. Ends the process, with 0 if all of them hold.
 */
export async function run(groups, makeWorld, only = "") {
  let [passed, failed] = [0, 0];
  for (const group of groups) {
    for (const [name, check] of Object.entries(group)) {
      const title = name.replaceAll("_", " ");
      if (!title.includes(only) || failed === FAILURES_MAX) continue;
      if (IS_OLD && check.newOnly) continue;
      if (await holds(title, check, makeWorld())) passed += 1;
      else failed += 1;
    }
  }
  console.log(`${passed} checks passed, ${failed} failed`);
  process.exit(failed > 0 || passed === 0 ? 1 : 0);
}

async function holds(title, check, world) {
  const watchdog = setTimeout(() => {
    console.log(`FAIL  ${title}: not done after ${CHECK_MS_MAX} ms`);
    process.exit(1);
  }, CHECK_MS_MAX);
  try {
    await check(world);
    console.log(`ok    ${title}`);
    return true;
  } catch (error) {
    console.log(`FAIL  ${title}\n${String(error.stack).replaceAll(/^/gm, "      ")}`);
    return false;
  } finally {
    clearTimeout(watchdog);
    world.close();
  }
}

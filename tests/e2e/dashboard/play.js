// Plays a person at the dashboard. usage: play.js URL NAMESPACE ACT FOLDER
import { AxeBuilder } from "@axe-core/playwright";
import { chromium } from "playwright-core";
import assert from "node:assert/strict";

const [url, namespace, act, folder] = process.argv.slice(2);
const executablePath = process.env.HALDANE_CHROMIUM ?? "/usr/bin/chromium";
// A release takes its time, and the machine may be busy.
const patience = { timeout: 120_000 };

const browser = await chromium.launch({ executablePath, args: ["--no-sandbox"] });

/// A page; what its console says is kept, since a policy that is violated says it there.
async function open(path, options = {}) {
  const context = await browser.newContext({ viewport: { width: 1280, height: 860 }, ...options });
  context.setDefaultTimeout(patience.timeout);
  const page = await context.newPage();
  page.said = [];
  page.on("console", (message) => page.said.push(message.text()));
  page.on("pageerror", (error) => page.said.push(error.message));
  await page.goto(`${url}/${path}`);
  return page;
}

async function accessible(page, what) {
  const { violations } = await new AxeBuilder({ page }).analyze();
  const found = violations.map(({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html).join(" ")}`);
  assert.deepEqual(found, [], what);
}

const phase = (page, word) => page.locator(".top .badge", { hasText: word }).waitFor(patience);
const shoot = (page, name) => page.screenshot({ path: `${folder}/dashboard-${name}.png` });

const acts = {
  /// By mouse: from the list to a release that is paused, and on.
  async promote() {
    const page = await open("");
    const row = page.getByRole("row", { name: /^web / });
    await row.getByText("Paused").waitFor(patience);
    assert.match(await row.innerText(), /50 %/);
    await row.getByRole("link", { name: "web" }).click();
    await phase(page, "Paused");
    await page.getByRole("img", { name: "50 % of the traffic goes to the canary" }).waitFor(patience);
    await page.getByRole("listitem", { name: "" }).filter({ hasText: "pause: {}" }).waitFor(patience);
    await page.getByRole("button", { name: "Promote", exact: true }).click();
    const dialog = page.getByRole("dialog", { name: `Promote ${namespace}/web?` });
    await dialog.waitFor(patience);
    await accessible(page, "the dialog");
    await shoot(page, "dialog");
    await dialog.getByRole("button", { name: "Promote" }).click();
    await page.getByText(`Ordered promote of ${namespace}/web.`).waitFor(patience);
    await phase(page, "Healthy");
    await page.getByText("Promoted").first().waitFor(patience);
    assert.deepEqual(page.said, []);
  },

  /// By keyboard alone.
  async abort() {
    const page = await open(`#/${namespace}/web`);
    await phase(page, "Paused");
    const focused = () => page.evaluate(() => document.activeElement.textContent);
    const tabTo = async (word) => {
      for (let presses = 0; (await focused()) !== word; presses += 1) {
        assert.ok(presses < 30, `${word} is not reached by Tab`);
        await page.keyboard.press("Tab");
      }
    };
    await tabTo("Abort");
    await page.keyboard.press("Enter");
    const dialog = page.getByRole("dialog", { name: `Abort ${namespace}/web?` });
    await dialog.waitFor(patience);
    await page.keyboard.press("Escape");
    await dialog.waitFor({ state: "detached", ...patience });
    assert.equal(await focused(), "Abort", "the focus is where it was");
    await page.keyboard.press("Enter");
    await dialog.waitFor(patience);
    await tabTo("Abort");
    await page.keyboard.press("Enter");
    await phase(page, "Degraded");
    await page
      .getByText(/RolloutAborted: Rollout aborted update to revision/)
      .first()
      .waitFor(patience);
    await page.getByRole("button", { name: "Retry" }).waitFor(patience);
    assert.deepEqual(page.said, []);
  },

  /// Both pages in light, dark and at phone width.
  async look() {
    for (const [name, path] of [
      ["list", ""],
      ["release", `#/${namespace}/web`],
    ]) {
      for (const colorScheme of ["light", "dark"]) {
        for (const [size, viewport] of [
          ["", { width: 1280, height: 860 }],
          ["-phone", { width: 360, height: 780 }],
        ]) {
          const page = await open(path, { colorScheme, viewport });
          await page.getByText("Paused").first().waitFor(patience);
          const [width, shown] = await page.evaluate(() => [document.documentElement.scrollWidth, innerWidth]);
          assert.ok(width <= shown, `${name}${size} scrolls sideways: ${width} > ${shown}`);
          await accessible(page, `${name}${size} in ${colorScheme}`);
          await shoot(page, `${name}-${colorScheme}${size}`);
          assert.deepEqual(page.said, []);
          await page.context().close();
        }
      }
    }
  },

  /// The words of admission, in the dialog.
  async refused() {
    const page = await open(`#/${namespace}/web`);
    await phase(page, "Paused");
    await page.getByRole("button", { name: "Promote", exact: true }).click();
    await page.getByRole("dialog").getByRole("button", { name: "Promote" }).click();
    console.log(await page.getByRole("dialog").getByRole("alert").innerText(patience));
  },
};

try {
  await acts[act]();
} finally {
  await browser.close();
}

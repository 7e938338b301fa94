// Opens a page at two widths in light and dark; prints as JSON what it loads, how it lies, what axe finds, and what
// keys do. Writes pictures where a folder is given.  node look.cjs PAGE [FOLDER]
const fs = require("fs");
const path = require("path");
const { chromium } = require("playwright-core");

const axe = fs.readFileSync(require.resolve("axe-core/axe.min.js"), "utf8");
const flags = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"];
const watchShifts = () => {
  window.shifted = 0;
  const add = (list) => list.getEntries().forEach((entry) => { window.shifted += entry.value; });
  new PerformanceObserver(add).observe({ type: "layout-shift", buffered: true });
};

async function look(browser, page, width, colorScheme, folder) {
  const context = await browser.newContext({ viewport: { width, height: 900 }, colorScheme });
  const tab = await context.newPage();
  const found = { width, colorScheme, requests: [], errors: [] };
  tab.on("request", (request) => found.requests.push(request.url()));
  tab.on("console", (message) => found.errors.push(message.text()));
  tab.on("pageerror", (error) => found.errors.push(error.message));
  tab.on("dialog", (dialog) => { found.errors.push("dialog"); dialog.dismiss(); });
  await tab.addInitScript(watchShifts);
  await tab.goto("file://" + path.resolve(page));
  await tab.waitForTimeout(300);
  if (folder) await tab.screenshot({ path: path.join(folder, `report-${width}-${colorScheme}.png`) });
  Object.assign(found, await tab.evaluate(() => ({
    scrollWidth: document.documentElement.scrollWidth,
    shifted: window.shifted,
    hacked: Boolean(window.hacked),
    charts: document.querySelectorAll(".chart > svg").length,
    outside: document.querySelectorAll("main img, main iframe, main script, link").length,
  })));
  const readout = () => tab.textContent("#trend-chart-readout b");
  found.before = await readout();
  await tab.focus("#trend-chart");
  await tab.keyboard.press("ArrowLeft");
  found.after = await readout();
  found.said = await tab.getAttribute("#trend-chart", "aria-valuetext");
  await tab.keyboard.press("Home");
  found.first = await readout();
  await tab.click("#chooser button[value='']");
  found.chosenNone = await tab.locator("#stories tbody tr:visible").count();
  await tab.click("#chooser button[value='all']");
  found.chosenAll = await tab.locator("#stories tbody tr:visible").count();
  await tab.evaluate(() => document.querySelectorAll("details").forEach((each) => { each.open = true; }));
  await tab.evaluate(axe);
  const checked = await tab.evaluate(() => window.axe.run());
  found.violations = checked.violations.map((each) => `${each.id}: ${each.nodes[0].html}`);
  await context.close();
  return found;
}

(async () => {
  const [page, folder] = process.argv.slice(2);
  const browser = await chromium.launch({ executablePath: process.env.CHROMIUM || "/usr/bin/chromium", args: flags });
  const found = [];
  for (const width of [390, 1280])
    for (const colorScheme of ["light", "dark"]) found.push(await look(browser, page, width, colorScheme, folder));
  console.log(JSON.stringify(found, null, 1));
  await browser.close();
})();

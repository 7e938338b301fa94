// Fills the custom-run form of a deployment in Prefect's UI as a person does, found by its labels, and submits it.
// Prints as JSON what became of it.  node form.cjs URL PLAN.json [FOLDER]
// A plan: {"topics": [{"Name": "…", "Examples": ["…"]}], "fields": {"Quiet hours": "22:00-07:00"}, "on": ["Dry run"]}
// Pictures go to FOLDER: {"pictures": {"name": "label of the field at the top"}}, and after submitting {"last": "name",
// "seen": "label of the field at the top"}.
const fs = require("fs");
const path = require("path");
const { chromium } = require("playwright-core");

const flags = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"];
const patience = 60_000;

// The field that has this label itself, not one inside it; Prefect ties labels to no input.
function field(within, label) {
  const said = `normalize-space(text())="${label}" or normalize-space(text())="${label} (Optional)"`;
  const own = `./div[contains(@class,"p-label__header")]//span[contains(@class,"schema-form-property__label")][${said}]`;
  return within.locator(".schema-form-property", { has: within.page().locator(`xpath=${own}`) }).first();
}

async function fill(within, label, value) {
  const place = field(within, label);
  if (!Array.isArray(value)) return place.locator("textarea, input").first().fill(String(value));
  for (const [at, item] of value.entries()) {
    await place.getByRole("button", { name: "Add item" }).last().click();
    await place.locator("textarea, input").nth(at).fill(String(item));
  }
}

// Brings a field to the top of the window, under Prefect's own bar.
async function show(tab, label) {
  await field(tab.locator("form"), label).evaluate((each) => {
    each.style.scrollMarginTop = "70px";
    each.scrollIntoView({ block: "start" });
  });
}

async function takePicture(tab, folder, name) {
  await tab.waitForTimeout(700); // what slides in has arrived
  await tab.screenshot({ path: path.join(folder, `${name}.png`) });
}

async function submit(tab) {
  const answer = tab.waitForResponse((each) => /\/create_flow_run$/.test(each.url()), { timeout: patience });
  await tab.getByRole("button", { name: "Submit" }).click();
  const response = await answer;
  const body = await response.json();
  if (response.status() === 201) return { status: 201, run: body.id, parameters: body.parameters };
  const refusal = tab.getByText(/^Error creating flow run/).first();
  await refusal.waitFor({ timeout: patience });
  return { status: response.status(), said: await refusal.innerText() };
}

(async () => {
  const [url, file, folder] = process.argv.slice(2);
  const plan = JSON.parse(fs.readFileSync(file, "utf8"));
  const browser = await chromium.launch({ executablePath: process.env.CHROMIUM || "/usr/bin/chromium", args: flags });
  const context = await browser.newContext({ viewport: { width: 1000, height: 860 }, colorScheme: "light" });
  context.setDefaultTimeout(patience);
  const tab = await context.newPage();
  const requests = [];
  tab.on("request", (request) => requests.push(request.url()));
  await tab.goto(url);
  const form = tab.locator("form");
  for (const [at, topic] of (plan.topics || []).entries()) {
    await field(form, "Topics").getByRole("button", { name: "Add item" }).last().click();
    const item = field(form, "Topics").locator(".p-draggable-list__item", { has: tab.getByText("Counter-examples") }).nth(at);
    for (const [label, value] of Object.entries(topic)) await fill(item, label, value);
  }
  for (const [label, value] of Object.entries(plan.fields || {})) await fill(form, label, value);
  for (const label of plan.on || []) await field(form, label).getByRole("switch").click();
  const found = { form: await form.innerText(), requests };
  for (const [name, label] of Object.entries((folder && plan.pictures) || {})) {
    await show(tab, label);
    await takePicture(tab, folder, name);
  }
  Object.assign(found, await submit(tab));
  if (folder && plan.last) {
    await show(tab, plan.seen);
    await takePicture(tab, folder, plan.last);
  }
  console.log(JSON.stringify(found));
  await browser.close();
})();

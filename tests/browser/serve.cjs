// Opens the page of `sarb serve` in a real browser: images by file and by drop, maps, labels by keyboard, corrections as a
// file and on the server, a broken image, telephone, light and dark; no error, no request elsewhere.
//
//   NODE_PATH=…/node_modules node tests/browser/serve.cjs SARB RUN IMAGES [SHOTS]
//
// SARB is the program, RUN a run with maps, IMAGES a folder of images, SHOTS a folder for screenshots. It needs
// playwright-core and a Chromium (`CHROMIUM`, by default /usr/bin/chromium).
'use strict';
const assert = require('node:assert/strict');
const { spawn } = require('node:child_process');
const { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } = require('node:fs');
const { tmpdir } = require('node:os');
const { join } = require('node:path');
const { chromium } = require('playwright-core');

const [sarb, run, folder, shots] = process.argv.slice(2);
const scratch = mkdtempSync(join(tmpdir(), 'sarb-serve-'));
const DESKTOP = { width: 1280, height: 900 }, TELEPHONE = { width: 360, height: 740 };
const images = readdirSync(folder).filter((name) => /\.(png|jpg)$/.test(name)).sort().slice(0, 3);

/** The program on a free port; its address, and how to end it. */
async function serve(...more) {
  const server = spawn(sarb, ['serve', `m=${run}`, '--port', '0', '--quiet', ...more], { stdio: ['ignore', 'pipe', 'inherit'] });
  process.once('exit', () => server.kill());
  const url = await new Promise((resolve, reject) => {
    server.stdout.once('data', (line) => resolve(String(line).trim()));
    server.once('exit', (code) => reject(new Error(`the server ended with ${code}`)));
  });
  const ended = new Promise((resolve) => server.once('exit', resolve));
  return { url, end: async () => { server.kill('SIGTERM'); assert.equal(await ended, 0, 'the server ends well'); } };
}

/** A page of the browser that fails on errors, dialogs and requests to elsewhere. */
async function open(browser, url, options) {
  const context = await browser.newContext(options);
  const page = await context.newPage();
  const problems = [];
  // A refused image is said by the browser too.
  page.on('console', (message) => { if (!/status of 422/.test(message.text())) problems.push(`console ${message.type()}: ${message.text()}`); });
  page.on('pageerror', (error) => problems.push(`error: ${error}`));
  page.on('dialog', (dialog) => { problems.push(`dialog: ${dialog.message()}`); dialog.dismiss(); });
  page.on('request', (request) => {
    if (!request.url().startsWith(`${url}/`) && !/^(data|blob):/.test(request.url())) problems.push(`request: ${request.url()}`);
  });
  await page.goto(url);
  await page.locator('#model option').first().waitFor({ state: 'attached' });
  return { page, finish: async () => { assert.deepEqual(problems, [], url); await context.close(); } };
}

async function drop(page, name) {
  const bytes = readFileSync(join(folder, name)).toString('base64');
  await page.evaluate(([name, bytes]) => {
    const data = new DataTransfer();
    data.items.add(new File([Uint8Array.from(atob(bytes), (c) => c.charCodeAt(0))], name, { type: 'image/png' }));
    document.dispatchEvent(new DragEvent('drop', { dataTransfer: data, bubbles: true, cancelable: true }));
  }, [name, bytes]);
}

const card = (page, name) => page.locator(`section[aria-label="${name}"]`);

async function recognizes(page, url) {
  const broken = join(scratch, 'broken "<b>".png');
  writeFileSync(broken, 'no image');
  await page.locator('#files').setInputFiles([join(folder, images[0]), broken]);
  await drop(page, images[1]);
  for (const name of images.slice(0, 2)) await card(page, name).locator('.category').first().waitFor();
  assert.match(await page.locator('.error').textContent(), /^broken "<b>"\.png: not an image/);
  // The numbers of the server, the most probable first.
  const asked = await fetch(`${url}/v1/predict?top=1`, { method: 'POST', body: readFileSync(join(folder, images[0])) });
  const [best] = (await asked.json()).predictions[0].labels;
  const first = card(page, images[0]).locator('.category').first();
  const decides = (await (await fetch(`${url}/v1/models`)).json()).models[0].decides;
  if (!decides) {
    assert.equal(await first.locator('button').textContent(), best.name);
    assert.ok(Math.abs(parseFloat(await first.locator('.number').textContent()) - 100 * best.probability) <= 0.5);
  }
  return decides;
}

/** What is said to be there changes with the slider, where the run has no thresholds of its own. */
async function thresholds(page, decides) {
  const there = () => page.locator('.category.there').count();
  if (decides) return assert.ok(await page.locator('#threshold').isHidden());
  const before = await there();
  await page.locator('#threshold').focus();
  await page.keyboard.press('Home');
  assert.equal(await page.locator('#threshold-shown').textContent(), 'from 1 %');
  assert.ok(await there() >= before && await there() > 0);
  await page.keyboard.press('End');
  assert.ok(await there() <= before);
  await page.locator('#threshold').evaluate((slider) => { slider.value = 50; slider.dispatchEvent(new Event('input')); });
}

async function maps(page) {
  const row = card(page, images[0]).locator('.category').first();
  const map = card(page, images[0]).locator('.map');
  assert.ok(await map.isHidden());
  await row.hover();
  await map.waitFor({ state: 'visible' });
  assert.ok(await map.evaluate((it) => it.decode().then(() => it.naturalWidth > 0)));
  await page.mouse.move(5, 5);
  await map.waitFor({ state: 'hidden' });
  // By keyboard too.
  await row.locator('button').focus();
  await map.waitFor({ state: 'visible' });
  const outline = await row.locator('button').evaluate((it) => getComputedStyle(it).outlineStyle);
  assert.notEqual(outline, 'none', 'the focus is seen');
}

async function corrects(page, file) {
  const row = card(page, images[1]).locator('.category').first();
  const category = await row.locator('button').textContent();
  assert.ok(await page.locator('#corrections').isHidden());
  await row.locator('input').first().focus();
  await page.keyboard.press('Space');
  await page.keyboard.press('ArrowRight');
  assert.ok(await row.locator('input').nth(1).isChecked());
  assert.equal(await page.locator('#count').textContent(), '1 label is set by you');
  const expected = `image,category,label\n${images[1]},${category},0\n`;
  const [download] = await Promise.all([page.waitForEvent('download'), page.locator('#download').click()]);
  await download.saveAs(join(scratch, 'saved.csv'));
  assert.equal(readFileSync(join(scratch, 'saved.csv'), 'utf8'), expected);
  await page.locator('#send').click();
  await page.getByText('kept by the server').waitFor();
  assert.equal(readFileSync(file, 'utf8'), expected);
}

async function narrow(page) {
  const width = await page.evaluate(() => document.documentElement.scrollWidth);
  assert.ok(width <= TELEPHONE.width, `${width} pixels wide on a telephone of ${TELEPHONE.width}`);
}

async function main() {
  if (shots) mkdirSync(shots, { recursive: true });
  const shot = async (page, file) => shots && page.screenshot({ path: join(shots, file), fullPage: true });
  const file = join(scratch, 'corrections.csv');
  const { url, end } = await serve('--corrections', file);
  const browser = await chromium.launch({ executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium', args: ['--no-sandbox'] });
  const backgrounds = new Set();
  for (const colorScheme of ['light', 'dark']) {
    const { page, finish } = await open(browser, url, { colorScheme, viewport: DESKTOP, acceptDownloads: true });
    backgrounds.add(await page.evaluate(() => getComputedStyle(document.body).backgroundColor));
    if (colorScheme === 'light') {
      await thresholds(page, await recognizes(page, url));
      await maps(page);
      await corrects(page, file);
    } else {
      await page.locator('#files').setInputFiles(images.map((name) => join(folder, name)));
      for (const name of images) await card(page, name).locator('.category').first().waitFor();
    }
    assert.equal(await page.locator('img:not([alt])').count(), 0, 'pictures without a name');
    await shot(page, `serve-${colorScheme}.png`);
    await finish();
  }
  assert.equal(backgrounds.size, 2, 'light and dark differ');
  const { page, finish } = await open(browser, url, { viewport: TELEPHONE, hasTouch: true, isMobile: true, deviceScaleFactor: 2 });
  await narrow(page);
  await page.locator('#files').setInputFiles(join(folder, images[2]));
  await card(page, images[2]).locator('.category').first().waitFor();
  await narrow(page);
  await shot(page, 'serve-telephone.png');
  await finish();
  await browser.close();
  await end();
  console.log('serve: as it should be');
}

main().then(() => rmSync(scratch, { recursive: true }), (error) => {
  console.error(error, `\nwhat was made is in ${scratch}`);
  process.exit(1);
});

// Opens pages of `sarb report` and `sarb labels fill` in a real browser: no error, no request, keyboard, sorting, telephone, light and dark.
//
//   NODE_PATH=…/node_modules node tests/browser/pages.cjs SARB QUICKSTART [SHOTS]
//
// SARB is the program, QUICKSTART the folder of a finished quickstart, SHOTS a folder for screenshots. It needs
// playwright-core and a Chromium (`CHROMIUM`, by default /usr/bin/chromium).
'use strict';
const assert = require('node:assert/strict');
const { execFileSync } = require('node:child_process');
const { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } = require('node:fs');
const { tmpdir } = require('node:os');
const { join } = require('node:path');
const { pathToFileURL } = require('node:url');
const { chromium } = require('playwright-core');

const [sarb, quickstart, shots] = process.argv.slice(2);
const scratch = mkdtempSync(join(tmpdir(), 'sarb-pages-'));
const DESKTOP = { width: 1280, height: 900 }, TELEPHONE = { width: 360, height: 740 };

/** Names that try to leave their place, and one too long for any screen. */
const HOSTILE = ['</script><script>window.broken = 1</script>', '"><img src=x onerror="window.broken = 2">',
  "' onfocus='window.broken = 3", 'a & b <!-- c', 'חתול \u202egpj.exe', 'long'.repeat(80), 'plain'];

function report(name, ...args) {
  const out = join(scratch, `${name}.html`);
  execFileSync(sarb, ['report', ...args, '--bootstrap', '100', '-o', out], { stdio: 'pipe' });
  return { name, url: pathToFileURL(out).href };
}

/** Scores and labels of hostile names; a third of the labels is unknown. */
function hostileFiles() {
  const cell = (text) => `"${text.replaceAll('"', '""')}"`;
  const table = (value) => [['image', ...HOSTILE].map(cell).join(','),
    ...Array.from({ length: 60 }, (_, row) => [`${row}.jpg`, ...HOSTILE.map((_, column) => value(row, column))].join(','))].join('\n');
  const label = (row, column) => ['1', '0', '?'][(row * 7 + column) % 3];
  const [labels, scores] = ['labels', 'scores'].map((name) => join(scratch, `${name} <b>&'x'.csv`));
  writeFileSync(labels, table(label));
  writeFileSync(scores, table((row, column) => (Number(label(row, column)) || 0) + ((row * 31 + column * 17) % 23) / 9 - 1.5));
  return ['--scores', scores, '--labels', labels];
}

/** A page of the browser that fails on errors, dialogs and requests. */
async function open(browser, url, options) {
  const context = await browser.newContext(options);
  const page = await context.newPage();
  const problems = [];
  page.on('console', (message) => problems.push(`console ${message.type()}: ${message.text()}`));
  page.on('pageerror', (error) => problems.push(`error: ${error}`));
  page.on('dialog', (dialog) => { problems.push(`dialog: ${dialog.message()}`); dialog.dismiss(); });
  page.on('request', (request) => {
    // A blob is what the page itself offers to save.
    if (request.url() !== url && !/^(data|blob):/.test(request.url())) problems.push(`request: ${request.url()}`);
  });
  await page.goto(url);
  return { page, finish: async () => { assert.deepEqual(problems, [], url); await context.close(); } };
}

/** The numbers of the first row of the table at the threshold: precision, recall, F1, claimed, … */
const atThreshold = (page) => page.locator('#at-threshold tbody tr').first().locator('td').allTextContents();

async function slider(page) {
  const input = page.locator('#threshold');
  assert.equal(await page.locator('#threshold-shown').textContent(), 'p ≥ 0.50');
  const before = await atThreshold(page);
  // All categories together at 0.5: the overall precision and recall of the table of systems.
  const systems = page.locator('#systems table');
  const headings = (await systems.locator('thead th').allTextContents()).map((text) => text.trim());
  const cells = await systems.locator('tbody tr').first().locator('th, td').allTextContents();
  assert.deepEqual(before.slice(0, 2), ['OP', 'OR'].map((name) => cells[headings.indexOf(name)]));
  await input.focus();
  await page.keyboard.press('ArrowRight');
  assert.equal(await page.locator('#threshold-shown').textContent(), 'p ≥ 0.51');
  await page.keyboard.press('Home');
  assert.equal(await page.locator('#threshold-shown').textContent(), 'p ≥ 0.001');
  const lowest = await atThreshold(page);
  const number = (text) => Number(text.replaceAll(',', ''));
  assert.ok(number(lowest[3]) >= number(before[3]) && number(lowest[1]) >= number(before[1]), `${lowest} and ${before}`);
  assert.match(await input.getAttribute('aria-valuetext'), /^0\.001: precision [\d.]+, recall [\d.]+, F1 [\d.]+ percent$/);
  await page.keyboard.press('End');
  assert.equal(await page.locator('#threshold-shown').textContent(), 'p ≥ 0.999');
  const outline = await input.evaluate((element) => getComputedStyle(element).outlineStyle);
  assert.notEqual(outline, 'none', 'the focus is seen');
}

async function categories(page) {
  const select = page.locator('#category');
  const names = await page.locator('#categories tbody th').allTextContents();
  assert.deepEqual(await select.locator('option').allTextContents(), ['all categories together', ...names]);
  const of = async (at) => { await select.selectOption({ index: at }); return atThreshold(page); };
  await page.locator('#threshold').evaluate((element) => {
    element.value = JSON.parse(document.getElementById('data').textContent).start;
    element.dispatchEvent(new Event('input'));
  });
  // Precision, recall and F1 are those of the table, of every category.
  const shown = await page.locator('#categories tbody tr').evaluateAll((rows) => rows.map((row) => [...row.cells].slice(-3).map((cell) => cell.textContent)));
  for (let at = 0; at < names.length; at++) assert.deepEqual((await of(at + 1)).slice(0, 3), shown[at], names[at]);
  await select.focus();
  await page.keyboard.press('Home');
  assert.equal(await select.inputValue(), '0');
}

async function sorting(page) {
  const table = page.locator('#categories table');
  const keys = () => table.locator('tbody tr').evaluateAll((rows) => rows.map((row) => row.cells[3].dataset.key).filter((key) => key !== undefined).map(Number));
  const heading = table.locator('thead th').nth(3);
  await heading.locator('button').focus();
  await page.keyboard.press('Enter');
  assert.equal(await heading.getAttribute('aria-sort'), 'descending');
  const down = await keys();
  assert.deepEqual(down, [...down].sort((a, b) => b - a));
  await page.keyboard.press('Space');
  assert.equal(await heading.getAttribute('aria-sort'), 'ascending');
  assert.deepEqual(await keys(), [...down].sort((a, b) => a - b));
  await table.locator('thead th').first().locator('button').click();
  assert.equal(await table.locator('[aria-sort]').count(), 1, 'sorted by one column');
  const names = await table.locator('tbody th').allTextContents();
  assert.deepEqual(names, [...names].sort((a, b) => a.localeCompare(b, undefined, { numeric: true })));
}

/** Names of drawings and regions, for who does not see them. */
async function accessible(page) {
  const nameless = await page.locator('svg:not([aria-hidden="true"])').evaluateAll((drawings) => drawings.filter((svg) => !(svg.getAttribute('role') === 'img' && svg.getAttribute('aria-label'))).length);
  assert.equal(nameless, 0, 'drawings without a name');
  assert.equal(await page.locator('img:not([alt])').count(), 0);
  for (const id of ['category', 'threshold']) assert.equal(await page.locator(`label[for="${id}"]`).count(), 1);
}

async function narrow(page, name) {
  const width = await page.evaluate(() => document.documentElement.scrollWidth);
  assert.ok(width <= TELEPHONE.width, `${name}: ${width} pixels wide on a telephone of ${TELEPHONE.width}`);
}

/** Filled labels: one is marked as wrong by keyboard and saved, and filling takes the correction over. */
async function sheet(browser) {
  const [labels, html, saved] = ['filled.csv', 'sheet.html', 'corrections.csv'].map((name) => join(scratch, name));
  const fill = (...args) => execFileSync(sarb, ['labels', 'fill', join(quickstart, 'linear'), '--precision', '0.8', '-o', labels,
    '--json', ...args], { stdio: 'pipe' });
  const before = JSON.parse(fill('--sheet', html, '--sheet-labels', '30'));
  const { page, finish } = await open(browser, pathToFileURL(html).href, { viewport: DESKTOP });
  assert.equal(await page.locator('input[type=checkbox]').count(), 30);
  const [photographs, maps] = [page.locator('.picture img:not(.map)'), page.locator('.picture img.map')];
  assert.deepEqual([await photographs.count(), await maps.count()], [30, 30], 'every photograph is there with its heat map');
  assert.ok(await photographs.first().isVisible() && !await maps.first().isVisible());
  await page.locator('#maps').click();
  assert.ok(!await photographs.first().isVisible() && await maps.first().isVisible(), 'heat maps instead');
  await page.locator('#maps').click();
  assert.ok(await page.locator('#save').isDisabled(), 'nothing is marked');
  await page.locator('input[type=checkbox]').nth(3).focus();
  await page.keyboard.press('Space');
  assert.equal(await page.locator('#count').textContent(), '1 of 30 are marked as wrong');
  const [download] = await Promise.all([page.waitForEvent('download'), page.locator('#save').click()]);
  await download.saveAs(saved);
  const lines = readFileSync(saved, 'utf8').trim().split('\n');
  assert.equal(lines[0], 'image,category,label');
  assert.equal(lines.length, 2);
  const after = JSON.parse(fill('--force', '--corrections', saved));
  const filled = (said) => said.filled_positives + said.filled_negatives;
  assert.equal(filled(after), filled(before) - 1, 'the corrected label is no longer a filled one');
  await finish();
  const telephone = await open(browser, pathToFileURL(html).href, { viewport: TELEPHONE, isMobile: true });
  await narrow(telephone.page, 'sheet');
  await telephone.finish();
  console.log('sheet: as it should be');
}

async function main() {
  if (shots) mkdirSync(shots, { recursive: true });
  const shot = async (page, file) => shots && page.screenshot({ path: join(shots, file), fullPage: true });
  const run = (name) => join(quickstart, name);
  const pages = [report('one', run('sarb')), report('several', run('sarb'), run('ssgrl'), run('linear')),
    report('hostile', ...hostileFiles())];
  const executablePath = process.env.CHROMIUM ?? '/usr/bin/chromium';
  const browser = await chromium.launch({ executablePath, args: ['--no-sandbox'] });
  for (const { name, url } of pages) {
    const backgrounds = new Set();
    for (const colorScheme of ['light', 'dark']) {
      const { page, finish } = await open(browser, url, { colorScheme, viewport: DESKTOP });
      backgrounds.add(await page.evaluate(() => getComputedStyle(document.body).backgroundColor));
      await shot(page, `${name}-${colorScheme}.png`);
      if (colorScheme === 'light') {
        await slider(page);
        await categories(page);
        await sorting(page);
        await accessible(page);
        const pdf = await page.pdf({ format: 'A4', ...(shots ? { path: join(shots, `${name}.pdf`) } : {}) });
        assert.ok(pdf.length > 10_000, 'a page on paper');
      }
      assert.equal(await page.evaluate(() => window.broken), undefined, 'a name became a script');
      await finish();
      const telephone = await open(browser, url, { colorScheme, viewport: TELEPHONE, hasTouch: true, isMobile: true, deviceScaleFactor: 2 });
      await narrow(telephone.page, name);
      await telephone.page.locator('details').evaluateAll((all) => all.forEach((details) => { details.open = true; }));
      await narrow(telephone.page, `${name}, all open`);
      if (colorScheme === 'light') await shot(telephone.page, `${name}-telephone.png`);
      await telephone.finish();
    }
    assert.equal(backgrounds.size, 2, 'light and dark differ');
    console.log(`${name}: as it should be`);
  }
  await sheet(browser);
  await browser.close();
}

main().then(() => rmSync(scratch, { recursive: true }), (error) => {
  console.error(error, `\nthe pages are in ${scratch}`);
  process.exit(1);
});

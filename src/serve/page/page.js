'use strict';
// Images go to /v1/predict of the server that this page came from; labels that a person sets are kept here until they are
// saved as a table image,category,label with 1, 0 and nothing, or sent.

/** Categories of an image that are shown before more are asked for, beside those that are there. */
const FIRST = 8;
/** Images that wait for an answer at once, and how often one is asked again that found the queue full. */
const AT_ONCE = 2, TRIES = 20;
/** How long the pointer rests on a category before its map is asked for, in milliseconds. */
const REST = 150;
const STATES = [['there', '1'], ['not there', '0'], ['unknown', '']];

const at = (id) => document.getElementById(id);
const percent = (share) => `${(100 * share).toFixed(share > 0.995 || share < 0.005 ? 1 : 0)} %`;
/** Image and category, as JSON, to the label that a person set. */
const corrections = new Map();
const waiting = [];
let models = [], working = 0, count = 0, sent = 0;

function element(name, properties = {}, ...children) {
  const made = Object.assign(document.createElement(name), properties);
  made.append(...children);
  return made;
}

async function said(response) {
  const text = await response.text();
  try { return JSON.parse(text); } catch { return { detail: text || response.statusText }; }
}

const model = () => models.find((it) => it.name === at('model').value);

/** Asks for an image; again where the queue is full. */
async function ask(file, name, of, query) {
  for (let tries = 1; ; tries++) {
    const url = `v1/predict?${new URLSearchParams({ model: of.name, name, ...query })}`;
    const response = await fetch(url, { method: 'POST', body: file, headers: { 'Content-Type': file.type || 'application/octet-stream' } });
    if (response.status === 503 && tries < TRIES) {
      await new Promise((resolve) => setTimeout(resolve, 1000 * (Number(response.headers.get('Retry-After')) || 1)));
      continue;
    }
    const answer = await said(response);
    if (!response.ok) throw new Error(answer.detail ?? `the server answered ${response.status}`);
    return answer.predictions[0];
  }
}

/** The threshold of a label: the run's own, or that of the slider. */
const threshold = (label) => label.threshold === undefined ? Number(at('threshold').value) / 100 : label.threshold;

function correctionChosen(image, category, value) {
  const key = JSON.stringify([image, category]);
  corrections.set(key, value);
  sent = 0;
  tally();
}

function tally() {
  const many = corrections.size === 1 ? '1 label is' : `${corrections.size} labels are`;
  at('corrections').hidden = corrections.size === 0;
  at('count').textContent = sent ? `${many} set, and kept by the server` : `${many} set by you`;
}

/** The three states of a category in an image. */
function choice(image, category) {
  const name = `label-${count++}`;
  const states = STATES.map(([words, value]) => {
    const input = element('input', { type: 'radio', name, value });
    input.addEventListener('change', () => correctionChosen(image, category, value));
    input.checked = corrections.get(JSON.stringify([image, category])) === value;
    return element('label', {}, input, words);
  });
  return element('fieldset', { className: 'label' }, element('legend', { className: 'legend', textContent: `${category} in ${image}` }), ...states);
}

function row(shown, label) {
  const { image, of } = shown;
  const name = element('button', { type: 'button', className: of.maps ? '' : 'still' }, element('bdi', { textContent: label.name }));
  const fill = element('i'), tick = element('b');
  const made = element('div', { className: 'category' }, name, element('div', { className: 'bar', ariaHidden: 'true' }, fill, tick),
    element('span', { className: 'number', textContent: percent(label.probability) }), choice(image, label.name));
  fill.style.width = `${100 * label.probability}%`;
  made.place = () => {
    const least = threshold(label);
    made.classList.toggle('there', least !== null && label.probability >= least);
    tick.hidden = least === null;
    tick.style.left = `${100 * (least ?? 0)}%`;
    made.title = least === null ? 'no threshold gives what was wanted' : `threshold ${percent(least)}`;
  };
  made.place();
  if (of.maps) {
    let rest;
    made.addEventListener('pointerenter', () => { rest = setTimeout(() => showMap(shown, label.name), REST); });
    made.addEventListener('pointerleave', () => { clearTimeout(rest); showMap(shown, null); });
    name.addEventListener('focus', () => showMap(shown, label.name));
    name.addEventListener('blur', () => showMap(shown, null));
    name.addEventListener('click', () => showMap(shown, label.name));
  }
  return made;
}

/** Lays the map of a category over the photograph; none takes it away. */
async function showMap(shown, category) {
  shown.wanted = category;
  shown.map.hidden = true;
  shown.caption.textContent = category === null ? shown.hint : `looking where ${category} is seen …`;
  if (category === null) return;
  try {
    if (!shown.maps.has(category)) {
      shown.maps.set(category, ask(shown.file, shown.image, shown.of, { map: category, top: 0 }).then((answer) => answer.maps[category]));
    }
    const picture = await shown.maps.get(category);
    if (shown.wanted !== category) return;
    shown.map.src = `data:image/png;base64,${picture}`;
    shown.map.alt = `where ${category} is seen`;
    shown.map.hidden = false;
    shown.caption.textContent = `bright where ${category} is seen`;
  } catch (error) {
    shown.maps.delete(category);
    if (shown.wanted === category) shown.caption.textContent = error.message;
  }
}

function draw(shown, labels) {
  const list = element('div');
  const there = (label) => { const least = threshold(label); return least !== null && label.probability >= least; };
  const first = Math.max(FIRST, labels.filter(there).length);
  const rows = (some) => some.map((label) => row(shown, label));
  list.append(...rows(labels.slice(0, first)));
  if (labels.length > first) {
    const more = element('button', { type: 'button', className: 'more', textContent: `Show all ${labels.length} categories` });
    more.addEventListener('click', () => {
      const rest = rows(labels.slice(first));
      more.replaceWith(...rest);
      rest[0].querySelector('button').focus();
    });
    list.append(more);
  }
  shown.place.replaceChildren(list);
}

async function recognize(shown) {
  try {
    const answer = await ask(shown.file, shown.image, shown.of, { all: true, ...(shown.of.decides ? { decide: 'f1' } : {}) });
    draw(shown, answer.labels);
  } catch (error) {
    shown.caption.textContent = shown.hint = '';
    shown.place.replaceChildren(element('p', { className: 'error', textContent: error.message }));
  }
}

/** Asks for those that wait, a few at a time. */
async function work() {
  if (working >= AT_ONCE || waiting.length === 0) return;
  working++;
  while (waiting.length > 0) {
    tell();
    await recognize(waiting.shift());
  }
  working--;
  tell();
}

function tell() {
  at('status').textContent = waiting.length + working > 0 ? `${waiting.length + working} to go …` : '';
}

function add(files) {
  const of = model();
  if (!of) return;
  for (const file of files) {
    const url = URL.createObjectURL(file);
    const photo = element('img', { src: url, alt: file.name });
    const map = element('img', { className: 'map', hidden: true, alt: '' });
    const hint = of.maps ? 'Point at a category, or tap it, to see where it is.' : '';
    const caption = element('figcaption', { textContent: hint, ariaLive: 'polite' });
    const place = element('div', { textContent: '…' });
    const view = element('div', { className: 'view' }, photo, map);
    view.style.position = 'relative';
    const figure = element('figure', { className: 'picture' }, view, caption);
    const title = element('h2', {}, element('bdi', { textContent: file.name }));
    at('images').prepend(element('section', { className: 'image', ariaLabel: file.name }, title, figure, place));
    waiting.push({ file, of, image: file.name, map, caption, hint, place, maps: new Map(), wanted: null });
  }
  for (let workers = 0; workers < AT_ONCE; workers++) work();
}

function modelChosen() {
  const own = model()?.decides;
  const slider = at('threshold');
  slider.hidden = own;
  at('threshold-shown').textContent = own ? "by the run's own thresholds, best F1" : `from ${slider.value} %`;
  document.querySelectorAll('.category').forEach((made) => made.place());
}

function table() {
  const cell = (text) => /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
  const lines = [...corrections].map(([key, value]) => [...JSON.parse(key), value].map(cell).join(','));
  return `${['image,category,label', ...lines].join('\n')}\n`;
}

function download() {
  const url = URL.createObjectURL(new Blob([table()], { type: 'text/csv' }));
  element('a', { href: url, download: 'corrections.csv' }).click();
  setTimeout(() => URL.revokeObjectURL(url), 10000);
}

async function send() {
  const label = { 1: 1, 0: 0, '': null };
  const all = [...corrections].map(([key, value]) => {
    const [image, category] = JSON.parse(key);
    return { image, category, label: label[value] };
  });
  try {
    const response = await fetch('v1/corrections', { method: 'POST', headers: { 'Content-Type': 'application/json' }, body: JSON.stringify({ corrections: all }) });
    if (!response.ok) throw new Error((await said(response)).detail);
    sent = all.length;
    tally();
  } catch (error) {
    at('count').textContent = `not sent: ${error.message}`;
  }
}

async function begin() {
  const drop = at('drop');
  at('files').addEventListener('change', (event) => { add(event.target.files); event.target.value = ''; });
  for (const kind of ['dragover', 'drop']) document.addEventListener(kind, (event) => event.preventDefault());
  document.addEventListener('dragover', () => drop.classList.add('over'));
  document.addEventListener('dragleave', () => drop.classList.remove('over'));
  document.addEventListener('drop', (event) => { drop.classList.remove('over'); add(event.dataTransfer.files); });
  document.addEventListener('paste', (event) => add(event.clipboardData.files));
  at('threshold').addEventListener('input', modelChosen);
  at('model').addEventListener('change', modelChosen);
  at('download').addEventListener('click', download);
  at('send').addEventListener('click', send);
  try {
    const response = await fetch('v1/models');
    const answer = await said(response);
    if (!response.ok) throw new Error(answer.detail);
    models = answer.models;
    at('model').append(...models.map((it) => element('option', { value: it.name, textContent: it.name })));
    at('send').hidden = !answer.corrections;
    modelChosen();
  } catch (error) {
    at('status').textContent = error.message;
  }
}

begin();

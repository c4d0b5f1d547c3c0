// The script of a page of runs: tables that sort, and a threshold that moves. It fetches nothing; names of the
// user's become text, never markup.
'use strict';
(() => {
  const SVG = 'http://www.w3.org/2000/svg';

  function html(tag, attributes = {}, ...children) {
    return filled(document.createElement(tag), attributes, children);
  }

  function svg(tag, attributes = {}, ...children) {
    return filled(document.createElementNS(SVG, tag), attributes, children);
  }

  function filled(element, attributes, children) {
    for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
    element.append(...children);
    return element;
  }

  /** A name of the user's, isolated from the direction of the text around it. */
  const named = (name) => html('bdi', {}, name);
  const thousands = (number) => number.toLocaleString('en-US');

  /** Percent with one decimal, halves to even as in the tables of this page. */
  function percent(fraction) {
    const value = 100 * fraction;
    return value % 1 === 0.25 ? `${Math.floor(value)}.2` : value.toFixed(1);
  }

  // Tables: a button in a heading sorts by its column; what has no number comes last.

  function sortable(table) {
    const headings = [...table.tHead.rows[0].cells];
    headings.forEach((heading, column) => {
      heading.querySelector('button').addEventListener('click', () => {
        const numeric = heading.classList.contains('number');
        const before = heading.getAttribute('aria-sort');
        const ascending = before ? before === 'descending' : !numeric;
        headings.forEach((other) => other.removeAttribute('aria-sort'));
        heading.setAttribute('aria-sort', ascending ? 'ascending' : 'descending');
        const key = (row) => row.cells[column].dataset.key ?? (numeric ? undefined : row.cells[column].textContent);
        const compare = (a, b) => numeric ? a - b : a.localeCompare(b, undefined, { numeric: true });
        const rows = [...table.tBodies[0].rows].sort((a, b) => {
          const [x, y] = [key(a), key(b)];
          if (x === undefined || y === undefined) return (x === undefined) - (y === undefined);
          return ascending ? compare(x, y) : compare(y, x);
        });
        table.tBodies[0].append(...rows);
      });
    });
  }

  // The threshold.

  const WIDTH = 340, LEFT = 44, RIGHT = 14, TOP = 10;
  const GROUPS = 20;
  const look = (place) => ({ color: `chart-${place % 7}`, dash: ['', '6 3', '2 3'][Math.floor(place / 7) % 3] });
  const sum = (numbers) => numbers.reduce((a, b) => a + b, 0);

  /** What is claimed at a place of the thresholds: scores in the bins above it. */
  function claims(counted, place) {
    const right = sum(counted.positives.slice(place + 1)), wrong = sum(counted.negatives.slice(place + 1));
    const positives = sum(counted.positives), claimed = right + wrong;
    const precision = claimed ? right / claimed : 0, recall = positives ? right / positives : 0;
    const f1 = precision + recall ? 2 * precision * recall / (precision + recall) : 0;
    return { right, wrong, claimed, missed: positives - right, precision, recall, f1, positives };
  }

  function axes(height, xLabel, ticks) {
    const right = WIDTH - RIGHT, bottom = height - 40, x = (value) => LEFT + (right - LEFT) * value;
    const drawn = ticks.map((tick) => svg('text', { class: 'chart-ink', x: x(tick), y: bottom + 17, 'text-anchor': 'middle' },
      String(Math.round(100 * tick))));
    return svg('g', {},
      svg('line', { class: 'chart-axis', x1: LEFT, y1: bottom, x2: right, y2: bottom }), ...drawn,
      svg('text', { class: 'chart-ink', x: x(0.5), y: bottom + 34, 'text-anchor': 'middle' }, xLabel));
  }

  function drawing(height, label, ...parts) {
    const attributes = { class: 'chart', viewBox: `0 0 ${WIDTH} ${height}`, role: 'img', 'aria-label': label, 'font-size': 12 };
    return svg('svg', attributes, ...parts);
  }

  /** Precision by recall of every system, with a dot at the threshold. */
  function curves(data, category, place) {
    const height = 250, bottom = height - 40, ticks = [0, 0.2, 0.4, 0.6, 0.8, 1];
    const x = (value) => LEFT + (WIDTH - RIGHT - LEFT) * value, y = (value) => bottom - (bottom - TOP) * value;
    const grid = ticks.flatMap((tick) => [
      svg('line', { class: 'chart-grid', x1: LEFT, x2: WIDTH - RIGHT, y1: y(tick), y2: y(tick) }),
      svg('text', { class: 'chart-ink', x: LEFT - 7, y: y(tick) + 4, 'text-anchor': 'end' }, String(Math.round(100 * tick)))]);
    const lines = [], dots = [];
    data.systems.forEach((system, at) => {
      const { color, dash } = look(system.place), counted = category.systems[at];
      const points = counted.curve.map(([recall, precision]) => `${x(recall / 1000).toFixed(1)},${y(precision / 1000).toFixed(1)}`);
      lines.push(svg('g', { class: color }, svg('polyline', { class: 'line', points: points.join(' '), 'stroke-dasharray': dash })));
      const now = claims(counted, place);
      if (now.claimed) dots.push(svg('g', { class: color }, svg('circle', { class: 'dot', cx: x(now.recall), cy: y(now.precision), r: 5 })));
    });
    // The first system lies on top.
    return drawing(height, `Precision by recall of ${category.name}; the table above has the numbers at the threshold`,
      ...grid, axes(height, 'recall [%]', ticks), ...lines.reverse(), ...dots.reverse());
  }

  /** Bins of the thresholds in groups of equal width. */
  function grouped(thresholds, bins) {
    const groups = new Array(GROUPS).fill(0);
    bins.forEach((count, bin) => {
      const from = bin === 0 ? 0 : thresholds[bin - 1];
      groups[Math.min(GROUPS - 1, Math.floor(from * GROUPS + 1e-9))] += count;
    });
    return groups;
  }

  /** Scores of what is there above the axis, of what is not below it; each side has its own scale. */
  function histogram(data, counted, place, label) {
    const height = 250, middle = (TOP + height - 40) / 2, half = middle - TOP - 4;
    const x = (value) => LEFT + (WIDTH - RIGHT - LEFT) * value, parts = [];
    [[counted.positives, 'chart-0', -1], [counted.negatives, 'chart-1', 1]].forEach(([bins, color, side]) => {
      const groups = grouped(data.thresholds, bins), most = Math.max(...groups, 1), all = sum(groups);
      const bars = groups.map((count, group) => {
        // What is there at all is seen.
        const size = count ? Math.max(1, half * count / most) : 0;
        return svg('rect', { class: 'bar', x: x(group / GROUPS) + 0.5, width: (WIDTH - RIGHT - LEFT) / GROUPS - 1,
          y: side < 0 ? middle - size : middle, height: size });
      });
      const edge = middle + side * half;
      parts.push(svg('g', { class: color }, ...bars),
        svg('line', { class: 'chart-grid', x1: LEFT, x2: WIDTH - RIGHT, y1: edge, y2: edge }),
        svg('text', { class: 'chart-ink', x: LEFT - 5, y: edge + 4, 'text-anchor': 'end' }, all ? `${Math.round(100 * most / all)} %` : '–'));
    });
    const at = x(data.thresholds[place]);
    return drawing(height, label, ...parts,
      svg('line', { class: 'chart-axis', x1: LEFT, x2: WIDTH - RIGHT, y1: middle, y2: middle }),
      svg('line', { class: 'threshold', x1: at, x2: at, y1: TOP, y2: height - 40 }),
      axes(height, 'probability [%]', [0, 0.2, 0.4, 0.6, 0.8, 1]));
  }

  function histogramTable(data, counted) {
    const [there, absent] = [counted.positives, counted.negatives].map((bins) => grouped(data.thresholds, bins));
    const rows = there.map((count, group) => html('tr', {},
      html('th', { scope: 'row' }, `${5 * group} to ${5 * group + 5} %`),
      html('td', { class: 'number' }, thousands(count)), html('td', { class: 'number' }, thousands(absent[group]))));
    const heading = html('tr', {}, html('th', { scope: 'col' }, 'probability'),
      html('th', { scope: 'col', class: 'number' }, 'there'), html('th', { scope: 'col', class: 'number' }, 'not there'));
    return html('table', {}, html('thead', {}, heading), html('tbody', {}, ...rows));
  }

  function thresholdTable(data, category, place) {
    const words = ['system', 'precision', 'recall', 'F1', 'claimed', 'right', 'wrong', 'missed'];
    const heading = words.map((word, at) => html('th', { scope: 'col', class: at ? 'number' : '' }, word));
    const rows = data.systems.map((system, at) => {
      const { color, dash } = look(system.place), now = claims(category.systems[at], place);
      const swatch = svg('svg', { class: `swatch ${color}`, width: 24, height: 12, 'aria-hidden': 'true' },
        svg('path', { d: 'M0 6h24', stroke: 'currentColor', 'stroke-width': 3, 'stroke-dasharray': dash }));
      const shares = now.positives ? [now.precision, now.recall, now.f1].map(percent) : ['–', '–', '–'];
      const cells = [...shares, ...[now.claimed, now.right, now.wrong, now.missed].map(thousands)];
      return html('tr', {}, html('th', { scope: 'row' }, swatch, ' ', named(system.name)),
        ...cells.map((cell) => html('td', { class: 'number' }, cell)));
    });
    const first = category.systems[0], positives = sum(first.positives), negatives = sum(first.negatives);
    const note = `Counts are of the ${thousands(positives + negatives)} known labels: ${thousands(positives)} there, ${thousands(negatives)} not there.`;
    const table = html('table', {}, html('thead', {}, html('tr', {}, ...heading)), html('tbody', {}, ...rows));
    return [html('div', { class: 'wide', tabindex: 0, role: 'region', 'aria-label': 'At the threshold' }, table), html('p', { class: 'note' }, note)];
  }

  function explore(data) {
    const find = (id) => document.getElementById(id);
    const [select, slider] = [find('category'), find('threshold')];
    data.categories.forEach((category, at) => select.append(html('option', { value: at, dir: 'auto' }, category.name)));
    slider.max = data.thresholds.length - 1;
    slider.value = data.start;
    const histograms = data.systems.map((system) => {
      const [words, drawn, numbers] = [html('span'), html('div'), html('div')];
      find('drawings').append(html('figure', {},
        html('figcaption', {}, html('strong', {}, 'Known labels by score'), ', ', named(system.name), ': ', words), drawn,
        html('details', {}, html('summary', {}, 'Numbers'), numbers)));
      return { words, drawn, numbers };
    });
    const update = () => {
      const place = Number(slider.value), category = data.categories[Number(select.value)];
      const threshold = data.thresholds[place];
      const shown = threshold.toFixed(threshold < 0.01 || threshold > 0.99 ? 3 : 2);
      find('threshold-shown').textContent = `p ≥ ${shown}`;
      const first = claims(category.systems[0], place);
      slider.setAttribute('aria-valuetext', `${shown}: precision ${percent(first.precision)}, recall ${percent(first.recall)}, F1 ${percent(first.f1)} percent`);
      find('at-threshold').replaceChildren(...thresholdTable(data, category, place));
      find('curve').replaceChildren(curves(data, category, place));
      histograms.forEach(({ words, drawn, numbers }, at) => {
        const counted = category.systems[at];
        words.textContent = `above ${thousands(sum(counted.positives))} that are there, below ${thousands(sum(counted.negatives))} that are not`;
        drawn.replaceChildren(histogram(data, counted, place, `Known labels of ${category.name} by score`));
        numbers.replaceChildren(histogramTable(data, counted));
      });
    };
    select.addEventListener('change', update);
    slider.addEventListener('input', update);
    update();
    find('no-script').hidden = true;
    find('explorer-body').hidden = false;
  }

  document.querySelectorAll('table.sorted').forEach(sortable);
  const data = JSON.parse(document.getElementById('data').textContent);
  if (data) explore(data);

  // Paper cannot be clicked: what belongs to the report is open on it.
  addEventListener('beforeprint', () => document.querySelectorAll('details.print:not([open])').forEach((details) => {
    details.open = true;
    addEventListener('afterprint', () => { details.open = false; }, { once: true });
  }));
})();

// Which filled labels a person finds wrong, saved as a table that `sarb labels fill --corrections` reads.
const cells = JSON.parse(document.getElementById('data').textContent);
const boxes = [...document.querySelectorAll('input[type=checkbox]')];
const save = document.getElementById('save');
const count = document.getElementById('count');

function wrong() {
  return boxes.filter((box) => box.checked).map((box) => cells[Number(box.value)]);
}

function show() {
  const number = wrong().length;
  count.textContent = `${number} of ${boxes.length} are marked as wrong`;
  save.disabled = number === 0;
}

function field(text) {
  return /[",\n\r]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

function table() {
  const lines = wrong().map((cell) => [cell.image, cell.category, cell.positive ? '0' : '1'].map(field).join(','));
  return ['image,category,label', ...lines, ''].join('\n');
}

save.addEventListener('click', () => {
  const link = document.createElement('a');
  link.href = URL.createObjectURL(new Blob([table()], { type: 'text/csv' }));
  link.download = 'corrections.csv';
  link.click();
  URL.revokeObjectURL(link.href);
});
const maps = document.getElementById('maps');
maps?.addEventListener('click', () => {
  const shown = document.body.classList.toggle('maps');
  maps.setAttribute('aria-pressed', String(shown));
});
boxes.forEach((box) => box.addEventListener('change', show));
show();

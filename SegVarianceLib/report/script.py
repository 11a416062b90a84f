"""The page's only script: tooltips, sorting, and reading a heat map under the pointer. It writes text, never markup."""

SCRIPT = """
(() => {
  const tip = document.getElementById('tip');
  const show = (text, event) => {
    tip.textContent = text;
    tip.hidden = false;
    const box = tip.getBoundingClientRect();
    tip.style.left = Math.max(4, Math.min(event.clientX + 14, innerWidth - box.width - 6)) + 'px';
    tip.style.top = (event.clientY + 18 + box.height > innerHeight ? event.clientY - box.height - 10 : event.clientY + 18) + 'px';
  };
  const heats = new WeakMap();
  const underPointer = (image, event) => {
    if (!heats.has(image)) heats.set(image, JSON.parse(image.dataset.heat));
    const heat = heats.get(image), box = image.getBoundingClientRect();
    const at = (position, size, count) => Math.min(count - 1, Math.max(0, Math.floor(position / size * count)));
    const row = at(event.clientY - box.top, box.height, heat.seeds.length);
    const column = at(event.clientX - box.left, box.width, heat.cases.length);
    return `${heat.cases[column]}, seed ${heat.seeds[row]}: ${heat.values[row][column]} ${heat.unit}`;
  };
  const point = event => {
    const target = event.target.closest('[data-tip], [data-heat]');
    if (!target) tip.hidden = true;
    else show(target.dataset.heat ? underPointer(target, event) : target.dataset.tip, event);
  };
  document.addEventListener('pointermove', point);
  document.addEventListener('pointerdown', point);
  document.addEventListener('click', event => {
    const button = event.target.closest('button.sort');
    if (!button) return;
    const head = button.parentElement, body = head.closest('table').tBodies[0];
    const rising = head.getAttribute('aria-sort') !== 'ascending';
    for (const other of head.parentElement.children) other.removeAttribute('aria-sort');
    head.setAttribute('aria-sort', rising ? 'ascending' : 'descending');
    const cell = row => row.cells[head.cellIndex].textContent;
    const numeric = [...body.rows].every(row => cell(row) === '' || !isNaN(parseFloat(cell(row))));
    const order = (a, b) => {
      if (a === '' || b === '') return (a === '') - (b === '');
      return (rising ? 1 : -1) * (numeric ? parseFloat(a) - parseFloat(b) : a.localeCompare(b, undefined, {numeric: true}));
    };
    body.append(...[...body.rows].sort((a, b) => order(cell(a), cell(b))));
  });
})();
"""

// The panel's menus are <details>: they open without script. This closes them
// on Escape, with the focus back on what opened them, and on a press elsewhere.

export function menus() {
  const all = [...document.querySelectorAll('.panel details')];
  document.addEventListener('keydown', (event) => {
    const open = event.key === 'Escape' && all.find((menu) => menu.open);
    if (!open) return;
    const inside = open.contains(document.activeElement);
    open.open = false;
    if (inside) open.querySelector('summary').focus();
  });
  document.addEventListener('pointerdown', (event) => {
    for (const menu of all) if (menu.open && !menu.contains(event.target)) menu.open = false;
  });
  for (const menu of all) {
    menu.addEventListener('focusout', (event) => {
      if (event.relatedTarget && !menu.contains(event.relatedTarget)) menu.open = false;
    });
  }
}

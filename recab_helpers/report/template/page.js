// Every table sorts by a click on a column's head: numbers by data-value, text by the reader's alphabet, blanks last.
for (const table of document.querySelectorAll("table.recab:has(thead)")) {
  const heads = [...table.tHead.rows[0].cells];
  heads.forEach((head, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    head.append(button);
    button.onclick = () => {
      const sign = head.getAttribute("aria-sort") === "ascending" ? -1 : 1;
      heads.forEach(h => h.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", sign === 1 ? "ascending" : "descending");
      const keyed = [...table.tBodies[0].rows].map(row => [row.cells[column], row]);
      const numeric = head.classList.contains("number");
      const blank = cell => numeric ? cell.dataset.value === undefined : !cell.textContent;
      keyed.sort(([a], [b]) => blank(a) || blank(b) ? blank(a) - blank(b) : sign * (numeric
        ? a.dataset.value - b.dataset.value : a.textContent.localeCompare(b.textContent, undefined, {numeric: true})));
      table.tBodies[0].append(...keyed.map(([, row]) => row));
    };
  });
}
// A link to a section opens it and scrolls there, also where the address cannot change (a viewer's blob: page).
for (const link of document.querySelectorAll('a[href^="#"]')) {
  link.onclick = event => {
    const target = document.getElementById(link.getAttribute("href").slice(1));
    if (!target) return;
    event.preventDefault();
    for (let part = target; part; part = part.parentElement) if (part.tagName === "DETAILS") part.open = true;
    target.scrollIntoView();
    (target.closest("summary") ?? target).focus({preventScroll: true});
    try { history.pushState(null, "", link.getAttribute("href")); } catch { /* an address that may not change */ }
  };
}
// On paper everything is open; afterwards it is as it was.
let closed = [];
addEventListener("beforeprint", () => { closed = [...document.querySelectorAll("details:not([open])")]; closed.forEach(d => { d.open = true; }); });
addEventListener("afterprint", () => { closed.forEach(d => { d.open = false; }); });

"use strict";
(function () {
  const table = document.querySelector("table.clusters");
  if (!table) return;
  const body = table.tBodies[0], rows = [...body.rows], heads = [...table.tHead.rows[0].cells];
  const words = rows.map((row) => row.textContent.toLowerCase());

  function make(tag, parent, attributes, text) {
    const element = document.createElement(tag);
    for (const name in attributes) element.setAttribute(name, attributes[name]);
    if (text) element.textContent = text;
    parent.append(element);
    return element;
  }

  // Numbers sort by value, words as people of any language do.
  function compare(a, b, column) {
    const one = a.cells[column], other = b.cells[column];
    if (one.dataset.value !== undefined) return Number(one.dataset.value.replaceAll(",", ""))
      - Number(other.dataset.value.replaceAll(",", ""));
    return one.textContent.localeCompare(other.textContent);
  }

  heads.forEach((head, column) => {
    if (!head.dataset.sort) return;
    const name = head.textContent;
    head.textContent = "";
    make("button", head, { type: "button", title: "sort by " + name }, name).addEventListener("click", () => {
      const largest = column > 0 && rows[0].cells[column].dataset.value !== undefined;
      const before = head.getAttribute("aria-sort");
      const down = before ? before === "ascending" : largest;
      heads.forEach((other) => other.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", down ? "descending" : "ascending");
      const order = [...rows].sort((a, b) => compare(a, b, column) * (down ? -1 : 1) || rows.indexOf(a) - rows.indexOf(b));
      body.append(...order);
    });
  });

  const find = document.createElement("div");
  find.className = "find";
  table.parentElement.before(find);
  const field = make("input", find, { type: "search", placeholder: "Search clusters", "aria-label": "search clusters",
    autocomplete: "off", spellcheck: "false" });
  const told = make("span", find, { role: "status" });
  field.addEventListener("input", () => {
    const wanted = field.value.trim().toLowerCase();
    let shown = 0;
    rows.forEach((row, place) => {
      row.hidden = !words[place].includes(wanted);
      shown += !row.hidden;
    });
    told.textContent = wanted ? `${shown} of ${rows.length} clusters` : "";
  });
})();

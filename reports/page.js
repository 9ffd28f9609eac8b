// The page is whole without this script; it sorts, filters and opens the cells behind the numbers.
// Text from records only ever enters the document as text (textContent, append), never as markup.
(() => {
  "use strict";
  const all = (selector, from = document) => [...from.querySelectorAll(selector)];
  const make = (tag, attributes = {}, ...children) => {
    const element = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
    element.append(...children);
    return element;
  };
  const tables = all("table[data-sortable]");
  const rowsOf = (body) => [...body.rows].filter((row) => "row" in row.dataset);
  const detailOf = (row) => (row.nextElementSibling?.classList.contains("cells") ? row.nextElementSibling : null);

  // ------------------------------------------------------------------------------------------------------ sorting

  const sorted = { table: -1, column: 0, reverse: false }; // the last sorted table, for the address

  function value(row, column) {
    const cell = row.cells[column];
    if (!cell || cell.colSpan > 1) return null; // a row that failed has its outcome in place of numbers
    if (cell.tagName === "TH") return cell.querySelector(".name").textContent.toLowerCase();
    return cell.dataset.value ? Number(cell.dataset.value) : null;
  }

  function compare(column, sign) {
    return (a, b) => {
      const [x, y] = [value(a, column), value(b, column)];
      if (x === null || y === null) return (x === null) - (y === null) || a.dataset.row - b.dataset.row;
      return sign * ((x > y) - (x < y)) || a.dataset.row - b.dataset.row;
    };
  }

  function arrange(table, column, state) {
    const heads = [...table.tHead.rows[0].cells];
    heads.forEach((head, i) => {
      if (i === column && state) head.setAttribute("aria-sort", state);
      else head.removeAttribute("aria-sort");
    });
    const order = state ? compare(column, state === "descending" ? -1 : 1) : (a, b) => a.dataset.row - b.dataset.row;
    for (const body of table.tBodies) {
      if ("fixed" in body.dataset) continue;
      for (const row of rowsOf(body).sort(order)) {
        const detail = detailOf(row);
        body.append(row, ...(detail ? [detail] : []));
      }
    }
    const groups = [...table.tBodies].filter((body) => body.dataset.budget);
    const back = state === "descending" && heads[column].dataset.by === "budget" ? -1 : 1;
    const rest = [...table.tBodies].filter((body) => !body.dataset.budget);
    if (groups.length > 1) table.append(...groups.sort((a, b) => back * (a.dataset.budget - b.dataset.budget)), ...rest);
  }

  function states(head) {
    return head.dataset.better === "1" ? ["descending", "ascending", ""] : ["ascending", "descending", ""];
  }

  function sort(index, column, state) {
    if (sorted.table >= 0 && sorted.table !== index) arrange(tables[sorted.table], 0, "");
    arrange(tables[index], column, state);
    Object.assign(sorted, { table: state ? index : -1, column, state });
  }

  tables.forEach((table, index) => {
    for (const body of table.tBodies) rowsOf(body).forEach((row, i) => (row.dataset.row = i));
    [...table.tHead.rows[0].cells].forEach((head, column) => {
      const button = make("button", { type: "button", class: "sort" }, ...head.childNodes);
      head.append(button);
      button.addEventListener("click", () => {
        const order = states(head);
        const now = order.indexOf(head.getAttribute("aria-sort") ?? "");
        sort(index, column, order[(now + 1) % 3]);
        remember();
      });
    });
  });

  // ------------------------------------------------------------------------------------------------------ filters

  const form = document.getElementById("filters");
  const said = document.getElementById("shown");
  const named = ["task", "budget", "family", "method", "metric"];

  function chosen(name) {
    const fields = form ? all(`[name=${name}]`, form) : [];
    if (fields[0]?.type === "search") return null;
    const values = fields.flatMap((field) => (field.type === "checkbox" ? (field.checked ? field.value : []) : field.value));
    return new Set(values.filter((text) => text !== ""));
  }

  function matcher(name) {
    const set = chosen(name);
    if (set) return (text) => !set.size || set.has(text);
    const parts = form.elements[name].value.toLowerCase().split(",").map((part) => part.trim()).filter(Boolean);
    return (text) => !parts.length || parts.some((part) => text.toLowerCase().includes(part));
  }

  function filter() {
    if (!form) return;
    const matches = Object.fromEntries(named.map((name) => [name, matcher(name)]));
    const fits = (element) => named.every((name) => !element.dataset[name] || matches[name](element.dataset[name]));
    for (const element of all("[data-task], [data-budget], [data-family], [data-method], figure[data-metric]")) {
      element.hidden = !fits(element);
      const detail = element.tagName === "TR" ? detailOf(element) : null;
      if (detail) detail.hidden = element.hidden;
    }
    for (const table of all("table[data-columns]")) columns(table, matches.metric);
    for (const holder of all("[data-holder]").reverse()) { // inner ones first
      const rows = all("tr[data-method], .failure", holder);
      const columnsOff = all("th[data-metric]", holder).length && all("th[data-metric]", holder).every((head) => head.hidden);
      const away = (rows.length && rows.every((row) => row.hidden)) || ("panel" in holder.dataset && columnsOff);
      holder.hidden = Boolean(away) || !fits(holder);
    }
    const counted = all("tr[data-counted]");
    const left = counted.filter((row) => row.checkVisibility?.() ?? !row.hidden).length;
    said.textContent = `${left.toLocaleString("en")} of ${counted.length.toLocaleString("en")} rows of scores are shown.`;
    for (const pick of all("details.pick", form)) {
      const boxes = all("input[type=checkbox]", pick);
      const ticked = boxes.filter((box) => box.checked).length;
      pick.querySelector(".count").textContent = ticked ? `${ticked} of ${boxes.length}` : "all";
    }
  }

  function columns(table, matches) {
    const off = [...table.tHead.rows[0].cells].map((head) => Boolean(head.dataset.metric) && !matches(head.dataset.metric));
    for (const row of table.rows) {
      if (row.cells.length === off.length) off.forEach((hidden, i) => (row.cells[i].hidden = hidden));
    }
  }

  form?.addEventListener("input", () => { filter(); remember(); });
  form?.addEventListener("submit", (event) => event.preventDefault());
  form?.addEventListener("reset", () => setTimeout(() => { // after the fields have their first values again
    if (sorted.table >= 0) sort(sorted.table, 0, "");
    filter();
    remember();
  }));

  // ----------------------------------------------------------------------------------------- the view in the address

  let open = ""; // id of the cell that was opened last

  function remember() {
    const words = new URLSearchParams();
    for (const field of form ? form.querySelectorAll("[name]") : []) {
      if (field.type === "checkbox" ? field.checked : field.value) words.append(field.name, field.value);
    }
    if (sorted.table >= 0) words.set("sort", `${sorted.table}.${sorted.column}.${sorted.state}`);
    if (open) words.set("cell", open);
    const [page] = location.href.split("#");
    try {
      history.replaceState(null, "", words.toString() ? `${page}#${words}` : page);
    } catch { /* a page inside a mail has no address of its own */ }
  }

  function restore() {
    if (!location.hash.includes("=")) return; // a heading, not a view
    const words = new URLSearchParams(location.hash.slice(1));
    for (const field of form ? form.querySelectorAll("[name]") : []) {
      const wanted = words.getAll(field.name);
      if (field.type === "checkbox") field.checked = wanted.includes(field.value);
      else if (field.tagName === "SELECT") field.value = [...field.options].some((o) => o.value === wanted[0]) ? wanted[0] : "";
      else field.value = wanted[0] ?? "";
      if (field.checked) field.closest("details").open = true;
    }
    const [table, column, state] = (words.get("sort") ?? "").split(".");
    const head = tables[table]?.tHead.rows[0].cells[column];
    if (head && states(head).slice(0, 2).includes(state)) sort(Number(table), Number(column), state);
    filter();
    if (words.get("cell")) openCell(words.get("cell"));
  }

  // -------------------------------------------------------------------------------------------------------- cells

  let held = null;
  const data = () => (held ??= JSON.parse(document.getElementById("cells-data").textContent));
  const text = (place) => data().strings[place];
  const lines = (places) => places.map(text).join("\n");
  let count = 0;

  for (const row of all("tr[data-cells]")) {
    const name = row.querySelector(".name").textContent;
    const images = row.dataset.budget ? ` at ${row.dataset.budget} images` : "";
    const button = make("button", { type: "button", class: "open", "aria-expanded": "false", "aria-label": `Cells of ${name}${images}` });
    button.addEventListener("click", () => toggle(row));
    row.cells[row.cells[0].tagName === "TH" ? 0 : 1].prepend(button);
  }

  function toggle(row) {
    const button = row.querySelector("button.open");
    const detail = detailOf(row);
    if (detail) {
      detail.remove();
      open = "";
    } else row.after(cellsRow(row, `cells-${++count}`));
    button.setAttribute("aria-expanded", String(!detail));
    if (detail) button.removeAttribute("aria-controls");
    else button.setAttribute("aria-controls", `cells-${count}`);
    remember();
  }

  function cellsRow(row, id) {
    const table = row.closest("table");
    const heads = [...table.tHead.rows[0].cells];
    let metrics = heads.filter((head) => head.dataset.metric && !head.hidden).map((head) => head.dataset.metric);
    if (!metrics.length) metrics = ["kid"];
    const cells = row.dataset.cells.split(" ").map((place) => data().cells[place]);
    const label = new Map(cells.flatMap((cell) => cell.scores).map((score) => [text(score[0]), text(score[1])]));
    const view = make("div", { class: "view" });
    const head = make("tr", {}, ...["seed", "cell", "status", ...metrics.map((name) => label.get(name) ?? name), "fit, s"]
      .map((words) => make("th", { scope: "col" }, words)));
    const body = make("tbody", {}, ...cells.map((cell) => line(cell, metrics, view)));
    const inner = make("table", {}, make("thead", {}, head), body);
    const box = make("div", { class: "box" }, make("div", { class: "scroll" }, inner), view);
    return make("tr", { class: "cells", id, ...(row.hidden ? { hidden: "" } : {}) }, make("td", { colspan: heads.length }, box));
  }

  const costOf = (cell, name) => cell.cost.filter(([key]) => text(key) === name).map(([, words]) => text(words))[0];

  function line(cell, metrics, view) {
    const button = make("button", { type: "button", class: "cell", "aria-expanded": "false" }, text(cell.id));
    button.addEventListener("click", () => {
      const shown = button.getAttribute("aria-expanded") === "true";
      for (const other of all("button.cell", button.closest("table"))) other.setAttribute("aria-expanded", "false");
      button.setAttribute("aria-expanded", String(!shown));
      view.replaceChildren(...(shown ? [] : cellView(cell)));
      open = shown ? "" : text(cell.id);
      remember();
    });
    const found = new Map(cell.scores.map((score) => [text(score[0]), text(score[2])]));
    const words = [text(cell.status), ...metrics.map((name) => found.get(name) ?? "—"), costOf(cell, "fit_seconds") ?? "—"];
    return make("tr", {}, make("td", {}, String(cell.seed)), make("td", {}, button), ...words.map((word) => make("td", {}, word)));
  }

  const facts = (pairs) => make("dl", { class: "facts" },
    ...pairs.flatMap(([name, words]) => [make("dt", {}, text(name)), make("dd", {}, text(words))]));
  const pre = (words) => make("pre", { tabindex: "0" }, words);

  function cellView(cell) {
    const parts = [make("h4", {}, text(cell.name)), facts(cell.facts)];
    if (cell.links.length) parts.push(make("p", {}, "Files: ", ...cell.links.flatMap(fileLink)));
    const log = document.getElementById(`log-${text(cell.id)}`);
    if (log) parts.push(make("h5", {}, "End of the log"), pre(log.textContent));
    if (cell.scores.length) parts.push(make("h5", {}, "Scores"), scoreTable(cell.scores));
    if (cell.cost.length) parts.push(make("h5", {}, "Cost"), facts(cell.cost));
    parts.push(make("h5", {}, "Environment, where cells differ"));
    parts.push(cell.environment.length ? facts(cell.environment) : make("p", {}, "As that of all cells, see Environment."));
    parts.push(make("h5", {}, "To make it again"));
    parts.push(...cell.caveats.map((place) => make("p", { class: "small" }, text(place))), pre(lines(cell.command)));
    return parts;
  }

  function fileLink([what, path, address], i) {
    const element = text(address)
      ? make("a", { href: text(address) }, text(what))
      : make("span", {}, `${text(what)} (`, make("code", {}, text(path)), " in the run folder)");
    return i ? [", ", element] : [element];
  }

  function scoreTable(scores) {
    const heads = ["score", "value", "95 % interval", "floor", "images", "note"];
    const rows = scores.map((score) => make("tr", {}, make("th", { scope: "row" }, text(score[1])),
      ...score.slice(2).map((place, i) => make("td", i > 2 ? { class: "words" } : {}, text(place) || "—"))));
    const table = make("table", {}, make("thead", {}, make("tr", {}, ...heads.map((words, i) =>
      make("th", { scope: "col", ...(i > 3 ? { class: "words" } : {}) }, words)))), make("tbody", {}, ...rows));
    return make("div", { class: "scroll" }, table);
  }

  function openCell(id) {
    const place = data().cells.findIndex((cell) => text(cell.id) === id);
    const row = all("tr[data-cells]").find((r) => !r.closest("[data-ranking]") && r.dataset.cells.split(" ").includes(String(place)));
    if (place < 0 || !row) return;
    if (!detailOf(row)) toggle(row);
    const button = all("button.cell", detailOf(row)).find((found) => found.textContent === id);
    if (button.getAttribute("aria-expanded") === "false") button.click();
    button.scrollIntoView({ block: "center" });
  }

  if (form) form.hidden = false;
  for (const element of all(".needs-script")) element.hidden = false;
  filter();
  restore();
  window.addEventListener("hashchange", restore);
})();

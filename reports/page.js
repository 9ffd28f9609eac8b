// The page is whole without this script; it picks a comparison, sorts, filters, enlarges and opens the trainings.
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
  const drawn = (tag, attributes = {}, ...children) => {
    const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
    for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
    element.append(...children);
    return element;
  };
  const tables = all("table[data-sortable]");
  const rowsOf = (body) => [...body.rows].filter((row) => "row" in row.dataset);

  // ------------------------------------------------------------------------------------------------------ sorting

  const sorted = { table: -1, column: 0, state: "" }; // the last sorted table, for the address

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
      if (!("fixed" in body.dataset)) body.append(...rowsOf(body).sort(order));
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
        sort(index, column, order[(order.indexOf(head.getAttribute("aria-sort") ?? "") + 1) % 3]);
        remember();
      });
    });
  });

  // ------------------------------------------------------------------------------------- tables that have no room

  const roles = { TABLE: "table", THEAD: "rowgroup", TBODY: "rowgroup", TR: "row", TD: "cell" };

  function label(table) { // the heading beside each number of a card; roles, which another display would take away
    const heads = [...table.tHead.rows[0].cells].map((head) => head.textContent.trim());
    for (const element of [table, ...all("thead, tbody, tr, td, th", table)]) {
      const role = roles[element.tagName] ?? (element.scope === "row" ? "rowheader" : element.scope === "col" ? "columnheader" : "");
      if (role) element.setAttribute("role", role);
    }
    for (const row of all("tbody tr", table)) {
      if (row.cells.length === heads.length) [...row.cells].forEach((cell, i) => (i || cell.tagName === "TD") && (cell.dataset.label = heads[i]));
    }
  }

  function fit(table) {
    const box = table.closest(".scroll");
    if (!box?.clientWidth) return; // folded
    table.classList.remove("cards");
    table.classList.toggle("cards", table.scrollWidth > box.clientWidth + 1 || box.scrollWidth > box.clientWidth + 1);
  }

  const widths = new WeakMap();
  const watcher = new ResizeObserver((entries) => {
    for (const { target } of entries) {
      if (widths.get(target) === target.clientWidth) continue; // its height alone
      widths.set(target, target.clientWidth);
      all("table", target).forEach(fit);
    }
  });

  function watch(table) {
    label(table);
    watcher.observe(table.closest(".scroll"));
  }

  // ----------------------------------------------------------------------------------------------- one comparison

  const settings = all("[data-setting]");
  const tabs = all("[data-at]");
  const form = document.getElementById("filters");
  let at = settings[0]?.id ?? "";

  function show(id, focus = false) {
    if (!settings.some((setting) => setting.id === id)) return;
    at = id;
    for (const setting of settings) setting.classList.toggle("away", setting.id !== id);
    for (const tab of tabs) {
      if (tab.dataset.at === id) tab.setAttribute("aria-current", "true");
      else tab.removeAttribute("aria-current");
    }
    const setting = document.getElementById(id);
    if (form) setting.querySelector("figure.ranking").before(form);
    if (focus) setting.focus({ preventScroll: true });
  }

  for (const tab of tabs) {
    tab.addEventListener("click", (event) => {
      event.preventDefault();
      show(tab.dataset.at, true);
      remember();
    });
  }

  // ------------------------------------------------------------------------------------------------------ filters

  const said = document.getElementById("shown");
  const boxes = (name) => all(`input[type=checkbox][name=${name}]`);
  const field = (name) => form?.querySelector(`[name=${name}]`);

  function isShown(method, family) {
    const chips = boxes("method");
    if (field("family")?.value && field("family").value !== family) return false;
    if (chips.length) return chips.find((box) => box.value === method)?.checked ?? true;
    const parts = (field("search")?.value ?? "").toLowerCase().split(",").map((part) => part.trim()).filter(Boolean);
    return !parts.length || parts.some((part) => method.toLowerCase().includes(part));
  }

  const families = new Map(all("[data-method][data-family]").map((each) => [each.dataset.method, each.dataset.family]));

  function filter() {
    const shown = new Map([...families].map(([method, family]) => [method, isShown(method, family)]));
    for (const element of all("[data-method]")) element.hidden = !(shown.get(element.dataset.method) ?? true);
    for (const element of all("svg [data-method]")) element.style.display = shown.get(element.dataset.method) ?? true ? "" : "none";
    for (const body of all("tbody[data-holder]")) body.hidden = rowsOf(body).every((row) => row.hidden);
    const ticked = new Set(boxes("metric").filter((box) => box.checked).map((box) => box.value));
    for (const table of all("table[data-columns]")) columns(table, ticked);
    for (const panel of all("[data-panel]")) panel.hidden = all("th[data-metric]", panel).every((head) => head.hidden);
    if (said) {
      const count = [...shown.values()].filter(Boolean).length;
      said.textContent = `${count.toLocaleString("en")} of ${shown.size.toLocaleString("en")} methods shown`;
    }
    const count = document.querySelector(".pick .count");
    if (count) count.textContent = ticked.size ? `${ticked.size} of ${boxes("metric").length}` : "all";
  }

  function columns(table, ticked) {
    const off = [...table.tHead.rows[0].cells].map((head) =>
      Boolean(head.dataset.metric) && ticked.size > 0 && !ticked.has(head.dataset.metric));
    for (const row of table.rows) {
      if (row.cells.length === off.length) off.forEach((hidden, i) => (row.cells[i].hidden = hidden));
    }
    fit(table);
  }

  function refresh() {
    filter();
    remember();
  }

  form?.addEventListener("input", refresh);
  for (const box of boxes("metric")) box.addEventListener("input", refresh);
  form?.addEventListener("submit", (event) => event.preventDefault());
  form?.addEventListener("reset", () => setTimeout(() => { // after the fields have their first values again
    for (const box of boxes("metric")) box.checked = false;
    if (sorted.table >= 0) sort(sorted.table, 0, "");
    refresh();
  }));

  // A method that is pointed at, or focused, is lit in every chart.
  let lit = null;
  function light(method) {
    if (method === lit) return;
    lit = method;
    document.body.classList.toggle("lit-one", Boolean(method));
    for (const element of all(".lit")) element.classList.remove("lit");
    if (method) for (const element of all("[data-method]")) element.classList.toggle("lit", element.dataset.method === method);
  }
  const pointed = (event) => {
    const element = event.target.closest?.("[data-hover], .setting [data-method]");
    if (element?.closest(".cells") || event.target.closest?.(".cells")) return null;
    return element?.dataset.hover ?? element?.dataset.method ?? null;
  };
  document.addEventListener("pointerover", (event) => light(pointed(event)));
  document.addEventListener("focusin", (event) => light(event.target.matches(":focus-visible") ? pointed(event) : null));
  document.addEventListener("pointerleave", () => light(null));

  // ----------------------------------------------------------------------------------------- the view in the address

  let open = ""; // id of the cell that was opened last

  function remember() {
    const words = new URLSearchParams();
    if (at && at !== settings[0]?.id) words.set("at", at);
    const chips = boxes("method");
    const off = chips.filter((box) => !box.checked);
    const on = chips.filter((box) => box.checked);
    if (off.length && on.length && on.length <= off.length) on.forEach((box) => words.append("only", box.value));
    else off.forEach((box) => words.append("hide", box.value));
    if (field("family")?.value) words.set("family", field("family").value);
    if (field("search")?.value) words.set("search", field("search").value);
    for (const box of boxes("metric")) if (box.checked) words.append("metric", box.value);
    if (sorted.table >= 0) words.set("sort", `${sorted.table}.${sorted.column}.${sorted.state}`);
    if (open) words.set("cell", open);
    const [page] = location.href.split("#");
    try {
      history.replaceState(null, "", words.toString() ? `${page}#${words}` : page);
    } catch { /* a page inside a mail or a zip's preview has no address of its own */ }
  }

  function restore() {
    const name = location.hash.slice(1);
    if (!name.includes("=")) { // a heading, not a view
      show(name);
      unfold(document.getElementById(name));
      return;
    }
    const words = new URLSearchParams(name);
    show(words.get("at") ?? settings[0]?.id);
    const [hide, only] = [words.getAll("hide"), words.getAll("only")];
    for (const box of boxes("method")) box.checked = only.length ? only.includes(box.value) : !hide.includes(box.value);
    const family = field("family");
    if (family) family.value = [...family.options].some((o) => o.value === words.get("family")) ? words.get("family") : "";
    if (field("search")) field("search").value = words.get("search") ?? "";
    for (const box of boxes("metric")) {
      box.checked = words.getAll("metric").includes(box.value);
      if (box.checked) box.closest("details").open = true;
    }
    const [table, column, state] = (words.get("sort") ?? "").split(".");
    const head = tables[table]?.tHead.rows[0].cells[column];
    if (head && states(head).slice(0, 2).includes(state)) {
      sort(Number(table), Number(column), state);
      unfold(tables[table]);
    }
    filter();
    if (words.get("cell")) openCell(words.get("cell"));
  }

  function unfold(element) {
    for (let fold = element?.closest("details"); fold; fold = fold.parentElement.closest("details")) fold.open = true;
    if (element && !settings.includes(element)) element.scrollIntoView();
  }

  // A footnote's link leads into what may be folded; the address stays that of the view.
  document.addEventListener("click", (event) => {
    const link = event.target.closest?.('a[href^="#"]');
    if (!link || link.dataset.at || event.defaultPrevented) return;
    const target = document.getElementById(link.hash.slice(1));
    if (!target) return;
    event.preventDefault();
    unfold(target);
    target.setAttribute("tabindex", "-1");
    target.focus({ preventScroll: true });
  });

  // ---------------------------------------------------------------------------------------------------- trainings

  let held = null;
  const data = () => (held ??= JSON.parse(document.getElementById("cells-data").textContent));
  const text = (place) => data().strings[place];
  const lines = (places) => places.map(text).join("\n");
  let count = 0;

  for (const place of all(".place[data-cells]")) {
    const total = place.dataset.cells.split(" ").length;
    const name = place.querySelector(".name").textContent;
    const noun = place.classList.contains("reference") ? "seed" : "training";
    const words = `${total} ${noun}${total === 1 ? "" : "s"}`;
    const button = make("button", { type: "button", class: "trainings", "aria-expanded": "false" },
      make("span", {}, words), make("span", { class: "hint" }, ` of ${name}`));
    button.addEventListener("click", () => toggle(place));
    place.querySelector(".who").append(button);
  }

  function toggle(place) {
    const button = place.querySelector("button.trainings");
    const detail = place.querySelector(".cells");
    button.setAttribute("aria-expanded", String(!detail));
    if (detail) {
      detail.remove();
      button.removeAttribute("aria-controls");
      open = "";
    } else {
      const panel = cellsOf(place, `cells-${++count}`);
      place.append(panel);
      all("table", panel).forEach(watch);
      button.setAttribute("aria-controls", panel.id);
    }
    remember();
  }

  function cellsOf(place, id) {
    const cells = place.dataset.cells.split(" ").map((i) => data().cells[i]);
    const view = make("div", { class: "view" });
    const heads = ["seed", "cell", "status", "KID×10³", "FID", "fit, s"].map((words) => make("th", { scope: "col" }, words));
    const table = make("table", {}, make("thead", {}, make("tr", {}, ...heads)),
      make("tbody", {}, ...cells.map((cell) => line(cell, view))));
    return make("div", { class: "cells", id }, make("div", { class: "scroll" }, table), view);
  }

  const costOf = (cell, name) => cell.cost.filter(([key]) => text(key) === name).map(([, words]) => text(words))[0];

  function line(cell, view) {
    const button = make("button", { type: "button", class: "cell", "aria-expanded": "false" }, text(cell.id));
    button.addEventListener("click", () => {
      const isOpen = button.getAttribute("aria-expanded") === "true";
      for (const other of all("button.cell", button.closest("table"))) other.setAttribute("aria-expanded", "false");
      button.setAttribute("aria-expanded", String(!isOpen));
      view.replaceChildren(...(isOpen ? [] : cellView(cell)));
      all("table", view).forEach(watch);
      open = isOpen ? "" : text(cell.id);
      remember();
    });
    const scores = new Map(cell.scores.map((score) => [text(score[0]), text(score[2])]));
    const words = [text(cell.status), scores.get("kid") ?? "—", scores.get("fid") ?? "—", costOf(cell, "fit_seconds") ?? "—"];
    return make("tr", {}, make("td", {}, String(cell.seed)), make("td", {}, button), ...words.map((word) => make("td", {}, word)));
  }

  const facts = (pairs) => make("dl", { class: "facts" },
    ...pairs.flatMap(([name, words]) => [make("dt", {}, text(name)), make("dd", {}, text(words))]));
  const pre = (words) => make("pre", { tabindex: "0" }, words);

  function cellView(cell) {
    const parts = [make("h4", {}, text(cell.name)), facts(cell.facts)];
    if (cell.links.length) parts.push(make("p", {}, "Files: ", ...cell.links.flatMap(fileLink)));
    if (cell.curve.length > 1) parts.push(make("h5", {}, "Training curve"), losses(cell.curve));
    const log = document.getElementById(`log-${text(cell.id)}`)?.textContent ?? lines(cell.log);
    if (log) parts.push(make("h5", {}, "End of the log"), pre(log));
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

  function losses(curve) { // each loss a line, on one axis
    const names = [...new Set(curve.flatMap(([, values]) => Object.keys(values)))];
    const values = curve.flatMap(([, each]) => Object.values(each));
    const [low, high] = [Math.min(...values), Math.max(...values)];
    const [first, last] = [curve[0][0], curve.at(-1)[0]];
    const x = (images) => 2 + 96 * (images - first) / (last - first || 1);
    const y = (loss) => 96 - 92 * (high > low ? (loss - low) / (high - low) : 0.5);
    const area = drawn("svg", { class: "area", focusable: "false" });
    const ends = make("div", { class: "names" });
    names.slice(0, 8).forEach((name, i) => {
      const points = curve.filter(([, each]) => name in each).map(([images, each]) => [x(images), y(each[name])]);
      for (let k = 1; k < points.length; k += 1) {
        const [[x1, y1], [x2, y2]] = [points[k - 1], points[k]].map((point) => point.map((at) => `${at.toFixed(2)}%`));
        area.append(drawn("line", { class: "join", x1, y1, x2, y2, style: `--dot: var(--c${i})` }));
      }
      ends.append(make("span", { class: "name", style: `--dot: var(--c${i}); top: ${8 + 14 * i}%` }, name));
    });
    const ticks = make("div", { class: "y-ticks" }, ...[low, high].map((loss) =>
      make("span", { style: `top: ${y(loss)}%` }, loss.toLocaleString("en", { maximumSignificantDigits: 3 }))));
    const below = make("div", { class: "x-ticks" }, ...[first, last].map((images) =>
      make("span", { style: `left: ${x(images)}%` }, images.toLocaleString("en"))));
    const frame = make("div", { class: "frame", role: "img", "aria-label": `Losses in training: ${names.join(", ")}` },
      make("span", { class: "y-label" }, "loss"), ticks, area, ends, below, make("span", { class: "x-label" }, "images shown"));
    return make("figure", { class: "losses" }, frame);
  }

  function openCell(id) {
    const i = data().cells.findIndex((cell) => text(cell.id) === id);
    const place = all(".place[data-cells]").find((each) => each.dataset.cells.split(" ").includes(String(i)));
    if (i < 0 || !place) return;
    show(place.closest("[data-setting]").id);
    if (!place.querySelector(".cells")) toggle(place);
    const button = all("button.cell", place).find((each) => each.textContent === id);
    if (button.getAttribute("aria-expanded") === "false") button.click();
    unfold(button);
    button.scrollIntoView({ block: "center" });
  }

  // ------------------------------------------------------------------------------------------------ samples, large

  const viewer = document.getElementById("viewer");
  const COLUMNS = 8;

  for (const image of all(".samples img")) {
    const button = make("button", { type: "button", class: "enlarge", "aria-label": `Enlarge ${image.alt}` });
    image.before(button);
    button.append(image);
    button.addEventListener("click", (event) => {
      const box = image.getBoundingClientRect();
      const share = event.detail ? (event.clientX - box.left) / box.width : 0; // a key has no place
      enlarge(image, Math.min(COLUMNS - 1, Math.max(0, Math.floor(share * COLUMNS))));
    });
  }

  function tile(image, column, row, pixels) {
    const [side, seam, rows] = ["side", "seam", "rows"].map((name) => Number(image.dataset[name]));
    const [scale, pitch] = [pixels / side, side + seam];
    return make("div", {
      class: "tile",
      style: `background-image: url("${image.src}"); background-size: ${(COLUMNS * pitch - seam) * scale}px ${(rows * pitch - seam) * scale}px; `
        + `background-position: ${-column * pitch * scale}px ${-row * pitch * scale}px; --tile: ${pixels}px`,
    });
  }

  function enlarge(image, column) {
    const rows = Number(image.dataset.rows);
    const distances = JSON.parse(image.dataset.distances || "[]")[column] ?? [];
    const pixels = Math.max(96, Math.min(208, Math.floor((Math.min(innerWidth, 896) - 96) / rows)));
    const title = make("h2", { id: "viewer-title" }, `${image.alt}: number ${column + 1}`);
    const close = make("button", { type: "button", class: "close", "aria-label": "Close" }, "✕");
    close.addEventListener("click", () => viewer.close());
    const figures = Array.from({ length: rows }, (_, row) => {
      const words = row === 0 ? "generated" : `${["nearest", "second", "third"][row - 1] ?? `no. ${row}`} training image`;
      const far = row && distances[row - 1] !== undefined ? `, distance ${distances[row - 1].toPrecision(3)}` : "";
      const picture = tile(image, column, row, pixels);
      picture.setAttribute("role", "img");
      picture.setAttribute("aria-label", words + far);
      return make("figure", { style: `--tile: ${pixels}px` }, picture, make("figcaption", {}, words + far));
    });
    const strip = Array.from({ length: COLUMNS }, (_, other) => {
      const button = make("button", { type: "button", "aria-label": `Sample ${other + 1}`, "aria-pressed": String(other === column) },
        tile(image, other, 0, 40));
      button.addEventListener("click", () => enlarge(image, other));
      return button;
    });
    const says = rows > 1
      ? "Nearest in the eyes of the network that scores. A copy looks like its nearest training image."
      : "The page holds no nearest training images of this row.";
    viewer.replaceChildren(close, title, make("div", { class: "tiles" }, ...figures), make("p", { class: "small" }, says),
      make("div", { class: "strip", role: "group", "aria-label": "Samples" }, ...strip));
    viewer.dataset.column = column;
    viewer.showing = image;
    if (!viewer.open) viewer.showModal();
    strip[column].focus();
  }

  viewer.addEventListener("keydown", (event) => {
    const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (step) enlarge(viewer.showing, (Number(viewer.dataset.column) + step + COLUMNS) % COLUMNS);
  });
  viewer.addEventListener("click", (event) => {
    if (event.target === viewer) viewer.close(); // beside it
  });

  if (form) form.hidden = false;
  for (const element of all(".needs-script, .score-filter")) element.hidden = false;
  all(".scroll > table").forEach(watch);
  show(at);
  filter();
  restore();
  window.addEventListener("hashchange", restore);
})();

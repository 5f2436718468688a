"use strict";
window.penultMap = window.penultMap || (function () {
  const FOUND = 100, LEGEND = 1000, REACH = 14;

  const { bytes, make, symbol, paled, between } = penultTools;

  return function (id) {
    const host = document.getElementById(id), data = JSON.parse(document.getElementById(id + "-data").textContent);
    const n = data.n, places = new Uint16Array(bytes(data.places)), count = (x) => x.toLocaleString("en");
    const values = data.values ? new Float32Array(bytes(data.values)) : null;
    const codes = data.codes ? new (data.wide ? Uint32Array : Uint16Array)(bytes(data.codes)) : null;
    const darkness = matchMedia("(prefers-color-scheme: dark)"), BUCKETS = 64;
    // What is drawn alike shares a slot: a label, or a step of the scale; the last is for rows without a value.
    const slot = new Uint32Array(n), slots = codes ? data.labels.length : values ? BUCKETS + 1 : 1;
    // New rows on a stored map: those behind the first `stored`. A part of the rows has slots of its own: 0 for new rows,
    // 1 for those far from all, 2 for those that were there before.
    const stored = data.stored || 0, placed = data.stored !== undefined, parts = placed ? 3 : 1;
    const far = placed ? new Uint8Array(bytes(data.far)) : null, told4 = (key) => data[key] && new Float32Array(bytes(data[key]));
    const distances = told4("distances"), kept = told4("kept");
    const nearestRows = data.nearest ? new Int32Array(bytes(data.nearest)) : null;
    const partOf = (i) => !placed ? 0 : i < stored ? 2 : far[i - stored] ? 1 : 0;
    const labelled = (part) => codes && (!data.labelled || data.labelled[part === 2 ? 0 : 1]);
    for (let i = 0; i < n; i++) slot[i] = (codes ? codes[i] : values ? bucket(values[i]) : 0) + slots * partOf(i);
    const label = (i) => labelled(partOf(i)) ? codes[i] : -1, total = slots * parts;
    const chosen = new Set(), chosenParts = new Set(), matches = new Uint8Array(n);
    let searching = false, found = [], scale = 1, left = 0, top = 0, wide = 0, high = 0, ratio = 1;
    let shown = -1, pinned = false, waiting = false;

    function bucket(value) {
      if (!Number.isFinite(value)) return BUCKETS;
      const share = (value - data.ends[0]) / (data.ends[1] - data.ends[0]);
      return Math.min(Math.max(Math.floor(share * BUCKETS), 0), BUCKETS - 1);
    }

    function colour(at) {
      const dark = darkness.matches ? 1 : 0, part = Math.floor(at / slots), place = at % slots;
      if (part === 2) return labelled(2) ? paled(data.labels[place][2 + dark], dark) : data.before[dark];
      if (!labelled(part)) return values ? place === BUCKETS ? data.none[dark] : between(data.scale, (place + 0.5) / BUCKETS)
        : data.one[dark];
      const own = (label) => data.labels[label][2 + dark];
      if (data.labels[place][5] !== "other" || !chosen.has(place)) return own(place);
      // One of the many grey labels, picked out: it gets a hue that is free.
      const greys = [...chosen].filter((label) => data.labels[label][5] === "other"), taken = [...chosen].map(own);
      const free = data.hues[dark].filter((hue) => !taken.includes(hue));
      return free[greys.indexOf(place)] || own(place);
    }

    const markerOf = (at) => labelled(Math.floor(at / slots)) ? data.labels[at % slots][4] : "circle";
    const hollow = (at) => Math.floor(at / slots) === 1;
    const grey = (at) => labelled(Math.floor(at / slots)) ? data.labels[at % slots][5] !== "named"
      : values ? at % slots === BUCKETS : false;
    const rank = (at) => at >= 2 * slots ? 0 : hollow(at) ? 3 : grey(at) ? 1 : 2;
    const visible = (i) => (chosen.size === 0 || label(i) < 0 || chosen.has(label(i)))
      && (chosenParts.size === 0 || chosenParts.has(partOf(i)));
    const number = (i) => count(i < stored ? i : i - stored);
    const hasText = (i) => data.texts && data.texts[i] !== null;
    const title = (i) => hasText(i) ? data.texts[i] : "row " + number(i);
    const sign = (i) => symbol(markerOf(slot[i]), colour(slot[i]), hollow(slot[i]));

    // The page.
    host.textContent = "";
    const header = make("header", host);
    make("h2", header, { dir: "auto" }, data.title || "Map");
    if (data.caption) make("p", header, { dir: "auto" }, data.caption);
    const stage = make("div", host, { class: "stage" });
    const canvas = make("canvas", stage, { class: "points", tabindex: "0", role: "img", "aria-label":
      `Map of ${count(n)} rows. Arrow keys move it, plus and minus zoom, 0 shows all of it. Search finds rows by their text.` });
    const tools = make("div", stage, { class: "tools", role: "group", "aria-label": "view" });
    const button = (text, label, act) => make("button", tools, { type: "button", "aria-label": label, title: label },
      text).addEventListener("click", act);
    button("+", "zoom in", () => zoom(1.5));
    button("−", "zoom out", () => zoom(1 / 1.5));
    button("all", "show the whole map", fit);
    const card = make("div", stage, { class: "card", role: "status", hidden: "" });
    const aside = make("aside", host, { "aria-label": "search and legend" });
    const search = make("div", aside, { class: "search" });
    const field = make("input", search, { type: "search", placeholder:
      "Search " + [data.texts && "texts", codes && "labels"].filter(Boolean).join(" and "), "aria-label": "search",
      autocomplete: "off", spellcheck: "false" });
    field.hidden = !data.texts && !codes;
    aside.hidden = field.hidden && !values && !placed;
    host.classList.toggle("bare", aside.hidden);
    const told = make("p", search, { class: "told", role: "status" }, "");
    const lists = make("div", aside, { class: "lists" });
    const results = make("ul", lists, { class: "found", "aria-label": "rows found" });
    const legend = make("div", lists);

    function drawLegend() {
      legend.textContent = "";
      if (placed) drawParts();
      if (values) {
        make("h3", legend, {}, data.legend || "value");
        const stops = data.scale.map((c) => c).join(",");
        make("div", legend, { class: "ramp" }).style.background = `linear-gradient(to right, ${stops})`;
        const ends = make("div", legend, { class: "ends" });
        const far = [values.some((v) => v < data.ends[0]) ? "≤ " : "", values.some((v) => v > data.ends[1]) ? "≥ " : ""];
        data.ends.forEach((end, at) => make("span", ends, {}, far[at] + String(Number(end.toPrecision(4)))));
        return;
      }
      if (!codes) return;
      const head = make("h3", legend);
      make("span", head, { dir: "auto" }, data.legend || "label");
      if (chosen.size) make("button", head, { type: "button" }, "show all").addEventListener("click", () => {
        chosen.clear();
        filtered();
        legend.querySelector(".labels button").focus();
      });
      const list = make("ul", legend, { class: "labels" + (chosen.size ? " off" : "") });
      data.labels.slice(0, LEGEND).forEach(([name, size], place) => {
        const entry = make("button", make("li", list), { type: "button", "aria-pressed": chosen.has(place), title: name,
          "aria-label": `${name}, ${count(size)} rows` });
        entry.append(symbol(data.labels[place][4], colour(place + (labelled(0) ? 0 : 2 * slots))));
        make("span", entry, { dir: "auto" }, name);
        make("b", entry, {}, count(size));
        entry.addEventListener("click", () => {
          if (!chosen.delete(place)) chosen.add(place);
          filtered();
          legend.querySelectorAll(".labels button")[place].focus();
        });
      });
      if (data.labels.length > LEGEND) make("p", legend, { class: "told" },
        `and ${count(data.labels.length - LEGEND)} labels more: search finds them`);
    }

    // New rows, those far from all, and those that were there before, each to be looked at alone.
    function drawParts() {
      make("h3", legend, {}, "rows");
      const list = make("ul", legend, { class: "parts" + (chosenParts.size ? " off" : "") }), dark = darkness.matches ? 1 : 0;
      const counts = [0, 0, 0], plain = codes || values ? getComputedStyle(host).color : data.one[dark];
      for (let i = 0; i < n; i++) counts[partOf(i)]++;
      ["new", "new, far from all", "on the map before"].forEach((name, part) => {
        if (!counts[part]) return;
        const entry = make("button", make("li", list), { type: "button", "aria-pressed": chosenParts.has(part), title: name,
          "aria-label": `${name}, ${count(counts[part])} rows`, "data-part": part });
        entry.append(symbol("circle", part === 2 ? data.before[dark] : plain, part === 1));
        make("span", entry, {}, name);
        make("b", entry, {}, count(counts[part]));
        entry.addEventListener("click", () => {
          if (!chosenParts.delete(part)) chosenParts.add(part);
          filtered();
          legend.querySelector(`[data-part="${part}"]`).focus();
        });
      });
    }

    function filtered() {
      hide();
      drawLegend();
      find();
    }

    // Drawing.
    const whole = () => Math.min(wide, high) * 0.92 / 65535;
    const each = (of) => Array.from({ length: total }, (_, at) => of(at));
    const painter = new penultPainter(canvas, places, slot, each(markerOf), each(hollow), each((at) => at < 2 * slots ? 0 : 1));

    function dotRadius(part = 0) {
      const zoomed = Math.min(Math.max(Math.sqrt(scale / whole()), 1), 3.5);
      const radius = (rows, least) => Math.min(Math.max(100 / Math.sqrt(rows), least), 4.5) * zoomed;
      return part === 2 ? radius(stored, 1.1) : radius(n - stored, placed ? 2.6 : 1.1) * (placed ? 0.9 : 1);
    }

    function sort() {
      const ranks = each(rank);
      painter.sort((i) => !visible(i) ? -1 : matches[i] ? 4 : ranks[slot[i]], each(colour));
    }

    function draw() {
      waiting = false;
      const view = { scale, left, top, ratio }, { color, backgroundColor } = getComputedStyle(host);
      const alpha = n > 20000 ? (codes || values ? 0.7 : 0.3) : n > 2000 ? 0.8 : 0.9;
      painter.draw(view, placed ? [dotRadius(), dotRadius(2)] : [dotRadius()], 1, alpha * (searching ? 0.2 : 1), backgroundColor);
      if (found.length <= 1000) for (const i of found) painter.ring(view, i, dotRadius(partOf(i)) + 1.5, color, 1);
      if (shown >= 0) painter.ring(view, shown, dotRadius(partOf(shown)) + 1.5, color, 2.5);
    }

    function redraw() {
      if (!waiting) requestAnimationFrame(draw);
      waiting = true;
    }

    // Moving.
    function fit() {
      let right = 0, bottom = 0;
      for (let i = 0; i < n; i++) {
        right = Math.max(right, places[2 * i]);
        bottom = Math.max(bottom, places[2 * i + 1]);
      }
      scale = Math.min(wide * 0.92 / Math.max(right, 1), high * 0.92 / Math.max(bottom, 1), 4 * whole());
      left = (wide - right * scale) / 2;
      top = (high - bottom * scale) / 2;
      moved();
    }

    function zoom(factor, x = wide / 2, y = high / 2) {
      const next = Math.min(Math.max(scale * factor, whole() / 3), whole() * 400);
      left = x - (x - left) * next / scale;
      top = y - (y - top) * next / scale;
      scale = next;
      moved();
    }

    function pan(dx, dy) {
      left += dx;
      top += dy;
      moved();
    }

    function moved() {
      if (pinned) place(); else hide();
      redraw();
    }

    const touches = new Map();
    let dragged = 0;
    canvas.addEventListener("pointerdown", (event) => {
      canvas.setPointerCapture(event.pointerId);
      touches.set(event.pointerId, [event.offsetX, event.offsetY]);
      dragged = 0;
    });
    canvas.addEventListener("pointermove", (event) => {
      const before = touches.get(event.pointerId), now = [event.offsetX, event.offsetY];
      if (!before) return pinned ? undefined : show(nearest(...now));
      touches.set(event.pointerId, now);
      const others = [...touches].filter(([key]) => key !== event.pointerId);
      dragged += Math.abs(now[0] - before[0]) + Math.abs(now[1] - before[1]);
      if (others.length) {
        const [x, y] = others[0][1], far = (p) => Math.hypot(p[0] - x, p[1] - y) || 1;
        zoom(far(now) / far(before), (now[0] + x) / 2, (now[1] + y) / 2);
      } else pan(now[0] - before[0], now[1] - before[1]);
    });
    for (const end of ["pointerup", "pointercancel"]) canvas.addEventListener(end, (event) => {
      if (end === "pointerup" && dragged < 5 && touches.size === 1) pin(nearest(event.offsetX, event.offsetY));
      touches.delete(event.pointerId);
    });
    canvas.addEventListener("pointerleave", () => pinned || hide());
    canvas.addEventListener("dblclick", (event) => zoom(2, event.offsetX, event.offsetY));
    // In a document that scrolls, the wheel scrolls it until the map has been clicked.
    const scrolls = () => document.documentElement.scrollHeight > innerHeight + 1;
    canvas.addEventListener("wheel", (event) => {
      if (scrolls() && document.activeElement !== canvas && !event.ctrlKey) return;
      event.preventDefault();
      zoom(Math.exp(-event.deltaY * (event.deltaMode ? 0.05 : 0.0016)), event.offsetX, event.offsetY);
    }, { passive: false });
    canvas.addEventListener("keydown", (event) => {
      const step = 60, acts = { ArrowLeft: () => pan(step, 0), ArrowRight: () => pan(-step, 0),
        ArrowUp: () => pan(0, step), ArrowDown: () => pan(0, -step), "+": () => zoom(1.4), "=": () => zoom(1.4),
        "-": () => zoom(1 / 1.4), 0: fit, Escape: hide };
      if (!acts[event.key] || event.ctrlKey || event.metaKey) return;
      event.preventDefault();
      acts[event.key]();
    });

    // The row under the pointer: places are sorted into a grid once.
    const GRID = 128, cells = new Map();
    const cellOf = (v) => Math.min(Math.floor(v * GRID / 65536), GRID - 1);
    for (let i = 0; i < n; i++) {
      const cell = cellOf(places[2 * i + 1]) * GRID + cellOf(places[2 * i]);
      if (cells.has(cell)) cells.get(cell).push(i); else cells.set(cell, [i]);
    }

    function nearest(x, y) {
      const reach = Math.max(REACH, dotRadius() + 3) / scale, px = (x - left) / scale, py = (y - top) / scale;
      const clamp = (v) => cellOf(Math.min(Math.max(v, 0), 65535));
      let best = -1, least = reach * reach;
      for (let row = clamp(py - reach); row <= clamp(py + reach); row++)
        for (let column = clamp(px - reach); column <= clamp(px + reach); column++)
          for (const i of cells.get(row * GRID + column) || []) {
            // A new row is what one looks for, also where it lies among others.
            const away = ((places[2 * i] - px) ** 2 + (places[2 * i + 1] - py) ** 2) * (i < stored ? 4 : 1);
            if (away < least && visible(i) && (!searching || matches[i])) [best, least] = [i, away];
          }
      return best;
    }

    function show(i) {
      if (i < 0) return hide();
      if (i !== shown) {
        shown = i;
        card.textContent = "";
        make("div", card, { dir: "auto" }, title(i));
        const line = make("small", card);
        if (codes || placed) line.append(sign(i));
        make("span", line, { dir: "auto" }, facts(i).filter(Boolean).join(" · "));
        const near = nearestRows && i >= stored ? nearestRows[i - stored] : -1;
        if (near >= 0) make("small", card, { dir: "auto" }, "nearest on the map: " + title(near)
          + (hasText(near) ? " (row " + number(near) + ")" : ""));
        card.hidden = false;
        redraw();
      }
      place();
    }

    // What there is to say of a row, beside its text.
    function facts(i) {
      const digits = (value, many) => String(Number(value.toPrecision(many))), part = partOf(i);
      const value = values && i >= stored && Number.isFinite(values[i]) ? digits(values[i], 6) : "";
      const distance = distances && i >= stored ? "distance " + digits(distances[i - stored], 3) : "";
      const limit = part === 1 && data.limit !== undefined ? ", far is beyond " + digits(data.limit, 3) : "";
      return [label(i) >= 0 ? data.labels[label(i)][0] : value, hasText(i) ? "row " + number(i) : "",
        placed ? ["new", "far from all", "on the map before"][part] : "", distance + limit,
        kept && Number.isFinite(kept[i]) ? `neighbours kept ${Math.round(100 * kept[i])} %` : ""];
    }

    function place() {
      if (shown < 0) return;
      const x = places[2 * shown] * scale + left, y = places[2 * shown + 1] * scale + top;
      card.style.left = Math.max(4, Math.min(x + 14, wide - card.offsetWidth - 4)) + "px";
      const below = y + 14, over = y - 14 - card.offsetHeight;
      card.style.top = Math.max(4, below + card.offsetHeight > high && over > 0 ? over : below) + "px";
    }

    function pin(i) {
      pinned = false;
      show(i);
      pinned = i >= 0;
    }

    function hide() {
      if (shown >= 0) redraw();
      shown = -1;
      pinned = false;
      card.hidden = true;
    }

    // Searching.
    const lower = data.texts ? data.texts.map((text) => (text || "").toLowerCase()) : null;
    const names = codes ? data.labels.map(([name]) => name.toLowerCase()) : null;

    function find() {
      const wanted = field.value.trim().toLowerCase();
      searching = wanted !== "";
      found = [];
      matches.fill(0);
      results.textContent = "";
      const named = searching && names ? names.map((name) => name.includes(wanted)) : null;
      // New rows first.
      for (let k = 0; searching && k < n; k++) {
        const i = (k + stored) % n;
        if (!visible(i) || !((lower && lower[i].includes(wanted)) || (named && label(i) >= 0 && named[label(i)]))) continue;
        matches[i] = 1;
        found.push(i);
      }
      let among = 0;
      for (let i = 0; i < n; i++) among += visible(i);
      told.textContent = searching ? `${count(found.length)} of ${count(among)} rows` :
        chosen.size || chosenParts.size ? `${count(among)} of ${count(n)} rows shown` :
        placed ? `${count(n - stored)} new rows, ${count(stored)} before` : `${count(n)} rows`;
      for (const i of found.slice(0, FOUND)) {
        const entry = make("button", make("li", results), { type: "button" });
        entry.append(sign(i));
        make("span", entry, { dir: "auto" }, title(i));
        entry.addEventListener("click", () => visit(i));
      }
      if (found.length > FOUND) make("li", results, { class: "told" }, `and ${count(found.length - FOUND)} more on the map`);
      sort();
      redraw();
    }

    function visit(i) {
      const x = places[2 * i] * scale + left, y = places[2 * i + 1] * scale + top;
      if (x < 40 || y < 40 || x > wide - 40 || y > high - 40) pan(wide / 2 - x, high / 2 - y);
      pin(i);
    }

    let timer = 0;
    field.addEventListener("input", () => {
      clearTimeout(timer);
      hide();
      timer = setTimeout(find, n > 5000 ? 120 : 0);
    });
    field.addEventListener("keydown", (event) => {
      if (event.key === "Enter" && found.length) visit(found[(found.indexOf(shown) + 1) % found.length]);
    });

    function resize() {
      const before = wide;
      wide = stage.clientWidth;
      high = stage.clientHeight;
      ratio = window.devicePixelRatio || 1;
      canvas.width = Math.round(wide * ratio);
      canvas.height = Math.round(high * ratio);
      if (before) redraw(); else if (wide) fit();
    }

    darkness.addEventListener("change", () => {
      drawLegend();
      find();
    });
    new ResizeObserver(resize).observe(stage);
    drawLegend();
    find();
    resize();
  };
})();

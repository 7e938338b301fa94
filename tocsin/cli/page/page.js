"use strict";
(() => {
  // Draws what the tables say. No text of a stranger ever becomes markup: only textContent and attributes are set.
  const data = JSON.parse(document.getElementById("data").textContent);
  const topics = data.topics.map((topic, n) => ({ ...topic, hue: n % 5, dash: Math.floor(n / 5) % 3 }));
  const boxes = [...document.querySelectorAll("#chooser input")];
  const chosen = new Set(boxes.filter((box) => box.checked).map((box) => box.value));
  const SVG = "http://www.w3.org/2000/svg";
  const measure = document.getElementById("measure");
  const shown = () => topics.filter((topic) => chosen.has(topic.name));

  const draw = (parent, name, attributes, text) => {
    const made = document.createElementNS(SVG, name);
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    if (text !== undefined) made.textContent = text;
    parent.append(made);
    return made;
  };
  const make = (parent, name, text) => {
    const made = document.createElement(name);
    if (text !== undefined) made.textContent = text;
    parent.append(made);
    return made;
  };
  const percent = (value) => (100 * value).toFixed(100 * value < 9.95 ? 2 : 1) + "%";
  const swatch = (parent, topic) => {
    const svg = draw(parent, "svg", { class: "swatch", viewBox: "0 0 26 12", "aria-hidden": "true" });
    draw(svg, "path", { d: "M0 6H26", class: `l s${topic.hue} dash${topic.dash}` });
  };
  const nice = (top) => {
    const step = 10 ** Math.floor(Math.log10(top / 4 || 1));
    return [1, 2, 2.5, 5, 10].map((n) => n * step).find((n) => top / n <= 4.5);
  };
  const every = (values, key) => {
    const found = new Map();
    for (const row of values) {
      if (!found.has(row[key])) found.set(row[key], new Map());
      found.get(row[key]).set(row.t || row.topic, row);
    }
    return found;
  };

  // ---------------------------------------------------------------- one chart: drawing, pointer, keys, readout

  const charts = [];
  const addChart = (id, chart) => {
    const box = document.getElementById(id);
    if (!chart.names.length) {
      make(box, "p", "Nothing on these days.");
      box.classList.remove("chart", "tall");
      return;
    }
    const readout = document.getElementById(id + "-readout");
    let at = chart.start, width = 0, place = () => 0, mark = null;
    box.tabIndex = 0;
    box.setAttribute("role", "slider");
    box.setAttribute("aria-label", `${box.dataset.name}: choose with the arrow keys`);
    box.setAttribute("aria-orientation", chart.vertical ? "vertical" : "horizontal");
    box.setAttribute("aria-valuemin", 0);
    box.setAttribute("aria-valuemax", chart.names.length - 1);
    const say = () => {
      const said = shown().map((topic) => [topic, chart.value(at, topic)]);
      readout.replaceChildren();
      make(readout, "b", chart.names[at]).dir = "auto";
      for (const [topic, value] of said) {
        const item = make(readout, "span");
        swatch(item, topic);
        item.append(`${topic.label} ${value}`);
      }
      box.setAttribute("aria-valuenow", at);
      box.setAttribute("aria-valuetext", [chart.names[at], ...said.map(([topic, value]) => `${topic.label} ${value}`)].join(", "));
      if (mark) mark(at);
    };
    const redraw = () => {
      width = box.clientWidth;
      const svg = document.createElementNS(SVG, "svg");
      svg.setAttribute("viewBox", `0 0 ${width} ${box.clientHeight}`);
      svg.setAttribute("aria-hidden", "true");
      [place, mark] = chart.draw(svg, width, box.clientHeight);
      box.replaceChildren(svg);
      say();
    };
    const move = (to) => {
      const next = Math.max(0, Math.min(chart.names.length - 1, to));
      if (next !== at) { at = next; say(); }
    };
    box.addEventListener("pointermove", (event) => {
      const frame = box.getBoundingClientRect();
      move(place(event.clientX - frame.left, event.clientY - frame.top));
    });
    box.addEventListener("pointerdown", (event) => {
      const frame = box.getBoundingClientRect();
      move(place(event.clientX - frame.left, event.clientY - frame.top));
    });
    const last = chart.names.length - 1;
    const back = chart.vertical ? { ArrowUp: 1, ArrowLeft: 1 } : { ArrowLeft: 1, ArrowDown: 1 };
    const forth = chart.vertical ? { ArrowDown: 1, ArrowRight: 1 } : { ArrowRight: 1, ArrowUp: 1 };
    box.addEventListener("keydown", (event) => {
      const step = event.key in back ? -1 : event.key in forth ? 1 : event.key === "PageUp" ? -7 : event.key === "PageDown" ? 7 : 0;
      if (event.key === "Home") move(0);
      else if (event.key === "End") move(last);
      else if (step) move(at + step);
      else return;
      event.preventDefault();
    });
    new ResizeObserver(() => { if (box.clientWidth !== width) redraw(); }).observe(box);
    charts.push(redraw);
    redraw();
  };

  const scaleY = (svg, top, [left, right, up, down], format) => {
    const step = nice(top || 1), y = (value) => down - (value / (top || 1)) * (down - up);
    for (let value = 0; value <= (top || 1) * 1.0001; value += step) {
      draw(svg, "path", { d: `M${left} ${y(value)}H${right}`, class: value ? "grid" : "axis" });
      draw(svg, "text", { x: left - 6, y: y(value) + 4, "text-anchor": "end" }, format(value));
    }
    return y;
  };
  const MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
  const short = (day) => `${Number(day.slice(8))} ${MONTHS[Number(day.slice(5, 7)) - 1]}`;
  const hatch = (svg, id) => {
    const defs = draw(svg, "defs", {});
    for (const topic of topics.filter((each) => each.dash)) {
      const pattern = draw(defs, "pattern", { id: `${id}${topic.hue}-${topic.dash}`, width: 3 + 2 * topic.dash, height: 6,
        patternUnits: "userSpaceOnUse", patternTransform: "rotate(45)" });
      draw(pattern, "rect", { width: 9, height: 6, class: "ground" });
      draw(pattern, "rect", { width: 2.6, height: 6, class: `f${topic.hue}` });
    }
  };
  const block = (svg, id, topic, attributes) => {
    const painted = topic.dash ? { fill: `url(#${id}${topic.hue}-${topic.dash})` } : { class: `f${topic.hue}` };
    draw(svg, "rect", { ...attributes, ...painted });
    if (topic.dash) draw(svg, "rect", { ...attributes, fill: "none", class: `s${topic.hue}`, "stroke-width": 1 });
  };

  // ---------------------------------------------------------------- trends

  const byDay = every(data.days, "d");
  const days = [];
  if (byDay.size) {
    const known = [...byDay.keys()].sort();
    for (let t = Date.parse(known[0]); t <= Date.parse(known[known.length - 1]); t += 864e5)
      days.push(new Date(t).toISOString().slice(0, 10));
  }
  const trendValue = (day, topic) => {
    const row = byDay.get(day) && byDay.get(day).get(topic.name);
    return row ? row[measure.value] : null;
  };
  const isShare = () => measure.value !== "m";
  addChart("trend-chart", {
    names: days,
    start: days.length - 1,
    value: (n, topic) => {
      const value = trendValue(days[n], topic);
      return value === null ? "–" : isShare() ? percent(value) : String(value);
    },
    draw: (svg, width, height) => {
      const values = shown().map((topic) => days.map((day) => trendValue(day, topic)));
      const top = 1.05 * Math.max(0, ...values.flat().filter((value) => value !== null)) || (isShare() ? 0.01 : 1);
      const wide = width > 700, frame = [46, width - (wide ? 190 : 12), 12, height - 26];
      const y = scaleY(svg, top, frame, (value) => (isShare() ? `${+(100 * value).toFixed(2)}%` : `${+value.toFixed(1)}`));
      const x = (n) => frame[0] + (days.length < 2 ? 0.5 : n / (days.length - 1)) * (frame[1] - frame[0]);
      const mondays = days.map((day, n) => [day, n]).filter(([day]) => new Date(day).getUTCDay() === 1);
      const step = Math.ceil(mondays.length / Math.max(1, (frame[1] - frame[0]) / 75));
      mondays.forEach(([day, n], nth) => {
        draw(svg, "path", { d: `M${x(n)} ${frame[3]}v5`, class: "axis" });
        if (nth % step === 0) draw(svg, "text", { x: x(n), y: frame[3] + 19, "text-anchor": "middle" }, short(day));
      });
      const guide = draw(svg, "path", { class: "guide" });
      const ends = [];
      shown().forEach((topic, nth) => {
        let path = "", pen = "M", end = null;
        values[nth].forEach((value, n) => {
          if (value === null) { pen = "M"; return; }
          path += `${pen}${x(n).toFixed(1)} ${y(value).toFixed(1)}`;
          pen = "L"; end = [topic, y(value)];
        });
        draw(svg, "path", { d: path || "M0 0", class: `l s${topic.hue} dash${topic.dash}` });
        if (end) ends.push(end);
      });
      if (wide) {
        let ceiling = Infinity;
        for (const [topic, end] of ends.sort((a, b) => b[1] - a[1])) {
          ceiling = Math.min(end, ceiling - 16);
          draw(svg, "text", { x: frame[1] + 8, y: ceiling + 4, class: `name f${topic.hue}` }, topic.label);
        }
      }
      return [
        (px) => Math.round(((px - frame[0]) / (frame[1] - frame[0])) * (days.length - 1)),
        (n) => guide.setAttribute("d", `M${x(n)} ${frame[2]}V${frame[3]}`),
      ];
    },
  });

  // ---------------------------------------------------------------- weeks

  const byWeek = every(data.weeks, "week"), weeks = [...byWeek.keys()].sort();
  const count = (table, key, topic) => (table.get(key).get(topic.name) || { matches: 0 }).matches;
  addChart("week-chart", {
    names: weeks.map((week) => `Week from ${week}`),
    start: weeks.length - 1,
    value: (n, topic) => String(count(byWeek, weeks[n], topic)),
    draw: (svg, width, height) => {
      hatch(svg, "w");
      const sums = weeks.map((week) => shown().reduce((sum, topic) => sum + count(byWeek, week, topic), 0));
      const frame = [46, width - 8, 12, height - 26], top = Math.max(1, ...sums) * 1.05;
      const y = scaleY(svg, top, frame, (value) => `${+value.toFixed(1)}`);
      const wide = (frame[1] - frame[0]) / weeks.length, thick = Math.min(60, wide * 0.72);
      const step = Math.ceil(weeks.length / Math.max(1, (frame[1] - frame[0]) / 60));
      const band = draw(svg, "rect", { class: "band", y: frame[2], width: wide, height: frame[3] - frame[2] });
      weeks.forEach((week, n) => {
        const middle = frame[0] + (n + 0.5) * wide;
        let base = 0;
        for (const topic of shown()) {
          const value = count(byWeek, week, topic);
          if (value) block(svg, "w", topic, { x: middle - thick / 2, y: y(base + value), width: thick, height: Math.max(0.5, y(base) - y(base + value) - 1) });
          base += value;
        }
        if (n % step === 0) draw(svg, "text", { x: middle, y: frame[3] + 19, "text-anchor": "middle" }, short(week));
      });
      return [(px) => Math.floor((px - frame[0]) / wide), (n) => band.setAttribute("x", frame[0] + n * wide)];
    },
  });

  // ---------------------------------------------------------------- outlets

  const byOutlet = every(data.outlets, "outlet"), outlets = [...byOutlet.keys()];
  addChart("outlet-chart", {
    names: outlets,
    start: 0,
    vertical: true,
    value: (n, topic) => {
      const row = byOutlet.get(outlets[n]).get(topic.name);
      return row ? `${row.matches} of ${row.articles} (${percent(row.matches / row.articles)})` : "0";
    },
    draw: (svg, width, height) => {
      hatch(svg, "o");
      const left = width > 700 ? 190 : 128, signs = width > 700 ? 24 : 16;
      const sums = outlets.map((outlet) => shown().reduce((sum, topic) => sum + count(byOutlet, outlet, topic), 0));
      const tall = height / outlets.length, thick = Math.min(26, tall * 0.72), top = Math.max(1, ...sums);
      const x = (value) => (value / top) * (width - left - 50);
      const band = draw(svg, "rect", { class: "band", x: 0, width, height: tall });
      outlets.forEach((outlet, n) => {
        const middle = (n + 0.5) * tall, name = [...outlet];
        const cut = name.length > signs ? name.slice(0, signs - 1).join("") + "…" : outlet;
        draw(svg, "text", { x: left - 8, y: middle + 4, "text-anchor": "end" }, cut);
        let base = 0;
        for (const topic of shown()) {
          const value = count(byOutlet, outlet, topic);
          if (value) block(svg, "o", topic, { x: left + x(base), y: middle - thick / 2, width: Math.max(0.5, x(value) - 1), height: thick });
          base += value;
        }
        draw(svg, "text", { x: left + x(base) + 6, y: middle + 4 }, String(base));
      });
      return [(px, py) => Math.floor(py / tall), (n) => band.setAttribute("y", n * tall)];
    },
  });

  // ---------------------------------------------------------------- choosing

  const refresh = () => {
    for (const redraw of charts) redraw();
    for (const row of document.querySelectorAll("#stories tr[data-topic]")) row.hidden = !chosen.has(row.dataset.topic);
  };
  const form = document.getElementById("chooser");
  const choose = (box, wanted) => {
    box.checked = wanted;
    if (wanted) chosen.add(box.value); else chosen.delete(box.value);
  };
  for (const box of boxes) box.addEventListener("change", () => { choose(box, box.checked); refresh(); });
  for (const button of form.querySelectorAll("button"))
    button.addEventListener("click", () => { for (const box of boxes) choose(box, button.value === "all"); refresh(); });
  form.addEventListener("submit", (event) => event.preventDefault());
  measure.addEventListener("change", refresh);
  window.addEventListener("pageshow", () => { for (const box of boxes) choose(box, box.checked); refresh(); });
  refresh();
})();

// The picture of the wood: creatures on a clearing, and what goes from whom to whom. It knows neither server nor charts.

import { creature, el, good, mouth } from "/creatures.js";

const FLIGHT_MS = 1300, SPREAD_MS = 1100, MOST_FLYING = 40;
const still = matchMedia("(prefers-reduced-motion: reduce)");

// A number from 0 to 1 that is the same in each browser: the trees stand where they stood.
const chance = (seed) => {
  const x = Math.sin(seed * 127.1 + 311.7) * 43758.5453;
  return x - Math.floor(x);
};

function ridge(width, base, height, waves, seed) {
  const steps = 48, points = [];
  for (let i = 0; i <= steps; i++) {
    const x = (i / steps) * width, t = (i / steps) * Math.PI * 2;
    const y = base - height * (0.5 + 0.32 * Math.sin(t * waves + seed) + 0.18 * Math.sin(t * waves * 2.7 + seed * 3));
    points.push(`${x.toFixed(0)} ${y.toFixed(1)}`);
  }
  return points.join("L");
}

function fir(x, y, size, depth) {
  const tiers = [0, 1, 2].map((i) => {
    const top = -size + i * size * 0.24, w = size * (0.2 + 0.11 * i), bottom = top + size * 0.42;
    return `M0 ${top.toFixed(1)}L${w.toFixed(1)} ${bottom.toFixed(1)}Q0 ${(bottom - size * 0.07).toFixed(1)} ${(-w).toFixed(1)} ${bottom.toFixed(1)}Z`;
  });
  return el("g", { transform: `translate(${x.toFixed(0)} ${y.toFixed(0)})`, class: `tree fir depth${depth}` },
    el("rect", { x: -size * 0.04, y: -size * 0.18, width: size * 0.08, height: size * 0.18, class: "trunk" }),
    el("path", { d: tiers.join(""), class: "needles" }),
    el("path", { d: `M0 ${-size}L${size * 0.15} ${-size * 0.68}Q0 ${-size * 0.76} ${-size * 0.15} ${-size * 0.68}Z`, class: "cap" }));
}

function oak(x, y, size, depth, seed) {
  const blobs = [[0, -0.74, 0.3], [-0.24, -0.58, 0.24], [0.25, -0.56, 0.25], [0.02, -0.5, 0.28], [-0.1, -0.9, 0.18]];
  return el("g", { transform: `translate(${x.toFixed(0)} ${y.toFixed(0)})`, class: `tree oak depth${depth}` },
    el("path", { d: `M${-size * 0.05} 0Q${-size * 0.02} ${-size * 0.3} ${-size * 0.14} ${-size * 0.5}L0 ${-size * 0.38}L${size * 0.15} ${-size * 0.52}Q${size * 0.03} ${-size * 0.3} ${size * 0.06} 0Z`, class: "trunk" }),
    ...blobs.map(([bx, by, r], i) => el("circle", { cx: bx * size, cy: by * size, r: r * size, class: `leaves tint${(i + Math.floor(seed * 3)) % 3}` })),
    el("path", { d: `M${-size * 0.28} ${-size * 0.78}Q0 ${-size * 1.2} ${size * 0.28} ${-size * 0.8}Q0 ${-size * 0.94} ${-size * 0.28} ${-size * 0.78}Z`, class: "cap" }));
}

export class Wood {
  constructor(into, bubbles, hover, open) {
    this.into = into; this.bubbles = bubbles; this.hover = hover; this.open = open;
    this.flying = []; this.figures = []; this.state = null;
    new ResizeObserver(() => this.fit()).observe(into);
  }

  begin(about) {
    this.about = about;
    this.colours = about.goods.map((_, i) => `var(--good-${(i % 8) + 1})`);
    this.draw();
  }

  fit() {
    if (!this.about) return;
    const narrow = this.into.clientWidth < 700;
    if (narrow !== this.narrow) this.draw();
    else if (this.state) this.speak(this.state.said ?? []);
  }

  draw() {
    const { about } = this;
    this.narrow = this.into.clientWidth < 700;
    const [W, H] = this.narrow ? [640, 760] : [1400, 600];
    this.W = W; this.H = H;
    // Three pictures above each other: what stands still is not drawn again while things fly.
    const layer = (kind, more) => el("svg", { viewBox: `0 0 ${W} ${H}`, class: kind, ...more });
    this.land = layer("land", { "aria-hidden": "true" });
    this.svg = layer("folk", { role: "group", "aria-label": "creatures" });
    this.flights = layer("flights", { "aria-hidden": "true" });
    this.into.dataset.season = this.state?.season ?? "";
    this.land.append(...this.landscape(W, H));
    const creatures = el("g", { class: "creatures" });
    this.figures = this.placed(W, H).map((f) => this.figure(f, creatures));
    // Whoever stands nearer stands in front.
    [...this.figures].sort((a, b) => a.y - b.y).forEach((f) => creatures.append(f.node));
    this.svg.append(creatures);
    this.flying = [];
    this.into.replaceChildren(this.land, this.weather(), this.svg, this.flights);
    if (this.state) this.show(this.state, false);
  }

  landscape(W, H) {
    const horizon = H * (this.narrow ? 0.3 : 0.4), far = [], near = [];
    const stop = (offset, name) => el("stop", { offset, class: name });
    const defs = el("defs", {},
      el("linearGradient", { id: "sky", x1: 0, y1: 0, x2: 0, y2: 1 }, stop(0, "sky-top"), stop(1, "sky-low")),
      el("linearGradient", { id: "meadow", x1: 0, y1: 0, x2: 0, y2: 1 }, stop(0, "meadow-far"), stop(1, "meadow-near")),
      el("radialGradient", { id: "glow" }, stop(0, "glow-in"), stop(1, "glow-out")));
    const count = this.narrow ? 16 : 34;
    for (let i = 0; i < count; i++) {
      const x = ((i + chance(i)) / count) * W, size = H * (0.16 + 0.1 * chance(i + 50));
      far.push(chance(i + 9) < 0.62 ? fir(x, horizon + 6 + 10 * chance(i + 3), size, 2) : oak(x, horizon + 8 + 10 * chance(i + 3), size * 0.95, 2, chance(i + 70)));
    }
    // Great trees frame the clearing at both sides.
    const sides = this.narrow ? [[0.02, 0.44, 0.3], [0.97, 0.46, 0.32]] : [[0.02, 0.62, 0.5], [0.085, 0.5, 0.38], [0.975, 0.64, 0.52], [0.91, 0.5, 0.4]];
    sides.forEach(([x, y, s], i) => near.push(i % 2 ? oak(x * W, y * H, s * H, 1, chance(i + 5)) : fir(x * W, y * H, s * H, 1)));
    const stars = Array.from({ length: 50 }, (_, i) => el("circle", { cx: chance(i + 200) * W, cy: chance(i + 300) * horizon * 0.75, r: 0.6 + 1.1 * chance(i + 400) }));
    const tufts = Array.from({ length: this.narrow ? 26 : 60 }, (_, i) => {
      const x = chance(i + 500) * W, y = horizon + 40 + (H - horizon - 50) * chance(i + 600), s = 4 + 6 * ((y - horizon) / (H - horizon));
      return el("path", { d: `M${x} ${y}q${-s * 0.4} ${-s} ${-s * 0.9} ${-s * 1.3}M${x} ${y}q0 ${-s} ${s * 0.1} ${-s * 1.7}M${x} ${y}q${s * 0.4} ${-s} ${s * 0.9} ${-s * 1.2}` });
    });
    const stream = `M${W * 0.56} ${horizon + 4}C${W * 0.5} ${horizon + H * 0.1} ${W * 0.64} ${horizon + H * 0.16} ${W * 0.55} ${horizon + H * 0.26}S${W * 0.42} ${H * 0.88} ${W * 0.5} ${H + 10}`;
    return [defs,
      el("rect", { width: W, height: H, fill: "url(#sky)" }),
      el("g", { class: "stars" }, ...stars),
      el("circle", { cx: W * 0.82, cy: horizon * 0.36, r: H * 0.16, fill: "url(#glow)" }),
      el("circle", { cx: W * 0.82, cy: horizon * 0.36, r: H * 0.045, class: "sun" }),
      el("path", { d: `M0 ${H}L${ridge(W, horizon + 10, H * 0.24, 1.3, 1)}L${W} ${H}Z`, class: "hill far" }),
      el("path", { d: `M0 ${H}L${ridge(W, horizon + 16, H * 0.15, 2.1, 4)}L${W} ${H}Z`, class: "hill" }),
      ...far,
      el("path", { d: `M0 ${H}L${ridge(W, horizon + 26, H * 0.05, 1.1, 2)}L${W} ${H}Z`, fill: "url(#meadow)" }),
      el("path", { d: stream, class: "bank" }), el("path", { d: stream, class: "stream" }),
      el("ellipse", { cx: W / 2, cy: H * 0.7, rx: W * 0.42, ry: H * 0.25, class: "clearing" }),
      el("g", { class: "tufts" }, ...tufts), ...near];
  }

  // Kinds stand side by side, each in its part of the clearing, in rows that are nearer and larger towards the front.
  placed(W, H) {
    const kinds = this.about.kinds.map((_, kind) => this.about.figures.map((f, i) => [f, i]).filter(([f]) => f[2] === kind)).filter((of) => of.length);
    const columns = this.narrow ? Math.min(kinds.length, 2) : kinds.length, bands = Math.ceil(kinds.length / columns);
    const top = H * (this.narrow ? 0.37 : 0.5), bottom = H * 0.965, band = (bottom - top) / bands, spots = [];
    kinds.forEach((of, k) => {
      const b = Math.floor(k / columns), inBand = Math.min(columns, kinds.length - b * columns), c = k % columns;
      const margin = W * (this.narrow ? 0.03 : 0.06), wide = (W - 2 * margin) / inBand, left = margin + c * wide;
      const rows = Math.max(1, Math.min(bands > 1 ? 2 : 3, Math.ceil(of.length / 2))), each = Math.ceil(of.length / rows);
      of.forEach(([f, index], n) => {
        const row = Math.floor(n / each), inRow = Math.min(each, of.length - row * each), t = (n % each + 0.5) / inRow;
        const y = top + band * b + band * ((row + 0.72) / (rows + 0.1));
        const shift = (row % 2 ? 0.16 : -0.16) * (wide / each) + (chance(index + 40) - 0.5) * 10;
        const x = left + wide * (0.06 + 0.88 * t) + shift;
        const depth = (y - top) / (bottom - top);
        const most = Math.min(1.65, (wide * 0.98) / each / 50);
        spots[index] = { index, first: f[0], size: f[1], kind: f[2], mind: f[3], x, y: y + (chance(index + 90) - 0.5) * 8, scale: most * (0.78 + 0.3 * depth) };
      });
    });
    return spots;
  }

  figure(spot, parent) {
    const name = this.about.kinds[spot.kind], called = spot.size > 1 ? `${name}s ${spot.first} and ${spot.size - 1} more` : `${name} ${spot.first}`;
    const body = el("g", { class: "body" }, creature(name, spot.kind)), face = el("g");
    const shade = el("ellipse", { cx: 32, cy: 62, rx: 21, ry: 5, class: "shade" });
    const inner = el("g", { class: "inner" }, body, face);
    const node = el("g", { class: "figure", tabindex: 0, role: "button", "aria-label": `open ${called}` }, shade, inner);
    const figure = { ...spot, name, called, node, face, shade, grow: 1 };
    this.put(figure);
    node.addEventListener("click", () => this.open(spot.first));
    node.addEventListener("keydown", (event) => { if (event.key === "Enter" || event.key === " ") { event.preventDefault(); this.open(spot.first); } });
    for (const on of ["pointerenter", "focus"]) node.addEventListener(on, () => this.tell(figure));
    for (const off of ["pointerleave", "blur"]) node.addEventListener(off, () => { this.hover.hidden = true; });
    return figure;
  }

  put(figure) {
    const s = figure.scale * figure.grow;
    figure.node.setAttribute("transform", `translate(${(figure.x - 32 * s).toFixed(1)} ${(figure.y - 62 * s).toFixed(1)}) scale(${s.toFixed(3)})`);
  }

  tell(figure) {
    const { state } = this, lines = [figure.called, figure.mind];
    if (state?.purses) lines.push(`${state.purses[figure.index].toLocaleString("en")} pebbles${figure.size > 1 ? " each, on average" : ""}`);
    if (state?.moods) lines.push(`mood ${state.moods[figure.index]} of 100`);
    this.hover.replaceChildren(...lines.map((line) => { const p = document.createElement("p"); p.textContent = line; return p; }));
    this.hover.hidden = false;
    this.pin(this.hover, figure.x, figure.y - 64 * figure.scale);
  }

  // Puts a box of the page over a point of the picture, within its borders.
  pin(box, x, y) {
    const scale = this.into.clientWidth / this.W, half = box.offsetWidth / 2;
    const left = Math.min(Math.max(x * scale, half + 6), this.into.clientWidth - half - 6);
    box.style.left = `${left.toFixed(0)}px`;
    box.style.top = `${Math.max(y * scale, box.offsetHeight + 6).toFixed(0)}px`;
  }

  // Leaves, snow or petals: boxes that only the compositor moves.
  weather() {
    const group = document.createElement("div");
    group.className = "weather";
    for (let i = 0; i < (this.narrow ? 12 : 26); i++) {
      const flake = document.createElement("i"), size = 4 + 5 * chance(i + 720);
      Object.assign(flake.style, { left: `${100 * chance(i + 700)}%`, width: `${size}px`, height: `${size * (0.6 + 0.4 * chance(i + 740))}px`, animationDelay: `${(-14 * chance(i + 760)).toFixed(2)}s`, animationDuration: `${(9 + 8 * chance(i + 780)).toFixed(2)}s` });
      flake.className = `f${i % 3}`;
      group.append(flake);
    }
    return group;
  }

  show(state, moving = true) {
    this.state = state;
    if (!this.svg) return;
    this.into.dataset.season = state.season ?? "";
    const purses = (state.purses ?? []).filter((p) => p >= 0).sort((a, b) => a - b), median = purses[purses.length >> 1] || 1;
    this.figures.forEach((figure, i) => {
      const purse = state.purses?.[i] ?? median, mood = state.moods?.[i] ?? -1;
      figure.node.classList.toggle("gone", purse < 0);
      // The richer, the larger: twice the median is a seventh more.
      figure.grow = Math.min(Math.max(1 + 0.2 * Math.log2(Math.max(purse, 1) / median), 0.8), 1.28);
      this.put(figure);
      const look = mood < 0 ? "" : mood >= 55 ? "glad" : mood >= 38 ? "even" : "low";
      if (figure.look !== look) {
        figure.look = look;
        figure.face.replaceChildren(...[mouth(figure.name, mood)].filter(Boolean));
        figure.shade.setAttribute("class", `shade ${look}`);
      }
    });
    this.speak(state.said ?? []);
    if (moving && !document.hidden) this.fly(state.flows ?? []);
    else this.flights.replaceChildren();
  }

  fly(flows) {
    if (still.matches) return this.draw_lines(flows);
    const now = performance.now();
    for (const old of this.flights.querySelectorAll(".old")) old.remove();
    for (const [from, to, kind, lots] of flows.slice(0, MOST_FLYING)) {
      const a = this.figures[from], b = this.figures[to];
      if (!a || !b || this.flying.length >= 3 * MOST_FLYING) continue;
      const reach = Math.hypot(b.x - a.x, b.y - a.y), lift = 34 + reach * 0.2;
      const ends = { ax: a.x, ay: a.y - 34 * a.scale, bx: b.x, by: b.y - 34 * b.scale };
      const top = { x: (ends.ax + ends.bx) / 2, y: Math.min(ends.ay, ends.by) - lift };
      const line = el("path", { d: `M${ends.ax} ${ends.ay}Q${top.x} ${top.y} ${ends.bx} ${ends.by}`, class: "trail", pathLength: 1 });
      line.style.stroke = this.colours[kind];
      line.style.strokeWidth = `${Math.min(1.6 + Math.log2(1 + lots), 6)}px`;
      const thing = el("g", { class: "thing" }, good(this.about.goods[kind], this.colours[kind]));
      this.flights.append(line, thing);
      this.flying.push({ line, thing, colour: this.colours[kind], ...ends, top, buyer: b, size: Math.min(0.85 + 0.16 * Math.log2(lots + 1), 1.5), begun: now + Math.random() * SPREAD_MS });
    }
    if (!this.ticking) { this.ticking = true; requestAnimationFrame((t) => this.tick(t)); }
  }

  draw_lines(flows) {
    this.flights.replaceChildren(...flows.slice(0, MOST_FLYING).flatMap(([from, to, kind]) => {
      const a = this.figures[from], b = this.figures[to];
      if (!a || !b) return [];
      const line = el("path", { d: `M${a.x} ${a.y - 30}Q${(a.x + b.x) / 2} ${Math.min(a.y, b.y) - 110} ${b.x} ${b.y - 30}`, class: "trail" });
      line.style.stroke = this.colours[kind];
      line.style.opacity = 0.7;
      return [line];
    }));
  }

  tick(now) {
    // Thirty pictures a second are enough for things that fly.
    if (now - (this.ticked ?? 0) < 30) { requestAnimationFrame((t) => this.tick(t)); return; }
    this.ticked = now;
    this.flying = this.flying.filter((f) => {
      const t = (now - f.begun) / FLIGHT_MS;
      // Who has traded with whom stays to be seen, faintly, until the next round.
      if (t > 1.7) { f.thing.remove(); f.line.setAttribute("class", "trail old"); f.line.removeAttribute("style"); f.line.style.stroke = f.colour; return false; }
      const go = Math.min(Math.max(t, 0), 1), ease = go < 0.5 ? 2 * go * go : 1 - (2 - 2 * go) ** 2 / 2, u = 1 - ease;
      const x = u * u * f.ax + 2 * u * ease * f.top.x + ease * ease * f.bx, y = u * u * f.ay + 2 * u * ease * f.top.y + ease * ease * f.by;
      f.thing.setAttribute("transform", `translate(${(x - 12 * f.size).toFixed(1)} ${(y - 12 * f.size).toFixed(1)}) scale(${f.size.toFixed(2)})`);
      f.thing.style.opacity = t < 0 || t >= 1 ? 0 : 1;
      f.line.style.strokeDashoffset = (1 - ease).toFixed(3);
      f.line.style.opacity = t < 0 ? 0 : t > 1 ? 0.65 - 0.23 * Math.min((t - 1) / 0.7, 1) : 0.65;
      if (t >= 1 && !f.landed) {
        f.landed = true;
        f.buyer.node.classList.remove("got");
        requestAnimationFrame(() => f.buyer.node.classList.add("got"));
      }
      return true;
    });
    this.ticking = this.flying.length > 0;
    if (this.ticking) requestAnimationFrame((t) => this.tick(t));
  }

  speak(said) {
    const shown = said.slice(0, this.narrow ? 2 : 4).map(([trader, text, at]) => {
      const figure = this.figures[at];
      if (!figure || !text) return null;
      const box = document.createElement("p");
      // What creatures say is text, whatever it holds.
      box.textContent = text;
      return [box, figure];
    }).filter(Boolean);
    this.bubbles.replaceChildren(...shown.map(([box]) => box));
    for (const [box, figure] of shown) this.pin(box, figure.x, figure.y - 66 * figure.scale * figure.grow);
  }
}

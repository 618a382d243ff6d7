// Small charts over rounds as SVG. Numbers in, pictures out.

import { el } from "/creatures.js";

const W = 300, H = 84, PAD = 4;

// `lines` are [{values, colour, fill, width}], `bars` values below; `at` is the index that is looked at.
export function chart(into, { rounds, lines, bars, at, low = Infinity, high = -Infinity, height = H }) {
  const n = rounds.length, values = lines.flatMap((line) => [...line.values, ...(line.to ?? [])]).filter((v) => v != null);
  if (n < 1 || !values.length) { into.replaceChildren(); return; }
  const min = Math.min(low, ...values), max = Math.max(high, ...values), span = max - min || 1;
  const x = (i) => PAD + (n > 1 ? (i / (n - 1)) * (W - 2 * PAD) : (W - 2 * PAD) / 2);
  const floor = bars ? height - 20 : height - PAD, y = (v) => floor - ((v - min) / span) * (floor - PAD);
  const svg = el("svg", { viewBox: `0 0 ${W} ${height}`, preserveAspectRatio: "none", "aria-hidden": "true" });
  if (bars) {
    const top = Math.max(1, ...bars), wide = Math.max(0.6, (W - 2 * PAD) / n - 0.8);
    const d = bars.map((v, i) => `M${(x(i) - wide / 2).toFixed(1)} ${height}v${(-16 * v / top).toFixed(1)}h${wide.toFixed(1)}V${height}Z`).join("");
    svg.append(el("path", { d, class: "bars" }));
  }
  for (const line of lines) {
    const points = line.values.map((v, i) => (v == null ? null : `${x(i).toFixed(1)} ${y(v).toFixed(1)}`)).filter(Boolean);
    if (line.to) {
      const back = line.to.map((v, i) => `${x(i).toFixed(1)} ${y(v).toFixed(1)}`).reverse();
      const band = el("path", { d: `M${points.join("L")}L${back.join("L")}Z`, class: "band" });
      band.style.fill = line.colour;
      svg.append(band);
      continue;
    }
    const drawn = el("path", { d: `M${points.join("L")}${points.length === 1 ? "h.01" : ""}`, class: "stroke" });
    drawn.style.stroke = line.colour;
    svg.append(drawn);
  }
  if (at != null && at >= 0 && at < n) svg.append(el("path", { d: `M${x(at).toFixed(1)} 0V${height}`, class: "at" }));
  into.replaceChildren(svg);
}

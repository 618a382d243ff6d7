// Draws the creatures and the goods of the wood, each as a small picture of flat shapes. It knows no run.

const NS = "http://www.w3.org/2000/svg";

export function el(name, attributes = {}, ...children) {
  const made = document.createElementNS(NS, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
}

const path = (d, fill, more = {}) => el("path", { d, fill, ...more });
const circle = (cx, cy, r, fill) => el("circle", { cx, cy, r, fill });
const ellipse = (cx, cy, rx, ry, fill, more = {}) => el("ellipse", { cx, cy, rx, ry, fill, ...more });
const eyes = (x, y, apart, r = 2.1) => [-1, 1].flatMap((side) => [
  circle(x + side * apart, y, r, "#1d1a18"), circle(x + side * apart + 0.7, y - 0.8, r / 3, "#fff"),
]);

// Faces look at the reader, feet stand at y = 62 in a box of 64.
const DRAW = {
  squirrel: () => [
    path("M42 60C60 60 66 42 59 27C55 17 43 16 42 25C41 32 50 33 49 42C48 50 42 52 38 54Z", "#b4532a"),
    path("M45 56C57 54 61 42 56 30C53 23 47 23 46 26C49 31 53 36 51 45Z", "#d98a55", { opacity: 0.75 }),
    ellipse(29, 48, 13, 14, "#c4622f"), ellipse(29, 51, 8, 10, "#f3dcc0"),
    path("M17 17 18 4 26 13Z", "#b4532a"), path("M41 17 40 4 32 13Z", "#b4532a"),
    circle(29, 25, 13.5, "#c4622f"), ellipse(29, 30, 8, 6.5, "#f3dcc0"), ...eyes(29, 23, 5.6),
    ellipse(29, 28, 2, 1.5, "#3a2318"), ellipse(22, 61, 5, 2.4, "#9c4520"), ellipse(36, 61, 5, 2.4, "#9c4520"),
  ],
  hedgehog: () => {
    // Spines in a fan around the back.
    const points = [];
    for (let i = 0; i <= 44; i++) {
      const angle = Math.PI * (1.12 - (1.24 * i) / 44), r = i % 2 ? 20.5 : 27;
      points.push(`${(32 + r * Math.cos(angle)).toFixed(1)} ${(44 - r * Math.sin(angle) * 1.12).toFixed(1)}`);
    }
    return [
      path(`M${points.join("L")}L50 60H14Z`, "#5b4334"), ellipse(32, 48, 16, 13, "#7a5b46"),
      ellipse(32, 49, 13.5, 12, "#e9cfae"), circle(21, 38, 3.6, "#c69f78"), circle(43, 38, 3.6, "#c69f78"),
      ...eyes(32, 45, 5.4), ellipse(32, 50.5, 2.8, 2.2, "#2a1d16"),
      ellipse(24, 61.4, 4.4, 2.2, "#c69f78"), ellipse(40, 61.4, 4.4, 2.2, "#c69f78"),
    ];
  },
  badger: () => [
    ellipse(32, 49, 17, 14, "#6b7076"), ellipse(32, 53, 10, 9, "#33373c"),
    circle(20, 17, 4.2, "#22262a"), circle(44, 17, 4.2, "#22262a"),
    path("M32 8C21 8 17 18 18 26C19 35 26 41 32 41C38 41 45 35 46 26C47 18 43 8 32 8Z", "#f4f3ee"),
    path("M25 9C20 12 18.5 19 19 26C19.5 31 22 35 25 38C27 32 27 18 25 9Z", "#2a2e33"),
    path("M39 9C44 12 45.5 19 45 26C44.5 31 42 35 39 38C37 32 37 18 39 9Z", "#2a2e33"),
    ...[-1, 1].flatMap((s) => [circle(32 + s * 8, 24, 2.2, "#0e0f11"), circle(32 + s * 8 + 0.7, 23.2, 0.9, "#fff")]),
    ellipse(32, 36.5, 3.2, 2.4, "#1b1c1e"), ellipse(23, 61.4, 5, 2.4, "#33373c"), ellipse(41, 61.4, 5, 2.4, "#33373c"),
  ],
  bear: () => [
    ellipse(32, 47, 19, 15.5, "#70482c"), ellipse(32, 51, 11, 10, "#a77a52"),
    circle(19, 11, 6, "#70482c"), circle(45, 11, 6, "#70482c"), circle(19, 11, 3, "#a77a52"), circle(45, 11, 3, "#a77a52"),
    circle(32, 22, 16, "#7d5233"), ellipse(32, 28, 8.5, 6.8, "#d3ad84"), ...eyes(32, 19.5, 6.6, 2.2),
    ellipse(32, 25.5, 3.4, 2.4, "#2b1a10"), ellipse(21, 61.2, 6, 2.6, "#5a3820"), ellipse(43, 61.2, 6, 2.6, "#5a3820"),
  ],
  beaver: () => [
    ellipse(51, 55, 12, 6, "#4d382a", { transform: "rotate(-24 51 55)" }),
    path("M44 58 58 50M46 61 61 53M47 52 54 60M52 49 59 57", "none", { stroke: "#6f5442", "stroke-width": 1 }),
    ellipse(30, 47, 15, 15, "#8d5c36"), ellipse(30, 51, 9.5, 10, "#c79a6a"),
    circle(19, 14, 4, "#6d4527"), circle(41, 14, 4, "#6d4527"),
    circle(30, 24, 14, "#9a673e"), ellipse(30, 30, 9, 6.6, "#d9b58a"), ...eyes(30, 21.5, 5.8),
    ellipse(30, 26.8, 3, 2, "#33200f"), el("rect", { x: 27, y: 33, width: 6, height: 5.4, rx: 1.2, fill: "#fffdf3", stroke: "#c9b998", "stroke-width": 0.5 }),
    path("M30 33V38", "none", { stroke: "#c9b998", "stroke-width": 0.6 }),
    ellipse(22, 61.4, 5, 2.4, "#6d4527"), ellipse(38, 61.4, 5, 2.4, "#6d4527"),
  ],
};

// Whoever is none of these is an owl in a colour of its kind.
const PLUMES = ["#7a6a58", "#5f7f93", "#93705f", "#6d8a5e", "#8a6d93"];
const owl = (kind) => {
  const plume = PLUMES[kind % PLUMES.length];
  return [
    path("M32 12C18 12 14 26 14 40C14 54 22 61 32 61C42 61 50 54 50 40C50 26 46 12 32 12Z", plume),
    path("M16 8 27 17 18 24ZM48 8 37 17 46 24Z", plume), ellipse(32, 48, 11, 12, "#efe3cf"),
    path("M25 44l3 3 4-3 4 3 3-3M26 51l3 3 3-3 3 3 3-3", "none", { stroke: plume, "stroke-width": 1.4 }),
    circle(24.5, 26, 7.4, "#fbf6ea"), circle(39.5, 26, 7.4, "#fbf6ea"), ...eyes(32, 26, 7.5, 3.2),
    path("M32 29 28.5 33 32 37 35.5 33Z", "#e0a33c"), path("M24 61v3M28 61v3M36 61v3M40 61v3", "none", { stroke: "#e0a33c", "stroke-width": 2 }),
  ];
};

const MOUTH = { squirrel: [29, 32], hedgehog: [32, 54], badger: [32, 40], bear: [32, 30], beaver: [30, 31] };
const CURVES = { glad: "q3.5 4 7 0", even: "h7", low: "q3.5 -3.5 7 0" };

export function creature(name, kind) {
  return el("g", {}, ...(DRAW[name] ? DRAW[name]() : owl(kind)));
}

export function mouth(name, mood) {
  if (!(name in MOUTH) || mood < 0) return null;
  const [x, y] = MOUTH[name], look = mood >= 55 ? "glad" : mood >= 38 ? "even" : "low";
  const raised = look === "low" ? 1.6 : 0;
  return path(`M${x - 3.5} ${y + raised}${CURVES[look]}`, "none", { stroke: "#2b1a10", "stroke-width": 1.3, "stroke-linecap": "round" });
}

const GOODS = {
  acorns: (c) => [path("M5 10h14c0 7-4 11-7 12-3-1-7-5-7-12Z", "#c98f45"), path("M3.5 10c0-5 4-7 8.5-7s8.5 2 8.5 7Z", "#7b5230"), path("M12 3V.6", "none", { stroke: "#7b5230", "stroke-width": 2 }), path("M5 10h14", "none", { stroke: c, "stroke-width": 1.2 })],
  berries: (c) => [circle(8, 15, 5.6, "#3a62b0"), circle(16, 15.5, 5.6, "#2f4f94"), circle(12, 9, 5.6, "#4a76c8"), circle(10.5, 7.4, 1.4, "#b9cdf0"), path("M12 4c1-3 4-3 6-2-1 3-4 3-6 2Z", c)],
  mushrooms: () => [path("M9 12h6l1.5 9c-3 1.5-6 1.5-9 0Z", "#f1e6d2"), path("M2 13C2 6 7 2.5 12 2.500S22 6 22 13c-6 2-14 2-20 0Z", "#c2413a"), circle(8, 8, 1.7, "#fff3e8"), circle(14, 6, 1.5, "#fff3e8"), circle(17, 10.5, 1.4, "#fff3e8")],
  honey: () => [path("M5 8h14c2 3 2 9 0 13H5c-2-4-2-10 0-13Z", "#e2a02c"), el("rect", { x: 4, y: 4.5, width: 16, height: 4, rx: 2, fill: "#8a5a22" }), path("M7 12h10v5H7Z", "#fff0c9"), path("M9 8c0 4-2 3-2 6", "none", { stroke: "#f7c95a", "stroke-width": 2, "stroke-linecap": "round" })],
  firewood: () => [el("rect", { x: 2, y: 12, width: 20, height: 6, rx: 3, fill: "#8a5b34" }), el("rect", { x: 4, y: 6, width: 17, height: 6, rx: 3, fill: "#a3703f" }), circle(5, 15, 2.4, "#e2c496"), circle(5, 15, 1, "#b98f57"), circle(7, 9, 2.4, "#e2c496"), circle(7, 9, 1, "#b98f57")],
};

export function good(name, colour) {
  return el("g", {}, ...(GOODS[name] ? GOODS[name](colour) : [circle(12, 12, 8.5, colour), circle(9.5, 9.5, 2.2, "rgb(255 255 255 / 0.55)")]));
}

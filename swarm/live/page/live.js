// Follows a run by server-sent events, or shows a round of its past, and sends deeds. All text reaches the page as text.

import { el, good as picture } from "/creatures.js";
import { chart } from "/charts.js";
import { Wood } from "/wood.js";

const $ = (id) => document.getElementById(id);
const make = (tag, text, kind) => { const made = document.createElement(tag); if (text != null) made.textContent = text; if (kind) made.className = kind; return made; };
const count = (n) => Number(n).toLocaleString("en");
const list = (into, rows, none) => into.replaceChildren(...(rows.length ? rows : none ? [make("li", none, "none")] : []));

let about = null, newest = null, shown = null, series = null, me = null, over = false, following = true, playing = null, latest = 0, refetched = 0, choice = null, lost = false;

// The token stands behind #, which no browser sends; it is kept for this tab alone.
const given = new URLSearchParams(location.hash.slice(1)).get("token");
if (given) { sessionStorage.setItem("token", given); history.replaceState(null, "", location.pathname); }
const token = sessionStorage.getItem("token");
const headers = () => (token ? { authorization: `Bearer ${token}` } : {});

async function ask(path, body) {
  const more = body ? { method: "POST", body: JSON.stringify(body), headers: { ...headers(), "content-type": "application/json" } } : { headers: headers() };
  const answer = await fetch(path, more), found = await answer.json().catch(() => ({}));
  if (!answer.ok) throw new Error(found.error ?? `the server answered ${answer.status}`);
  return found;
}

const wood = new Wood($("wood"), $("bubbles"), $("hover"), (trader) => openTrader(trader));

async function learn() {
  about = await ask("/api/run");
  if (!about.goods) { about = null; return; }
  over = about.over;
  me = (await ask("/api/me")).name;
  series = await ask("/api/series?after=0");
  document.title = `${about.name} · Thousand Token Wood`;
  $("name").textContent = about.name;
  wood.begin(about);
  const grouped = about.figures.some((f) => f[1] > 1);
  $("stands").textContent = grouped ? `${about.figures.length} figures stand for ${count(about.traders)} traders` : "";
  $("slider").max = about.rounds;
  goodsCards(); deedChoice(); controls();
}

function goodsCards() {
  $("goods").replaceChildren(...about.goods.map((name, g) => {
    const card = make("figure"), head = make("figcaption"), icon = el("svg", { viewBox: "0 0 24 24", width: 22, height: 22, "aria-hidden": "true" });
    icon.append(picture(name, `var(--good-${(g % 8) + 1})`));
    head.append(icon, make("b", name), make("span", "", "price"), make("span", "", "change"));
    card.append(head, make("div", null, "plot"), make("p", "", "note"));
    return card;
  }));
}

// --- what is shown of a round

function show(state, moving) {
  shown = state;
  if (!about || !state.volume) { line(newest); return; }
  wood.show(state, moving);
  line(state);
  $("season").textContent = state.season ?? "";
  $("slider").value = state.round; $("atround").max = newest.round || 1;
  $("shown").textContent = `round ${count(state.round)} of ${count(state.rounds)}`;
  list($("news"), (state.news ?? []).map((text) => make("li", text)));
  list($("gossip"), [...(state.answers ?? []).map(([who, trader, question, answer]) => {
    const row = make("li", null, "asked");
    row.append(make("b", `${who} asked ${trader}`), make("q", question), make("b", "answer"), make("span", answer == null ? "its model was not asked in this round" : answer || "it said nothing"));
    return row;
  }), ...(state.said ?? []).map(([trader, text]) => {
    const row = make("li"), who = make("button", String(trader), "quiet who");
    who.addEventListener("click", () => openTrader(trader));
    row.append(who, make("span", text));
    return row;
  })], "nobody said anything in this round");
  list($("tape"), (state.tape ?? []).map(([buyer, seller, g, lots, price]) => {
    const row = make("li"), dot = make("i");
    dot.style.background = `var(--good-${(g % 8) + 1})`;
    row.append(dot, make("b", `${lots} ${about.goods[g]}`), make("span", `at ${count(price)}`), make("span", `${seller} → ${buyer}`, "note"));
    return row;
  }), "nothing was traded in this round");
  goods(state); wealth(state); minds(state); patron(state); acts(state);
}

function line(state) {
  const s = { ...state, ...(following || !newest ? {} : { status: newest.status, told: newest.told }) }, facts = [];
  const add = (name, value, bad) => facts.push([name, value, bad]);
  if (s.round) {
    add("round", `${count(s.round)} / ${count(s.rounds)}`);
    if (newest?.pace_s != null && !over) add("pace", `${newest.pace_s < 0.01 ? "<0.01" : newest.pace_s.toFixed(2)} s a round`);
    add("traders", count(s.traders ?? 0));
    if (s.figures?.length) s.figures.forEach(([name, value]) => add(name, value));
    else add("trades", count(s.trades ?? 0));
    if (s.tokens) add("tokens", count(s.tokens) + (about?.token_limit ? ` of ${count(about.token_limit)}` : ""));
    if (s.usd || (s.usd != null && about?.usd_limit)) add("dollars", s.usd.toFixed(4) + (about?.usd_limit ? ` of ${about.usd_limit}` : ""));
    if (s.late) add("late", count(s.late), true);
    for (const [kind, n] of Object.entries(s.errors ?? {})) add(kind.replaceAll("_", " "), count(n), true);
    if (s.journal) add("journal", `${count(s.journal[0])} records`);
    if (newest?.head) add("head", newest.head);
  }
  $("line").replaceChildren(...facts.map(([name, value, bad]) => { const box = make("div", null, bad ? "bad" : ""); box.append(make("dt", name), make("dd", value)); return box; }));
  status(s);
}

function status(s) {
  const n = newest ?? s, told = {
    starting: ["starting", ""], replaying: ["reading the journal", ""],
    running: n.stopping ? ["stops after this round", "warn"] : n.paused ? [`held after round ${count(n.round)}`, "warn"] : ["running", "good"],
    finished: [`finished: all ${count(n.rounds ?? 0)} rounds`, "good"], stopped: [`stopped after round ${count(n.round ?? 0)} of ${count(n.rounds ?? 0)}`, "bad"], failed: ["ended by an error", "bad"],
  }[n.status] ?? ["connecting", ""];
  const [text, kind] = lost ? ["no connection; trying again", "bad"] : told;
  $("status").textContent = text; $("status").className = `pill ${kind}`;
  $("told").textContent = n.told ?? ""; $("told").hidden = !n.told;
}

function index(round) {
  if (!series?.round) return -1;
  let best = -1;
  series.round.forEach((r, i) => { if (r <= round) best = i; });
  return best;
}

function goods(state) {
  const rounds = series?.round ?? [], at = index(state.round);
  [...$("goods").children].forEach((card, g) => {
    const change = state.price[g] - state.before[g];
    card.querySelector(".price").textContent = count(state.price[g]);
    const mark = card.querySelector(".change");
    mark.textContent = change > 0 ? `▲ ${change}` : change < 0 ? `▼ ${-change}` : "–";
    mark.className = `change ${change > 0 ? "up" : change < 0 ? "down" : ""}`;
    card.querySelector(".note").textContent = `${count(state.volume[g])} traded; unmet ${count(state.unmet[0][g])} wanted, ${count(state.unmet[1][g])} offered`;
    chart(card.querySelector(".plot"), { rounds, at, lines: [{ values: rounds.map((_, i) => series.price[i][g]), colour: `var(--good-${(g % 8) + 1})` }], bars: rounds.map((_, i) => series.volume[i][g]) });
  });
}

function wealth(state) {
  const rounds = series?.round ?? [], at = index(state.round), of = (q) => rounds.map((_, i) => series.wealth[i][q]);
  chart($("wealth"), { rounds, at, height: 110, lines: [{ values: of(0), to: of(2), colour: "var(--second)" }, { values: of(1), colour: "var(--first)" }] });
  $("wealth").append(make("p", `${state.wealth.map(count).join(" · ")} — Gini ${state.gini.toFixed(2)}`, "note"));
  $("moodbox").hidden = state.mood == null;
  if (state.mood != null) {
    chart($("mood"), { rounds, at, low: 0, high: 1000, height: 70, lines: [{ values: series.mood, colour: "var(--good-4)" }] });
    $("mood").append(make("p", `${Math.round(state.mood / 10)} of 100 on average`, "note"));
  }
}

function rows(into, title, found, most) {
  if (!found?.length) return;
  const table = make("table"), top = Math.max(1, ...found.map((f) => f[1]));
  for (const [name, value, note] of found.slice(0, most)) {
    const row = make("tr"), meter = make("td"), bar = make("i", null, "meter");
    bar.style.width = `${((100 * value) / top).toFixed(1)}%`;
    meter.append(bar);
    row.append(make("th", name), meter, make("td", count(value), "number"), make("td", note ?? "", "note"));
    table.append(row);
  }
  into.append(make("h3", title), table);
}

function minds(state) {
  const into = $("minds");
  into.replaceChildren();
  rows(into, "calls of models so far", (state.models ?? []).map(([name, calls, tokens, usd]) => [name, calls, `${count(tokens)} tokens${!usd ? "" : ` · $${usd.toFixed(4)}`}`]), 8);
  rows(into, "councils and cascades: turns cleared again", (state.judged ?? []).map(([name, n, right]) => [name, n, `${Math.round((100 * right) / n)}% as good as the best action`]), 8);
  rows(into, "auctions: work awarded", (state.awards ?? []).map(([name, n]) => [name, n]), 8);
  if (!into.children.length) into.append(make("p", "no model was asked: all decide by rules", "note"));
}

function acts(state) {
  const mine = following ? newest : state;
  list($("acts"), [
    ...(following ? (newest.waiting ?? []) : []).map(([who, what]) => { const row = make("li", null, "waits"); row.append(make("b", who), make("span", `${what}: waits for the end of the round`)); return row; }),
    ...[...(mine.acts_before ?? []), ...(mine.acts ?? [])].map(([who, what, why]) => { const row = make("li", null, why ? "refused" : ""); row.append(make("b", who), make("span", what), make("span", why ? `refused: ${why}` : "done", "note")); return row; }),
    ...(following ? (newest.owed ?? []) : []).map(([who, number, cents, due]) => { const row = make("li"); row.append(make("b", who), make("span", `loan ${number}: ${count(cents / 100)} pebbles are owed, due after round ${count(due)}`)); return row; }),
    ...(following && newest.owed_more ? [make("li", `${count(newest.owed_more)} more loans are owed`)] : []),
  ]);
}

function patron(state) {
  $("patron").hidden = !state.patron;
  if (!state.patron) return;
  const [purse, staked, aim, done] = state.patron;
  $("purse").textContent = `${count(purse)} of ${count(aim)} pebbles${staked ? `, and ${count(staked)} at stake` : ""}${purse >= aim ? ": it is reached" : ""}`;
  $("reached").style.width = `${Math.min(100, (100 * purse) / Math.max(aim, 1))}%`;
  list($("board"), Object.entries(done).map(([name, n]) => { const row = make("li"); row.append(`${name} `, make("b", count(n))); return row; }), "nothing has been done yet");
  if (!me || over || !following) { $("firsts").replaceChildren(); return; }
  // One click and no form: a bet that what has just risen most will fall.
  const rise = state.price.map((ticks, g) => ticks - state.before[g]), g = rise.indexOf(Math.max(...rise)), good = about.goods[g];
  const first = (text, body) => { const made = make("button", text, "primary"); made.type = "button"; made.addEventListener("click", () => send(body)); return made; };
  $("firsts").replaceChildren(first(`sell 10 ${good} short for 4 rounds`, { deed: "short", good, lots: 10, rounds: 4 }));
}

// --- the run's hold, and time

function controls() {
  const into = $("controls"), may = me && !over;
  $("readonly").hidden = Boolean(may); $("deeds").hidden = !may;
  if (over) $("readonly").textContent = "This run is over: nothing can be done to it any more. What was done to it shows round by round.";
  if (!may) { into.replaceChildren(); return; }
  const button = (text, name, body) => { const made = make("button", text); made.type = "button"; made.setAttribute("aria-label", name); made.title = name; made.dataset.do = name; made.addEventListener("click", () => ask("/api/control", body()).catch((error) => { $("answer").textContent = error.message; })); return made; };
  const pace = make("select");
  pace.setAttribute("aria-label", "least seconds a round"); pace.id = "pace";
  for (const [value, text] of [[0, "full speed"], [0.5, "½ s a round"], [1, "1 s a round"], [2, "2 s a round"], [5, "5 s a round"]]) { const option = make("option", text); option.value = value; pace.append(option); }
  pace.addEventListener("change", () => ask("/api/control", { do: "pace", seconds: Number(pace.value) }));
  into.replaceChildren(button("❚❚ hold", "hold", () => ({ do: newest?.paused ? "go" : "pause" })), button("one round", "one round", () => ({ do: "step" })), pace, button("■ stop", "stop after this round", () => ({ do: "stop" })));
}

function held() {
  const hold = $("controls").querySelector("[data-do=hold]");
  if (!hold || !newest) return;
  hold.textContent = newest.paused ? "▶ go on" : "❚❚ hold";
  const pace = $("pace");
  if (document.activeElement !== pace && newest.least_s != null) pace.value = String([0, 0.5, 1, 2, 5].reduce((a, b) => (Math.abs(b - newest.least_s) < Math.abs(a - newest.least_s) ? b : a)));
}

async function goTo(round, moving = true) {
  following = !over && round >= newest.round;
  $("now").hidden = following || over;
  latest = round;
  if (following) { show(newest, moving); return; }
  const state = await ask(`/api/round/${round}`).catch(() => null);
  // A later wish overtakes an answer that is still under way.
  if (state && latest === round) show(state, moving);
}

$("slider").addEventListener("input", () => { stopPlaying(); goTo(Math.min(Number($("slider").value), newest?.round ?? 1)); });
$("now").addEventListener("click", () => { stopPlaying(); goTo(newest.round); });
function stopPlaying() { clearInterval(playing); playing = null; $("play").textContent = "▶"; $("play").setAttribute("aria-label", "play"); }
$("play").addEventListener("click", () => {
  if (playing) { stopPlaying(); return; }
  if (!newest?.round) return;
  if (shown.round >= newest.round) goTo(1);
  $("play").textContent = "❚❚"; $("play").setAttribute("aria-label", "pause");
  playing = setInterval(() => { if (shown.round >= newest.round) { stopPlaying(); if (!over) goTo(newest.round); } else goTo(shown.round + 1); }, 1200);
});

async function refetch(after = 0) {
  if (performance.now() - refetched < 1000) return;
  refetched = performance.now();
  series = await ask(`/api/series?after=${after}`);
}

async function arrived(state) {
  const before = newest;
  newest = state; lost = false;
  // Another run, or one that had not begun: everything is learned anew.
  if (before && before.run !== state.run) over = false;
  if (!about || (before && (before.run !== state.run || state.round < before.round))) { await learn(); if (!about) { line(state); return; } }
  if (["finished", "stopped", "failed"].includes(state.status) && !over) { over = true; about.over = true; controls(); await ask("/api/series?after=0").then((found) => { series = found; }); }
  $("slider").max = Math.max(state.round, 1);
  const last = series?.round?.at(-1) ?? 0;
  if (state.volume && state.round === last + 1 && series.round && series.round.length < 800) {
    series.round.push(state.round); series.price.push(state.price); series.volume.push(state.volume); series.gini.push(state.gini); series.wealth.push(state.wealth); series.mood?.push(state.mood);
  } else if (state.round > last) await refetch();
  held();
  if (following) show(state, !before || before.round !== state.round);
  else { line(shown ?? state); acts(shown ?? state); }
}

// --- one trader

async function openTrader(trader, round) {
  $("trader").hidden = false; document.body.classList.add("aside");
  const at = round ?? shown?.round ?? 1;
  $("number").value = trader; $("number").max = about.traders - 1; $("atround").value = at;
  $("who").textContent = `trader ${trader}`;
  $("opened").replaceChildren(make("p", "reading…", "note"));
  const field = $("form").querySelector("[name=trader]");
  if (field) field.value = trader;
  try {
    const found = await ask(`/api/trader/${trader}?round=${at}`);
    $("who").textContent = `${found[0].kind} ${trader}`;
    $("opened").replaceChildren(...found.flatMap(explained));
  } catch (error) { $("opened").replaceChildren(make("p", error.message, "note bad")); }
}

function explained(one) {
  const parts = [make("p", `${one.mind}${one.region ? ` in ${one.region}` : ""}, round ${one.round} of ${one.rounds}`, "note")];
  if (!one.asked) parts.push(make("p", `no model was asked: ${one.why_not}`));
  one.calls.forEach((call, i) => {
    const title = `${call.asker ? `${call.asker}, ` : ""}${call.model}`, box = make("details"), text = call.prompt.join("\n\n");
    box.open = i === 0;
    box.append(make("summary", `prompt to ${title} (${call.prompt_tokens} tokens)`), make("pre", text || call.missing));
    parts.push(box, make("h3", `reply (${call.completion_tokens} tokens, ${call.finish_reason})`), make("pre", call.answer || "no text of it is kept", "reply"));
  });
  if (one.asked) parts.push(make("h3", "read as"), make("p", one.error ? `no decision (${one.error}): it passes` : [one.told, one.gossip ? `says “${one.gossip}”` : "says nothing"].filter(Boolean).join("; ")));
  const table = (title, rows) => { if (!rows.length) return; const made = make("table"); for (const cells of rows) { const row = make("tr"); row.append(...cells.map((cell) => make("td", cell))); made.append(row); } parts.push(make("h3", title), made); };
  table("orders", one.orders.map((o) => [o.side, `${o.quantity_lots} ${o.good}`, `at ${o.limit_ticks}`, o.refused ? `refused: ${o.refused}` : "taken"]));
  table("fills", one.fills.map((f) => [f.side === "buy" ? "bought" : "sold", `${f.quantity_lots} ${f.good}`, `at ${f.price_ticks}`, `${f.side === "buy" ? "from" : "to"} ${f.other}`]));
  if (!one.orders.length) parts.push(make("p", "no orders", "note"));
  table("what else it could have done", one.alternatives.map((a) => [a.taken ? `${a.letter} ✓` : a.letter, a.orders || "pass", `brings ${a.gain_ticks}`, `promised ${a.expected_ticks}`]));
  return parts;
}

$("close").addEventListener("click", () => { $("trader").hidden = true; document.body.classList.remove("aside"); });
addEventListener("keydown", (event) => { if (event.key === "Escape" && !$("trader").hidden) $("close").click(); });
$("find").addEventListener("submit", (event) => { event.preventDefault(); openTrader(Number($("number").value), Number($("atround").value)); });

// --- deeds

function deedChoice() {
  const kinds = about.deeds.filter((d) => (d.deed !== "shock" || about.shocks.length) && (!d.staked || about.keeps_stakes));
  $("choice").replaceChildren(...kinds.map((kind) => {
    const made = make("button", kind.deed);
    made.type = "button"; made.setAttribute("role", "tab");
    made.addEventListener("click", () => deedForm(kind));
    return made;
  }));
  if (!choice) deedForm(kinds[0]);
}

function options(field) {
  if (field.name === "asset") return ["pebbles", ...about.goods.filter((good) => !about.papers.includes(good))];
  if (field.name === "good") return about.goods;
  if (field.name === "kind") return about.shocks;
  if (field.name === "region") return ["", ...about.regions];
  return field.type === "boolean" ? ["false", "true"] : field.enum;
}

function deedForm(kind) {
  choice = kind;
  for (const tab of $("choice").children) tab.setAttribute("aria-selected", tab.textContent === kind.deed);
  const form = $("form"), before = form.querySelector("[name=trader]")?.value;
  form.replaceChildren(make("p", kind.told, "note"));
  for (const field of kind.fields) {
    if (field.name === "region" && !about.regions.length) continue;
    const label = make("label"), from = options(field);
    let input;
    if (from) { input = make("select"); for (const value of from) { const option = make("option", value || "everywhere"); option.value = value; input.append(option); } }
    else { input = make("input"); input.type = field.type === "integer" ? "number" : "text"; if (field.minimum != null) input.min = field.minimum; if (field.maxLength) input.maxLength = field.maxLength; }
    if (field.name === "trader") { input.max = about.traders - 1; input.value = before ?? 0; } else if (field.default != null) input.value = field.default;
    input.name = field.name; input.required = field.required; input.dataset.type = field.type; input.title = field.description ?? "";
    if (field.maxLength) label.className = "long";
    label.append(make("span", field.name.replaceAll("_", " ")), input);
    form.append(label);
  }
  const send = make("button", `do it`, "primary");
  form.append(send);
  $("answer").textContent = "";
}

$("form").addEventListener("submit", (event) => {
  event.preventDefault();
  const body = { deed: choice.deed };
  for (const input of $("form").querySelectorAll("[name]")) if (input.value !== "" || input.required) body[input.name] = input.dataset.type === "integer" ? Number(input.value) : input.dataset.type === "boolean" ? input.value === "true" : input.value;
  send(body);
});

async function send(body) {
  try { const found = await ask("/api/deeds", body); $("answer").textContent = `it is done after round ${found.after_round}, in the name of ${found.by}`; } catch (error) { $("answer").textContent = error.message; }
}

// --- light and dark, and the stream

$("theme").addEventListener("click", () => {
  const root = document.documentElement, dark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  root.dataset.theme = dark ? "light" : "dark";
});

let stream = null, working = Promise.resolve();
function follow() {
  stream = new EventSource("/events");
  stream.onmessage = (event) => {
    const state = JSON.parse(event.data);
    // One after another: a state may have to wait until the run is known.
    working = working.then(() => arrived(state)).catch((error) => { $("told").textContent = error.message; $("told").hidden = false; });
  };
  stream.onerror = () => {
    lost = true;
    status(shown ?? {});
    // A browser that has given up for good is made to try again.
    if (stream.readyState === EventSource.CLOSED) { stream.close(); setTimeout(follow, 1500); }
  };
}
follow();

// Fills the section of graph.html from the JSON in #network. All texts go in by textContent.
"use strict";
(() => {
const $ = (id) => document.getElementById(id);
const root = document.documentElement;

// --- Light and dark -------------------------------------------------------------------------------------------------
const systemDark = matchMedia("(prefers-color-scheme: dark)");
let printing = false;
const isDark = () => !printing && (root.dataset.theme ? root.dataset.theme === "dark" : systemDark.matches);
const onTheme = [];
const themed = () => onTheme.forEach((tell) => tell());
if ($("theme")) {
  $("theme").value = "";
  $("theme").addEventListener("change", () => {
    if ($("theme").value) root.dataset.theme = $("theme").value;
    else delete root.dataset.theme;
    themed();
  });
}
systemDark.addEventListener("change", themed);
if (!$("network")) return;

// --- The data -------------------------------------------------------------------------------------------------------
const data = JSON.parse($("network").textContent);
const { words, metrics, hours } = data;
const views = data.views.map((view) => ({
  by: view.by, command: view.command, restEdges: view.rest_edges, restSums: view.rest_sums, totals: view.totals,
  nodes: view.nodes.map(([label, kind, x, y], id) => ({ id, label: words[label], kind: words[kind], x, y })),
  edges: view.edges.map(([source, target, service, rejected, sums, perHour, behind, rest], id) =>
    ({ id, source, target, service: words[service], rejected: rejected === 1, sums, perHour, behind, rest, value: Number(sums[0]) })),
}));
let view = views[0];
let shown = [];          // edges after all filters, the largest first
let order = null;        // the table's: [column, ascending]
const hiddenLabels = new Set();
const hiddenKinds = new Set();
let only = null;         // the label whose neighbours alone are shown
let rowLimit = 200;
const opened = new Set();   // edges of the table whose talkers are shown
let chosen = null;

// --- Numbers --------------------------------------------------------------------------------------------------------
function short(value, metric) {
  const number = Number(value);
  const isBytes = metric === "bytes";
  const units = isBytes ? ["B", "kB", "MB", "GB", "TB", "PB", "EB"] : ["", "k", "M", "G", "T", "P", "E"];
  let at = 0, rest = number;
  while (at < units.length - 1 && rest >= 999.5) { rest /= 1000; at += 1; }
  const digits = at === 0 || rest >= 99.5 ? 0 : rest >= 9.95 ? 0 : 1;
  return (rest.toFixed(digits) + " " + units[at]).trim();
}
const exact = (value) => BigInt(value).toLocaleString("en");
const both = (value, metric) => exact(value) + (Number(value) >= 1000 ? " (" + short(value, metric) + ")" : "");
const measure = (value, metric) => short(value, metric) + (metric === "bytes" ? "" : " " + metric);
const plural = (count, one, many) => exact(count) + " " + (count === 1 ? one : many);
const hourText = (hour) => new Date(hour * 1000).toISOString().slice(0, 16).replace("T", " ");
const label = (edge) => view.nodes[edge.source].label + " \u2192 " + view.nodes[edge.target].label;

function make(tag, attributes, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes || {})) {
    if (name === "onclick") element.addEventListener("click", value);
    else if (value === true) element.setAttribute(name, "");
    else if (value !== false && value != null) element.setAttribute(name, value);
  }
  for (const child of children) element.append(child);   // a string becomes a text node
  return element;
}

// --- How a kind looks -----------------------------------------------------------------------------------------------
// By shape as well as by colour, because colours alone do not reach everybody.
const KINDS = {
  "instance": ["#2f6fb5", "#6fa8e8", "ellipse"], "ecs-task": ["#0f8a8a", "#4cc9c9", "hexagon"],
  "eks-pod": ["#3b5bdb", "#91a7ff", "heptagon"], "lambda": ["#c45f00", "#ffa94d", "triangle"],
  "rds": ["#6741d9", "#b197fc", "barrel"], "elasticache": ["#a61e4d", "#faa2c1", "barrel"],
  "load-balancer": ["#2b8a3e", "#69db7c", "diamond"], "nat-gateway": ["#5c7400", "#c0eb75", "pentagon"],
  "transit-gateway": ["#087f5b", "#63e6be", "octagon"], "vpc-endpoint": ["#862e9c", "#e599f7", "vee"],
  "efs": ["#7048a0", "#d0bfff", "rectangle"], "interface": ["#495057", "#adb5bd", "round-rectangle"],
  "private": ["#66707a", "#98a2ad", "ellipse"], "public": ["#8a6d00", "#ffd43b", "round-rectangle"],
  "aws": ["#b35900", "#ffb366", "cut-rectangle"], "none": ["#868e96", "#868e96", "rectangle"],
};
const look = (kind) => KINDS[kind] || ["#495057", "#ced4da", "star"];
const OUTLINES = {
  "ellipse": null, "round-rectangle": "5,2 21,2 21,14 5,14", "rectangle": "5,3 21,3 21,13 5,13", "triangle": "13,1 21,15 5,15",
  "diamond": "13,0 21,8 13,16 5,8", "hexagon": "9,1 17,1 21,8 17,15 9,15 5,8", "heptagon": "13,0 19,3 21,9 17,15 9,15 5,9 7,3",
  "pentagon": "13,0 21,6 18,15 8,15 5,6", "octagon": "10,1 16,1 21,6 21,11 16,15 10,15 5,11 5,6", "vee": "5,2 13,6 21,2 13,15",
  "barrel": "6,2 20,2 22,8 20,14 6,14 4,8", "cut-rectangle": "8,2 18,2 21,5 21,11 18,14 8,14 5,11 5,5",
  "star": "13,0 15,6 21,6 16,10 18,15 13,12 8,15 10,10 5,6 11,6",
};
const SVG = "http://www.w3.org/2000/svg";
function svg(tag, attributes) {
  const element = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  return element;
}
function drawKey(kind) {
  const key = svg("svg", { class: "key", viewBox: "0 0 26 16", "aria-hidden": "true" });
  const [light, dark, shape] = look(kind);
  const fill = isDark() ? dark : light;
  key.append(OUTLINES[shape] ? svg("polygon", { points: OUTLINES[shape], fill }) : svg("circle", { cx: 13, cy: 8, r: 7, fill }));
  return key;
}
function drawLine(rejected) {
  const key = svg("svg", { class: "key", viewBox: "0 0 26 16", "aria-hidden": "true" });
  key.append(svg("line", { x1: 0, y1: 8, x2: 26, y2: 8, stroke: rejected ? "var(--rejected)" : "var(--faint)", "stroke-width": 3,
    "stroke-dasharray": rejected ? "6 4" : "none" }));
  return key;
}

// --- What is shown --------------------------------------------------------------------------------------------------
const allHours = () => !hours.length || (Number($("hours-from").value) === 0 && Number($("hours-to").value) === hours.length - 1);
function valueOf(edge) {
  if (allHours()) return edge.sums[0];
  const first = Number($("hours-from").value), last = Number($("hours-to").value);
  let sum = 0n;
  for (let at = 0; at < edge.perHour.length; at += 2)
    if (edge.perHour[at] >= first && edge.perHour[at] <= last) sum += BigInt(edge.perHour[at + 1]);
  return sum <= 9007199254740991n ? Number(sum) : String(sum);
}
function rowHas(edge, text) {
  return edge.behind.some((at) => words[data.talkers[at][0]].toLowerCase().includes(text) || words[data.talkers[at][1]].toLowerCase().includes(text));
}
function filter() {
  const text = $("search").value.trim().toLowerCase();
  const accepted = !$("accepted") || $("accepted").checked, rejected = !$("rejected") || $("rejected").checked;
  const hides = (node) => hiddenLabels.has(node.label) || hiddenKinds.has(node.kind);
  const ranked = [];
  for (const edge of view.edges) {
    edge.now = valueOf(edge);
    if (allHours() || Number(edge.now) > 0) ranked.push(edge);
  }
  if (!allHours()) ranked.sort((one, other) => Number(other.now) - Number(one.now) || one.id - other.id);
  shown = ranked.slice(0, Number($("most").value)).filter((edge) => {
    const source = view.nodes[edge.source], target = view.nodes[edge.target];
    if (hides(source) || hides(target) || !(edge.rejected ? rejected : accepted)) return false;
    if (only !== null && source.label !== only && target.label !== only) return false;
    return !text || source.label.toLowerCase().includes(text) || target.label.toLowerCase().includes(text) ||
      edge.service.toLowerCase().includes(text) || rowHas(edge, text);
  });
}
function total(edges) {
  return edges.reduce((sum, edge) => sum + BigInt(edge.now), 0n);
}
function sayMost() {
  $("most-said").textContent = Math.min($("most").value, view.edges.length) + " of " + view.edges.length;
}
function say() {
  const metric = metrics[0];
  const sum = total(shown), all = BigInt(view.totals[0]);
  const count = view.edges.length + view.restEdges;
  let text = "Shown: " + plural(shown.length, "edge", "edges") + " of " + exact(count) + ", with " + measure(String(sum), metric);
  if (allHours()) {
    const rest = all - sum;
    text += " of " + measure(String(all), metric) + (all > 0n ? " (" + (Number(sum * 1000n / all) / 10).toFixed(1) + "%)" : "") + ".";
    text += " The rest: " + plural(count - shown.length, "edge", "edges") + ", with " + measure(String(rest), metric) + ".";
    if (view.restEdges) text += " " + plural(view.restEdges, "of them is", "of them are") + " not in this page, with " + measure(view.restSums[0], metric) + ": the command below gives them.";
  } else {
    text += " in the hours that were chosen.";
    if (view.restEdges) text += " " + plural(view.restEdges, "smaller edge is", "smaller edges are") + " not in this page.";
  }
  if (!count) text = "There is nothing to draw, because no record counts. The tally on this page says why.";
  $("said").textContent = text;
  sayMost();
  if (hours.length) {
    const first = hours[$("hours-from").value], last = hours[$("hours-to").value] + 3599;
    $("hours-said").textContent = hourText(first) + " to " + hourText(last) + " UTC" + (allHours() ? " (all)" : "");
    $("hours-from").setAttribute("aria-valuetext", hourText(first) + " UTC");
    $("hours-to").setAttribute("aria-valuetext", hourText(last) + " UTC");
  }
  const names = [...hiddenLabels];
  $("hidden").hidden = !names.length && only === null;
  $("hidden").firstElementChild.textContent = (only !== null ? "Only " + only + " and its neighbours. " : "") +
    (names.length ? "Hidden: " + names.join(", ") + "." : "");
}

// --- Tables ---------------------------------------------------------------------------------------------------------
const numberHead = (text) => make("th", { scope: "col", class: "number" }, text);
function talkersTable(edge) {
  const table = make("table", null, make("caption", null, "The largest talkers behind " + label(edge) + ", " + edge.service + (hours.length ? " (all hours)" : "")));
  table.append(make("thead", null, make("tr", null, ...["source", "destination", "service"].map((text) => make("th", { scope: "col" }, text)), ...metrics.map(numberHead))));
  const body = make("tbody");
  for (const at of edge.behind) {
    const [source, target, service, ...sums] = data.talkers[at];
    body.append(make("tr", null, make("td", null, words[source]), make("td", null, words[target]), make("td", null, words[service]),
      ...sums.map((value) => make("td", { class: "number" }, exact(value)))));
  }
  table.append(body);
  const box = make("div", { class: "wide", tabindex: "0", role: "region", "aria-label": "Talkers behind " + label(edge) + ", " + edge.service }, table);
  return edge.rest ? [box, make("p", { class: "note" }, "And " + plural(edge.rest, "smaller talker", "smaller talkers") + ".")] : [box];
}
// The sum that ranks comes second, so that it is on a narrow screen, too.
const columns = () => ["who talks to whom", metrics[0], "service", ...(view.edges.some((edge) => edge.rejected) ? ["action"] : []), ...metrics.slice(1)];
function sorted() {
  if (!order) return shown;
  const [column, ascending] = order;
  const name = columns()[column];
  const key = name === "who talks to whom" ? label : name === "service" ? (edge) => edge.service :
    name === "action" ? (edge) => edge.rejected : (edge) => metrics.indexOf(name) === 0 ? Number(edge.now) : Number(edge.sums[metrics.indexOf(name)]);
  const list = [...shown].sort((one, other) => { const a = key(one), b = key(other); return a < b ? -1 : a > b ? 1 : one.id - other.id; });
  return ascending ? list : list.reverse();
}
function edgeRow(edge, names) {
  const width = names.length;
  const id = "talkers-" + edge.id;
  const isOpen = opened.has(edge.id);
  const button = make("button", { type: "button", class: "open", "aria-expanded": String(isOpen), "data-edge": edge.id }, label(edge));
  const cells = names.map((name) => {
    if (name === "who talks to whom") return make("td", null, button);
    if (name === "service") return make("td", null, edge.service);
    if (name === "action") return make("td", edge.rejected ? { class: "rejected" } : null, edge.rejected ? "rejected" : "accepted");
    const at = metrics.indexOf(name);
    const value = at === 0 ? edge.now : edge.sums[at];
    const cell = make("td", { class: "number" });
    if (at > 0 && !allHours()) cell.append("\u2013");
    else if (name === "bytes") cell.append(short(value, name) + " ", make("span", { class: "exact" }, exact(value)));
    else cell.append(exact(value));
    return cell;
  });
  const row = make("tr", isOpen ? { class: "open-row" } : null, ...cells);
  const toggle = () => {
    const next = row.nextElementSibling;
    if (next && next.id === id) { next.remove(); opened.delete(edge.id); }
    else { row.after(make("tr", { id }, make("td", { class: "behind", colspan: width }, ...talkersTable(edge)))); opened.add(edge.id); }
    const now = opened.has(edge.id);
    button.setAttribute("aria-expanded", String(now));
    row.classList.toggle("open-row", now);
  };
  button.addEventListener("click", toggle);
  return isOpen ? [row, make("tr", { id }, make("td", { class: "behind", colspan: width }, ...talkersTable(edge)))] : [row];
}
function showTable() {
  const names = columns();
  const list = sorted();
  const head = make("tr");
  names.forEach((name, at) => {
    const isNumber = metrics.includes(name);
    const isSorted = order && order[0] === at;
    const button = make("button", { type: "button", "data-column": at, onclick: () => {
      order = [at, order && order[0] === at ? !order[1] : !isNumber];
      showTable();
      $("table").querySelector('[data-column="' + at + '"]').focus();
    } }, name + (isSorted ? (order[1] ? " \u25b2" : " \u25bc") : ""));
    head.append(make("th", { scope: "col", class: isNumber ? "number" : null,
      "aria-sort": isSorted ? (order[1] ? "ascending" : "descending") : !order && name === metrics[0] ? "descending" : null }, button));
  });
  const body = make("tbody");
  for (const edge of list.slice(0, rowLimit)) body.append(...edgeRow(edge, names));
  const caption = make("caption", null, "Choose a row to see the talkers behind it." + (allHours() ? "" : " Only " + metrics[0] + " is known by the hour."));
  $("table").replaceChildren(make("table", null, caption, make("thead", null, head), body));
  const left = list.length - Math.min(rowLimit, list.length);
  $("more").hidden = !left;
  $("more-rows").textContent = "Show " + Math.min(200, left) + " more";
  $("all-rows").textContent = "Show all " + exact(list.length);
}
function moreRows(limit) {
  const first = rowLimit;
  rowLimit = limit;
  showTable();
  const buttons = $("table").querySelectorAll("button.open");
  if (buttons[first]) buttons[first].focus();
}

// --- The picture ----------------------------------------------------------------------------------------------------
let cy = null;
const MOST_TEXTS = 70;
const MOST_CURVES = 1000;
function colours() {
  const dark = isDark();
  return { dark, ink: dark ? "#e6eaef" : "#1b1f24", paper: dark ? "#12161b" : "#ffffff", edge: dark ? "#7d8894" : "#8b959f",
    rejected: dark ? "#ff8f85" : "#b3261e", chosen: dark ? "#ffd43b" : "#d9480f" };
}
function styles() {
  const c = colours();
  return [
    { selector: "node", style: { "width": "data(size)", "height": "data(size)", "background-color": c.dark ? "data(dark)" : "data(light)", "shape": "data(shape)",
      "color": c.ink, "text-outline-color": c.paper, "text-valign": "bottom", "border-width": 1, "border-color": c.paper, "font-family": "system-ui, sans-serif" } },
    { selector: "edge", style: { "width": "data(width)", "line-color": c.edge, "target-arrow-color": c.edge, "target-arrow-shape": "triangle", "arrow-scale": 0.7,
      "curve-style": "data(curve)", "opacity": 0.75, "color": c.ink, "text-background-color": c.paper, "text-background-opacity": 0.85, "font-family": "system-ui, sans-serif" } },
    { selector: "edge.rejected", style: { "line-color": c.rejected, "target-arrow-color": c.rejected, "line-style": "dashed" } },
    { selector: ".gone", style: { "display": "none" } },
    { selector: ".faint", style: { "opacity": 0.12 } },
    { selector: "node.chosen", style: { "border-width": 4, "border-color": c.chosen } },
    { selector: "edge.chosen", style: { "line-color": c.chosen, "target-arrow-color": c.chosen, "opacity": 1, "z-index": 9 } },
    { selector: "node.found", style: { "border-width": 3, "border-color": c.chosen } },
  ];
}
// The zoom and the pan that show all nodes. The library's own fit looks at every edge, which takes half a second.
function fitting(nodes) {
  const width = $("picture").clientWidth, height = $("picture").clientHeight;
  let left = Infinity, right = -Infinity, top = Infinity, bottom = -Infinity;
  for (const { x, y } of nodes) { left = Math.min(left, x); right = Math.max(right, x); top = Math.min(top, y); bottom = Math.max(bottom, y); }
  if (!nodes.length) return { zoom: 1, pan: { x: 0, y: 0 } };
  const zoom = Math.min(1.6, (width - Math.min(120, width / 4)) / (right - left + 40), (height - 70) / (bottom - top + 40));
  return { zoom, pan: { x: width / 2 - zoom * (left + right) / 2, y: height / 2 - zoom * (top + bottom) / 2 - 6 } };
}
const fit = () => cy.viewport(fitting(cy.nodes().not(".gone").map((node) => node.position())));
function weights() {
  const values = view.edges.map((edge) => Number(edge.sums[0])).filter((value) => value > 0);
  const least = Math.log(Math.min(...values, 1e300)), most = Math.log(Math.max(...values, 1));
  return (value) => (value > 0 && most > least ? Math.min(1, Math.max(0, (Math.log(value) - least) / (most - least))) : 0.5);
}
function drawNetwork() {
  const sizes = view.nodes.map(() => 0);
  for (const edge of view.edges) { sizes[edge.source] += Number(edge.sums[0]); if (edge.target !== edge.source) sizes[edge.target] += Number(edge.sums[0]); }
  const logs = sizes.map((size) => Math.log(size + 1));
  const least = Math.min(...logs), most = Math.max(...logs);
  const weight = weights();
  const elements = [];
  view.nodes.forEach((node) => {
    node.sum = sizes[node.id];
    const [light, dark, shape] = look(node.kind);
    const part = most > least ? (logs[node.id] - least) / (most - least) : 0.5;
    elements.push({ group: "nodes", data: { id: "n" + node.id, at: node.id, size: Math.round(12 + 24 * part), light, dark, shape }, position: { x: node.x, y: node.y } });
  });
  // How many edges a pair of nodes has: only several need curves, which take longer to draw; too long if there are many.
  const isLarge = view.edges.length > MOST_CURVES;
  const between = new Map();
  const pair = (edge) => Math.min(edge.source, edge.target) + " " + Math.max(edge.source, edge.target);
  view.edges.forEach((edge) => between.set(pair(edge), (between.get(pair(edge)) || 0) + 1));
  view.edges.forEach((edge) => elements.push({ group: "edges", classes: edge.rejected ? "rejected" : "",
    data: { id: "e" + edge.id, at: edge.id, source: "n" + edge.source, target: "n" + edge.target, width: 0.8 + 8 * weight(Number(edge.sums[0])) ** 2,
      curve: edge.source === edge.target || (between.get(pair(edge)) > 1 && !isLarge) ? "bezier" : "straight" } }));
  if (cy) cy.destroy();
  cy = cytoscape({ container: $("picture"), elements, style: styles(), layout: { name: "preset", fit: false }, ...fitting(view.nodes), minZoom: 0.01, maxZoom: 6,
    pixelRatio: view.edges.length > 800 ? 1 : "auto", hideEdgesOnViewport: view.edges.length > 1200, textureOnViewport: false, boxSelectionEnabled: false });
  cy.one("render", () => { root.dataset.ready = String(Math.round(performance.now())); });
  cy.on("tap", "edge", (event) => choose({ edge: view.edges[event.target.data("at")] }));
  cy.on("tap", "node", (event) => choose({ node: view.nodes[event.target.data("at")] }));
  cy.on("tap", (event) => { if (event.target === cy) choose(null); });
  cy.on("viewport resize dragfree", soonTexts);
}
let textTimer = 0;
function soonTexts() { clearTimeout(textTimer); textTimer = setTimeout(showTexts, 60); }
let withTexts = null;
// As many texts as have room, of the largest nodes and edges first, at a constant size on the screen.
function showTexts() {
  if (!cy) return;
  const zoom = cy.zoom(), width = cy.width(), height = cy.height();
  const taken = [];
  const isFree = (box) => box[0] > -40 && box[2] < width + 40 && box[1] > -10 && box[3] < height + 20 &&
    taken.every((other) => box[2] < other[0] || box[0] > other[2] || box[3] < other[1] || box[1] > other[3]);
  const clip = (text, most) => (text.length > most ? text.slice(0, most - 1) + "\u2026" : text);
  cy.startBatch();
  if (withTexts) withTexts.removeStyle();
  withTexts = cy.collection();
  const pick = cy.collection().union(cy.$(".chosen"));
  const nodes = cy.nodes().filter((one) => !one.hasClass("gone")).sort((a, b) =>
    pick.has(b) - pick.has(a) || a.hasClass("faint") - b.hasClass("faint") || view.nodes[b.data("at")].sum - view.nodes[a.data("at")].sum);
  const put = [];
  nodes.forEach((node) => {
    if (put.length >= MOST_TEXTS) return;
    const at = node.renderedPosition(), text = clip(view.nodes[node.data("at")].label, 30);
    const half = text.length * 3.4, top = at.y + node.data("size") * zoom / 2;
    const box = [at.x - half, top, at.x + half, top + 15];
    if (!isFree(box)) return;
    taken.push(box);
    put.push([node, { "label": text, "font-size": 12 / zoom, "text-margin-y": 2 / zoom, "text-outline-width": 2 / zoom }]);
  });
  const most = put.length + MOST_TEXTS;
  for (const edge of shown.slice(0, 600)) {
    if (put.length >= most) break;
    const line = cy.getElementById("e" + edge.id);
    if (line.hasClass("faint")) continue;
    const a = line.source().renderedPosition(), b = line.target().renderedPosition();
    const text = clip(edge.service, 24) + " " + short(edge.now, metrics[0]);
    const half = text.length * 3;
    if (edge.source !== edge.target && Math.hypot(a.x - b.x, a.y - b.y) < half * 1.3) continue;
    const at = line.renderedMidpoint();
    if (!at || Number.isNaN(at.x)) continue;
    const box = [at.x - half, at.y - 8, at.x + half, at.y + 8];
    if (!isFree(box)) continue;
    taken.push(box);
    put.push([line, { "label": text, "font-size": 10.5 / zoom, "text-background-padding": 1.5 / zoom }]);
  }
  for (const [element, style] of put) { element.style(style); withTexts = withTexts.union(element); }
  cy.endBatch();
}
function showPicture() {
  const edges = new Map(shown.map((edge) => [edge.id, edge])), nodes = new Set();
  shown.forEach((edge) => { nodes.add(edge.source); nodes.add(edge.target); });
  const text = $("search").value.trim().toLowerCase();
  const weight = weights();
  const timed = !allHours();
  cy.startBatch();
  cy.edges().forEach((line) => {
    const edge = edges.get(line.data("at"));
    line.toggleClass("gone", !edge);
    if (edge) line.data("width", 0.8 + 8 * weight(Number(timed ? edge.now : edge.sums[0])) ** 2);
  });
  cy.nodes().forEach((node) => {
    node.toggleClass("gone", !nodes.has(node.data("at")));
    node.toggleClass("found", Boolean(text) && view.nodes[node.data("at")].label.toLowerCase().includes(text));
  });
  cy.endBatch();
  soonTexts();
}

// --- What is chosen -------------------------------------------------------------------------------------------------
function choose(what, isByKey) {
  chosen = what;
  cy.startBatch();
  cy.elements().removeClass("chosen faint");
  if (what) {
    const own = cy.getElementById(what.edge ? "e" + what.edge.id : "n" + what.node.id);
    own.addClass("chosen");
    cy.elements().difference(what.edge ? own.union(own.connectedNodes()) : own.closedNeighborhood()).addClass("faint");
  }
  cy.endBatch();
  showPanel(isByKey);
  cy.resize();
  soonTexts();
}
function showPanel(isByKey) {
  const panel = $("panel");
  panel.hidden = !chosen;
  if (!chosen) { panel.replaceChildren(); return; }
  const close = make("button", { type: "button", onclick: () => choose(null) }, "Close");
  if (chosen.edge) {
    const edge = chosen.edge;
    const facts = metrics.map((metric, at) => make("p", null, metric + ": " + both(edge.sums[at], metric)));
    if (!allHours()) facts.push(make("p", null, metrics[0] + " in the hours that were chosen: " + both(edge.now, metrics[0])));
    const nodes = edge.source === edge.target ? [edge.source] : [edge.source, edge.target];
    panel.replaceChildren(make("h2", null, label(edge)),
      make("p", edge.rejected ? { class: "rejected" } : null, edge.service + (edge.rejected ? ", rejected" : "")), ...facts,
      make("div", { class: "buttons" }, ...nodes.map((at) => make("button", { type: "button", onclick: () => choose({ node: view.nodes[at] }, true) }, view.nodes[at].label)), close),
      ...talkersTable(edge));
  } else {
    const node = chosen.node;
    const its = shown.filter((edge) => edge.source === node.id || edge.target === node.id);
    const body = make("tbody");
    its.slice(0, 100).forEach((edge) => body.append(make("tr", null,
      make("td", null, make("button", { type: "button", class: "open", onclick: () => choose({ edge }, true) }, label(edge))),
      make("td", edge.rejected ? { class: "rejected" } : null, edge.service + (edge.rejected ? ", rejected" : "")), make("td", { class: "number" }, short(edge.now, metrics[0])))));
    const table = make("table", null, make("caption", null, "Its edges that are shown" + (its.length > 100 ? ", the 100 largest of " + its.length : "")),
      make("thead", null, make("tr", null, make("th", { scope: "col" }, "edge"), make("th", { scope: "col" }, "service"), numberHead(metrics[0]))), body);
    panel.replaceChildren(make("h2", null, node.label), make("p", null, node.kind + "; " + plural(its.length, "edge", "edges") + ", " + measure(String(total(its)), metrics[0])),
      make("div", { class: "buttons" },
        make("button", { type: "button", onclick: () => { hiddenLabels.add(node.label); choose(null); show(); } }, "Hide it"),
        make("button", { type: "button", onclick: () => { only = node.label; choose(null); show(); } }, "Only it and its neighbours"), close),
      make("div", { class: "wide", tabindex: "0", role: "region", "aria-label": "Edges of " + node.label }, table));
  }
  if (isByKey) panel.focus();
}

// --- Together -------------------------------------------------------------------------------------------------------
function show() {
  filter();
  say();
  showPicture();
  showTable();
}
let showTimer = 0;
function soonShow() { clearTimeout(showTimer); showTimer = setTimeout(show, 90); }
function showKinds() {
  const kinds = [...new Set(view.nodes.map((node) => node.kind))].sort();
  $("kinds").replaceChildren($("kinds").querySelector("legend"), ...kinds.map((kind) => {
    const box = make("input", { type: "checkbox", "data-kind": kind });
    box.checked = !hiddenKinds.has(kind);
    box.addEventListener("change", () => { if (box.checked) hiddenKinds.delete(kind); else hiddenKinds.add(kind); show(); });
    return make("label", null, box, drawKey(kind), kind);
  }));
}
function showVerdicts() {
  const has = view.edges.some((edge) => edge.rejected);
  const parts = [["accepted", false], ["rejected", true]].filter(([, rejected]) => has || !rejected).map(([name, rejected]) => {
    const before = $(name);
    const parts = [drawLine(rejected), name + (rejected ? "" : ", as wide as it has " + metrics[0])];
    if (!has) return make("span", null, ...parts);
    const box = make("input", { type: "checkbox", id: name });
    box.checked = !before || before.checked;
    box.addEventListener("change", show);
    return make("label", null, box, ...parts);
  });
  $("verdicts").replaceChildren($("verdicts").querySelector("legend"), ...parts);
}
function openView() {
  order = null;
  rowLimit = 200;
  chosen = null;
  only = null;
  opened.clear();
  hiddenLabels.clear();
  $("panel").hidden = true;
  $("most").max = Math.max(1, view.edges.length);
  $("most").value = view.edges.length;
  $("command").textContent = view.command;
  $("copied").textContent = "";
  showKinds();
  showVerdicts();
  drawNetwork();
  show();   // texts come soon after the first picture
}
views.forEach((one, at) => $("view").append(make("option", { value: at }, one.by)));
$("view").value = "0";
$("view").addEventListener("change", () => { view = views[Number($("view").value)]; openView(); });
if (hours.length > 1) {
  $("hours").hidden = false;
  for (const id of ["hours-from", "hours-to"]) $(id).max = hours.length - 1;
  $("hours-from").value = 0;
  $("hours-to").value = hours.length - 1;
  $("hours-from").addEventListener("input", () => { if (Number($("hours-from").value) > Number($("hours-to").value)) $("hours-to").value = $("hours-from").value; say(); soonShow(); });
  $("hours-to").addEventListener("input", () => { if (Number($("hours-to").value) < Number($("hours-from").value)) $("hours-from").value = $("hours-to").value; say(); soonShow(); });
} else if (hours.length === 1) {
  $("hours-from").max = $("hours-to").max = 0;
}
$("controls").addEventListener("submit", (event) => event.preventDefault());
$("search").value = "";
$("search").addEventListener("input", soonShow);
$("most").addEventListener("input", () => { sayMost(); soonShow(); });
$("show-all").addEventListener("click", () => { hiddenLabels.clear(); only = null; show(); $("search").focus(); });
$("more-rows").addEventListener("click", () => moreRows(rowLimit + 200));
$("all-rows").addEventListener("click", () => moreRows(shown.length));
const zoomBy = (factor) => cy.zoom({ level: cy.zoom() * factor, renderedPosition: { x: cy.width() / 2, y: cy.height() / 2 } });
$("zoom-in").addEventListener("click", () => zoomBy(1.4));
$("zoom-out").addEventListener("click", () => zoomBy(1 / 1.4));
$("fit").addEventListener("click", fit);
$("panel").addEventListener("keydown", (event) => { if (event.key === "Escape") { choose(null); $("view").focus(); } });
$("copy").addEventListener("click", async () => {
  const text = $("command").textContent;
  try { await navigator.clipboard.writeText(text); $("copied").textContent = "Copied."; }
  catch {
    getSelection().selectAllChildren($("command"));
    $("copied").textContent = document.execCommand("copy") ? "Copied." : "Chosen: copy it with the keyboard.";
  }
});
onTheme.push(() => { cy.style(styles()); showKinds(); withTexts = null; showTexts(); });
addEventListener("beforeprint", () => { printing = true; rowLimit = Math.max(rowLimit, shown.length); themed(); showTable(); cy.resize(); fit(); showTexts(); });
addEventListener("afterprint", () => { printing = false; themed(); cy.resize(); fit(); });
// A phone that is turned; its address bar changes the height alone.
let width = innerWidth;
addEventListener("resize", () => {
  if (innerWidth === width) return;
  width = innerWidth;
  cy.resize();
  fit();
  soonTexts();
});
openView();
})();

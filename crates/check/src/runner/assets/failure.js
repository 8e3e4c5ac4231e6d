"use strict";
// The page of one failure. All of its data is in the JSON element of the page.

const execution = JSON.parse(document.getElementById("execution").textContent);
const steps = execution.steps;
const rows = fold(steps);
const rowOf = new Map(rows.flatMap((row, index) => row.steps.map((step) => [step, index])));
const lanes = 1 + Math.max(0, ...steps.map((step) => step.process ?? 0));
let selected = rows.length - 1;

function byId(id) { return document.getElementById(id); }

function element(name, text, classes) {
  const node = document.createElement(name);
  if (text !== undefined) node.textContent = text;
  if (classes) node.className = classes;
  return node;
}

// Creates a table row.
function line(...cells) {
  const node = element("tr");
  node.append(...cells.map((cell) => (typeof cell === "string" ? element("td", cell) : cell)));
  return node;
}

// Groups consecutive repetitions of a step into one row.
function fold(steps) {
  const rows = [];
  steps.forEach((step, number) => {
    const last = rows.at(-1);
    const same = last && ["process", "action", "site"].every((key) => last.step[key] === step[key]);
    if (same) last.steps.push(number);
    else rows.push({ step, steps: [number] });
  });
  return rows;
}

// Returns the rows that happen before a row: earlier rows of the process, the rows that they
// synchronize with, and the setup. Every row happens before the verification.
function happensBefore(index) {
  const found = new Set();
  const visit = [index];
  const isSetup = (row) => row.step.process === null;
  while (visit.length > 0) {
    const row = visit.pop();
    const before = rows[row].steps.flatMap((step) => steps[step].synchronizes_with).map((step) => rowOf.get(step));
    for (let other = 0; other < row; other += 1) {
      const same = rows[other].step.process === rows[row].step.process;
      if (same || isSetup(rows[other]) || isSetup(rows[row]) || before.includes(other)) {
        if (!found.has(other)) { found.add(other); visit.push(other); }
      }
    }
  }
  return found;
}

function drawTable() {
  const head = element("tr");
  head.append(element("th"));
  for (let lane = 0; lane < lanes; lane += 1) head.append(element("th", `process ${lane}`));
  document.querySelector("#lanes thead").append(head);
  const asleep = new Array(lanes).fill(false);
  const last = rows.map((row) => row.step.process);
  rows.forEach((row, index) => {
    const line = element("tr");
    line.append(element("td", String(row.steps[0] + 1), "number"));
    const { process, action, sleeps } = row.step;
    const times = row.steps.length > 1 ? ` (${row.steps.length} times)` : "";
    if (process === null) {
      const cell = element("td");
      cell.colSpan = lanes;
      const when = rows.slice(0, index).some((earlier) => earlier.step.process !== null) ? "verification" : "setup";
      cell.append(element("span", `${when}: ${action}${times}`, "step code"));
      line.append(cell);
    } else {
      if (sleeps === false) asleep[process] = false;
      for (let lane = 0; lane < lanes; lane += 1) {
        const isOver = !asleep[lane] && last.lastIndexOf(lane) < index;
        const cell = element("td", undefined, `lane${asleep[lane] ? " asleep" : ""}${isOver ? " over" : ""}`);
        if (lane === process) cell.append(element("span", action + times, "step code"));
        line.append(cell);
      }
      if (sleeps === true) asleep[process] = true;
    }
    line.addEventListener("click", () => select(index));
    document.querySelector("#lanes tbody").append(line);
    row.line = line;
  });
}

const SVG = "http://www.w3.org/2000/svg";

function drawArrows() {
  const svg = byId("arrows");
  const picture = byId("picture");
  const table = byId("lanes");
  svg.setAttribute("width", table.scrollWidth);
  svg.setAttribute("height", table.scrollHeight);
  const kinds = { reads: "--reads", orders: "--good", races: "--bad" };
  svg.querySelector("defs").replaceChildren(...Object.entries(kinds).map(([kind, color]) => {
    const marker = document.createElementNS(SVG, "marker");
    const shape = document.createElementNS(SVG, "path");
    const attributes = { id: kind, viewBox: "0 0 8 8", refX: 7, refY: 4, markerWidth: 9, markerHeight: 9,
      markerUnits: "userSpaceOnUse", orient: "auto" };
    Object.entries(attributes).forEach(([name, value]) => marker.setAttribute(name, value));
    shape.setAttribute("d", "M0,0 L8,4 L0,8 z");
    shape.style.fill = `var(${color})`;
    shape.style.stroke = "none";
    marker.append(shape);
    return marker;
  }));
  const origin = picture.getBoundingClientRect();
  const box = (row) => {
    const at = rows[row].line.querySelector(".step").getBoundingClientRect();
    const left = at.left - origin.left + picture.scrollLeft;
    return { left, right: left + at.width, middle: at.top - origin.top + at.height / 2 };
  };
  svg.querySelector("g").replaceChildren(...arrows().map(({ from, to, kind, unsure }) => {
    const [a, b] = [box(from), box(to)];
    const isSame = rows[from].step.process === rows[to].step.process;
    const rightwards = a.right < b.left;
    const start = isSame ? a.left : rightwards ? a.right : a.left;
    const end = isSame || rightwards ? b.left : b.right;
    const bend = isSame ? -26 : rightwards ? 40 : -40;
    const shift = kind === "orders" ? 3 : -3;
    const path = document.createElementNS(SVG, "path");
    const second = isSame ? end + bend : end - bend;
    path.setAttribute("d", `M${start},${a.middle + shift} C${start + bend},${a.middle + shift} ${second},${b.middle + shift} ${end},${b.middle + shift}`);
    path.setAttribute("marker-end", `url(#${kind})`);
    path.classList.add(kind);
    path.classList.toggle("unsure", Boolean(unsure));
    path.classList.toggle("later", Math.max(from, to) > selected);
    path.classList.toggle("near", from === selected || to === selected);
    return path;
  }));
}

// Arrows between processes, and within the process for the selected step.
function arrows() {
  const all = [];
  const add = (from, to, kind, unsure) => {
    const isSame = rows[from].step.process === rows[to].step.process;
    const isNear = from === selected || to === selected;
    if (from !== to && (!isSame || isNear)) all.push({ from, to, kind, unsure });
  };
  rows.forEach((row, to) => row.steps.forEach((number) => {
    const { reads_from: reads, synchronizes_with: releases, races_with: race } = steps[number];
    if (reads) add(rowOf.get(reads.step), to, "reads", !reads.is_certain);
    releases.forEach((step) => add(rowOf.get(step), to, "orders"));
    if (race !== null) add(rowOf.get(race), to, "races");
  }));
  return all;
}

function select(index) {
  selected = Math.min(Math.max(index, 0), rows.length - 1);
  const before = happensBefore(selected);
  const race = rows[selected].step.races_with;
  rows.forEach(({ line }, row) => {
    line.classList.toggle("selected", row === selected);
    line.classList.toggle("later", row > selected);
    line.classList.toggle("before", before.has(row));
    line.classList.toggle("race", race !== null && row === rowOf.get(race));
  });
  rows[selected].line.scrollIntoView({ block: "nearest" });
  drawArrows();
  showSource(rows[selected].step.site);
  showMemory();
  history.replaceState(null, "", `#${rows[selected].steps[0] + 1}`);
}

function showSource(site) {
  const split = site.lastIndexOf(":");
  const [file, line] = [site.slice(0, split), Number(site.slice(split + 1))];
  byId("site").textContent = site;
  const source = byId("source");
  const text = execution.sources[file];
  const lines = text === undefined ? ["the source file was not found"] : text.split("\n");
  source.replaceChildren(...lines.map((content, index) => {
    const node = element("div", undefined, index + 1 === line ? "here" : undefined);
    node.append(element("span", String(index + 1)), content);
    return node;
  }));
  const here = source.querySelector(".here");
  if (here) source.scrollTop = here.offsetTop - source.offsetTop - source.clientHeight / 2;
}

// Shows the last write to each word, in the order of the execution.
function showMemory() {
  const values = new Map();
  const done = rows.slice(0, selected + 1).flatMap((row) => row.steps);
  done.forEach((step) => { if (steps[step].writes) values.set(...steps[step].writes); });
  const lines = [...values].sort(([a], [b]) => a - b).map(([word, value]) => {
    const node = (execution.words[word] ?? "").replace(/^\d+: /, "");
    return line(`word ${word}`, `= ${value}`, element("td", node, "faint"));
  });
  byId("memory").replaceChildren(...(lines.length > 0 ? lines : [line("no write so far")]));
}

function showTexts() {
  byId("model").textContent = execution.model;
  byId("verdict").textContent = execution.verdict;
  byId("verdict").classList.add(execution.passed ? "good" : "bad");
  byId("message").textContent = execution.message;
  byId("found").textContent = `${execution.found}.`;
  byId("replay").textContent = execution.replay ?? "The execution cannot be replayed.";
  byId("process-states").replaceChildren(...execution.process_states.map((text) => line(text)));
}

function sameProcess(direction) {
  const mine = rows[selected].step.process;
  for (let row = selected + direction; row >= 0 && row < rows.length; row += direction) {
    if (rows[row].step.process === mine) return row;
  }
  return selected;
}

const KEYS = {
  ArrowDown: () => selected + 1,
  ArrowUp: () => selected - 1,
  ArrowRight: () => sameProcess(1),
  ArrowLeft: () => sameProcess(-1),
  Home: () => 0,
  End: () => rows.length - 1,
};

document.addEventListener("keydown", (event) => {
  const key = KEYS[event.key];
  if (!key || event.altKey || event.ctrlKey || event.metaKey) return;
  event.preventDefault();
  select(key());
});
new ResizeObserver(drawArrows).observe(byId("lanes"));

showTexts();
drawTable();
const fromHash = rowOf.get(Number(location.hash.slice(1)) - 1);
select(fromHash ?? rows.length - 1);

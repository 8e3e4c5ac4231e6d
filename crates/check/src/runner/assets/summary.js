"use strict";
// The board. Everything that is shown is in the JSON beside this script.

const board = JSON.parse(document.getElementById("data").textContent);
const models = board.run?.found.models ?? [];
const litmus = board.run?.found.litmus ?? [];
const weakened = board.weakened?.found ?? [];
const MENDED = ", mended";

function element(name, content, classes) {
  const made = document.createElement(name);
  made.append(...[content ?? []].flat());
  if (classes) made.className = classes;
  return made;
}

function row(...cells) {
  return element("tr", cells.map((cell) => (cell instanceof HTMLTableCellElement ? cell : element("td", cell))));
}

function table(head, rows, id) {
  const made = element("table", [
    element("thead", element("tr", head.map((text) => element("th", text)))),
    element("tbody", rows),
  ]);
  made.id = id;
  return made;
}

function add(title, ...content) {
  document.getElementById("board").append(element("h2", title), ...content);
}

function number(value) { return value.toLocaleString("en"); }

function badge(model) {
  const bounded = model.verdict.match(/^bounded\((\d+)\)$/);
  const text = bounded ? `≤ ${bounded[1]}` : model.verdict.replace(/^(blind): .*/, "$1");
  const made = element("span", text, `badge ${!model.is_good ? "bad" : bounded ? "partly" : "good"}`);
  const deaths = model.crash_points ? [`killed at ${number(model.crash_points)} crash points`] : [];
  made.title = [`${model.name}: ${model.verdict}`, `${number(model.executions)} executions`, ...deaths, ...model.remarks].join("\n");
  return made;
}

function name(model) {
  const text = model.name.slice(model.name.indexOf("/") + 1);
  if (!model.page) return text;
  const link = element("a", text);
  link.href = model.page;
  return link;
}

// mutex/excludes/3, interrupted: of the mutex, the property excludes, in a variant.
function parts(model) {
  const [primitive, property = "", rest = ""] = model.name.split("/");
  const [, ...variants] = rest.split(", ");
  return { primitive, property, variant: variants.join(", ") };
}

function scores() {
  const score = (value, text) => element("div", [element("b", value), text], "score");
  const of = (good, all) => `${good} of ${all}`;
  const good = models.filter((model) => model.is_good).length;
  const executions = models.reduce((sum, model) => sum + model.all_executions, 0);
  const made = [score(of(good, models.length), "models as they should be"), score(number(executions), "executions")];
  if (weakened.length > 0) {
    const caught = weakened.filter((site) => site.caught).length;
    made.push(score(of(caught, weakened.length), `weakened lines noticed${board.is_of_one_build ? "" : ", in another build"}`));
  }
  const [exhibits, others] = bugs();
  const caught = (some) => some.filter((bug) => bug.is_good).length;
  if (exhibits.length > 0) made.push(score(of(caught(exhibits), exhibits.length), "published bugs caught"));
  if (others.length > 0) made.push(score(of(caught(others), others.length), "made bugs caught"));
  if (litmus.length > 0) {
    const pinned = litmus.filter((test) => "Ok" in test.result).length;
    made.push(score(of(pinned, litmus.length), "litmus tests of the engine as pinned"));
  }
  document.getElementById("scores").append(...made);
}

// Known bugs: those with a mended form beside them, and the others.
function bugs() {
  const names = new Set(models.map((model) => model.name));
  const all = models.filter((model) => model.is_bug);
  const hasMended = (model) => names.has(model.name + MENDED);
  return [all.filter(hasMended), all.filter((model) => !hasMended(model))];
}

function properties() {
  const sound = models.filter((model) => !model.is_bug && !model.name.endsWith(MENDED));
  if (sound.length === 0) return;
  const sizes = [...new Set(sound.map((model) => model.processes))].sort();
  const rows = [];
  Map.groupBy(sound, (model) => parts(model).primitive).forEach((all, primitive) => {
    const head = element("th", primitive, "primitive");
    head.colSpan = sizes.length + 1;
    rows.push(element("tr", head));
    Map.groupBy(all, (model) => parts(model).property).forEach((some, property) => {
      const cells = sizes.map((size) => some.filter((model) => model.processes === size).map((model) => {
        const { variant } = parts(model);
        const deaths = model.crash_points ? `, ${number(model.crash_points)} crash points` : "";
        const count = ` ${number(model.executions)}${deaths}${variant ? `, ${variant}` : ""}`;
        return element("div", [badge(model), element("span", count, "count")]);
      }));
      rows.push(row(property.replaceAll("_", " "), ...cells));
    });
  });
  add("Primitives and their properties", table(["", ...sizes.map((size) => `${size} process${size > 1 ? "es" : ""}`)], rows, "properties"));
}

function knownBugs() {
  const [exhibits, others] = bugs();
  const mended = new Map(models.map((model) => [model.name, model]));
  if (exhibits.length > 0) {
    const rows = exhibits.map((bug) => {
      const sound = mended.get(bug.name + MENDED);
      return row(name(bug), badge(bug), number(bug.executions), badge(sound), number(sound.executions));
    });
    add("Museum: published bugs, each mended beside it", table(["bug", "found", "executions until then", "mended", "executions"], rows, "museum"));
  }
  if (others.length > 0) {
    const rows = others.map((bug) => row(name(bug), badge(bug), number(bug.executions)));
    add("Known bugs that must be caught", table(["bug", "found", "executions until then"], rows, "bugs"));
  }
}

function weakenings() {
  if (weakened.length === 0) return;
  const rows = weakened.map(({ site, source, change, caught }) => row(
    element("td", site, "code"), element("td", source, "code source"), change,
    element("span", caught ? caught.model : "no model", `badge ${caught ? "good" : "bad"}`),
    caught ? caught.kind.replace(/(?<=.)([A-Z])/g, " $1").toLowerCase() : "", caught ? number(caught.executions) : ""));
  const note = board.is_of_one_build ? [] : [element("p", "From another build of the models.", "faint")];
  add("Every line is needed: each ordering and each wake weakened, one at a time", ...note,
    table(["line", "source", "weakening", "noticed by", "as", "executions until then"], rows, "weakened"));
}

function engine() {
  if (litmus.length === 0) return;
  const rows = litmus.map(({ name: test, result }) => {
    const isGood = "Ok" in result;
    return row(test.replace("litmus/", ""), element("span", isGood ? "as pinned" : "FAILED", `badge ${isGood ? "good" : "bad"}`), result.Ok ?? result.Err);
  });
  const details = element("details", [element("summary", "Litmus tests: what the engine explores, and what it does not"),
    table(["test", "", "observed"], rows, "litmus")]);
  document.getElementById("board").append(details);
}

document.querySelector("h1").textContent = `${board.package}: what was checked`;
const total = board.run?.found.all ?? 0;
const isPart = models.length + litmus.length < total;
document.getElementById("made").textContent = `Made ${document.lastModified}.${isPart ? ` A part: ${models.length + litmus.length} of ${total} models and tests were chosen.` : ""}`;
scores();
properties();
weakenings();
knownBugs();
engine();

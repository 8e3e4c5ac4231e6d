"use strict";
// The summary page. All of its data is in the JSON element of the page.

const summary = JSON.parse(document.getElementById("data").textContent);
const models = summary.run?.results.models ?? [];
const litmus = summary.run?.results.litmus ?? [];
const weakenings = summary.weakenings?.results ?? [];
const FIXED = ", fixed";

function element(name, content, classes) {
  const node = document.createElement(name);
  node.append(...[content ?? []].flat());
  if (classes) node.className = classes;
  return node;
}

function row(...cells) {
  return element("tr", cells.map((cell) => (cell instanceof HTMLTableCellElement ? cell : element("td", cell))));
}

function table(head, rows, id) {
  const node = element("table", [
    element("thead", element("tr", head.map((text) => element("th", text)))),
    element("tbody", rows),
  ]);
  node.id = id;
  return node;
}

function add(title, ...content) {
  document.getElementById("results").append(element("h2", title), ...content);
}

function number(value) { return value.toLocaleString("en"); }

function badge(model) {
  const bounded = model.verdict.match(/^bounded\((\d+)\)$/);
  const verdict = model.verdict.replace(/^(blind): .*/, "$1").replace(/^exhaustive over .*/, "over contracts");
  const text = bounded ? `≤ ${bounded[1]}` : verdict;
  const node = element("span", text, `badge ${!model.passed ? "bad" : bounded ? "partly" : "good"}`);
  const deaths = model.crash_points ? [`death at ${number(model.crash_points)} crash points`] : [];
  node.title = [`${model.name}: ${model.verdict}`, `${number(model.executions)} executions`, ...deaths, ...model.remarks].join("\n");
  return node;
}

function name(model) {
  const text = model.name.slice(model.name.indexOf("/") + 1);
  if (!model.page) return text;
  const link = element("a", text);
  link.href = model.page;
  return link;
}

// mutex/excludes/3, 1 interruption: primitive, property, number of processes, variant.
function parts(model) {
  const [primitive, property = "", rest = ""] = model.name.split("/");
  const [, ...variants] = rest.split(", ");
  // The badge says that a model is built on contracts.
  const others = variants.filter((variant) => variant !== "over contracts");
  return { primitive, property, variant: others.join(", ") };
}

function scores() {
  const score = (value, text) => element("div", [element("b", value), text], "score");
  const of = (passed, all) => `${passed} of ${all}`;
  const passed = models.filter((model) => model.passed).length;
  const executions = models.reduce((sum, model) => sum + model.all_executions, 0);
  const cards = [score(of(passed, models.length), "models passed"), score(number(executions), "executions")];
  if (weakenings.length > 0) {
    const caught = weakenings.filter((site) => site.caught).length;
    cards.push(score(of(caught, weakenings.length), `weakenings caught${summary.is_of_one_build ? "" : ", by another build"}`));
  }
  const [exhibits, others] = bugs();
  const caught = (some) => some.filter((bug) => bug.passed).length;
  if (exhibits.length > 0) cards.push(score(of(caught(exhibits), exhibits.length), "published bugs caught"));
  if (others.length > 0) cards.push(score(of(caught(others), others.length), "broken variants caught"));
  if (litmus.length > 0) {
    const passedTests = litmus.filter((test) => "Ok" in test.result).length;
    cards.push(score(of(passedTests, litmus.length), "litmus tests of the engine passed"));
  }
  document.getElementById("scores").append(...cards);
}

// Known bugs: those with a fixed form, and the others.
function bugs() {
  const names = new Set(models.map((model) => model.name));
  const all = models.filter((model) => model.is_bug);
  const hasFixed = (model) => names.has(model.name + FIXED);
  return [all.filter(hasFixed), all.filter((model) => !hasFixed(model))];
}

function properties() {
  const correct = models.filter((model) => !model.is_bug && !model.name.endsWith(FIXED));
  if (correct.length === 0) return;
  const sizes = [...new Set(correct.map((model) => model.processes))].sort();
  const rows = [];
  Map.groupBy(correct, (model) => parts(model).primitive).forEach((all, primitive) => {
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
  const byName = new Map(models.map((model) => [model.name, model]));
  if (exhibits.length > 0) {
    const rows = exhibits.map((bug) => {
      const fixed = byName.get(bug.name + FIXED);
      return row(name(bug), badge(bug), number(bug.executions), badge(fixed), number(fixed.executions));
    });
    add("Museum: published bugs and their fixes", table(["bug", "result", "executions until the failure", "fixed form", "executions"], rows, "museum"));
  }
  if (others.length > 0) {
    const rows = others.map((bug) => row(name(bug), badge(bug), number(bug.executions)));
    add("Broken variants that must be caught", table(["bug", "result", "executions until the failure"], rows, "bugs"));
  }
}

function weakeningTable() {
  if (weakenings.length === 0) return;
  const rows = weakenings.map(({ site, source, caught, reason }) => row(
    element("td", `${site.file}:${site.line}`, "code"), element("td", source, "code source"), site.change,
    element("span", caught ? caught.model : reason ?? "no model", `badge ${caught || reason ? "good" : "bad"}`),
    caught ? caught.kind.replace(/(?<=.)([A-Z])/g, " $1").toLowerCase() : "", caught ? number(caught.executions) : ""));
  const note = summary.is_of_one_build ? [] : [element("p", "Another build of the models produced this table.", "faint")];
  add("Weakenings: each memory ordering and each wake-up, one at a time", ...note,
    table(["line", "source", "weakening", "caught by", "as", "executions until the failure"], rows, "weakenings"));
}

function engine() {
  if (litmus.length === 0) return;
  const rows = litmus.map(({ name: test, result }) => {
    const passed = "Ok" in result;
    return row(test.replace("litmus/", ""), element("span", passed ? "passed" : "FAILED", `badge ${passed ? "good" : "bad"}`), result.Ok ?? result.Err);
  });
  const details = element("details", [element("summary", "Litmus tests: what the engine explores and what it misses"),
    table(["test", "", "observed"], rows, "litmus")]);
  document.getElementById("results").append(details);
}

document.querySelector("h1").textContent = `${summary.package}: results of the models`;
const total = summary.run?.results.all ?? 0;
const isPart = models.length + litmus.length < total;
document.getElementById("created").textContent = `Created ${document.lastModified}.${isPart ? ` The filters selected ${models.length + litmus.length} of ${total} models and tests.` : ""}`;
scores();
properties();
weakeningTable();
knownBugs();
engine();

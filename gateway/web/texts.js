
// Elements, and where texts part. Whatever came from a model or a user becomes text, never markup.

const at = (id) => document.getElementById(id);

function make(name, attributes, ...children) {
  const element = document.createElement(name);
  for (const [attribute, value] of Object.entries(attributes)) {
    if (value !== undefined && value !== null) element.setAttribute(attribute, value);
  }
  element.append(...children);
  return element;
}

// The first character in which two of these texts differ; undefined while none do.
// A text that is whole also parts from those that go on where it ends.
function parting(texts) {
  const spelt = texts.map(({ text, isWhole }) => ({ letters: Array.from(text), isWhole }));
  const longest = Math.max(0, ...spelt.map(({ letters }) => letters.length));
  for (let position = 0; position < longest; position += 1) {
    const here = new Set();
    for (const { letters, isWhole } of spelt) {
      if (position < letters.length) here.add(letters[position]);
      else if (isWhole) here.add("");
    }
    if (here.size > 1) return position;
  }
  return undefined;
}

// A text as nodes, with its first difference from the others marked.
function marked(text, position) {
  const letters = Array.from(text);
  if (position === undefined || position >= letters.length) return [text];
  const mark = make("mark", { title: `the samples part at character ${position}` }, letters[position]);
  return [letters.slice(0, position).join(""), mark, letters.slice(position + 1).join("")];
}

const LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ";

const count = (number, noun) => `${number} ${noun}${number === 1 ? "" : "s"}`;

const words = (name) => name.replaceAll("_", " ");

const PINS = { won: "pinned", lost: "pinned before", refused: "not pinned", off: "not pinned" };

// How long something lives on, in the largest unit of which there is more than one.
function left(age) {
  const [unit, size] = [["day", 86_400], ["hour", 3600], ["minute", 60]].find(([, each]) => age >= 1.5 * each) ?? ["second", 1];
  return count(Math.round(age / size), unit);
}

const seconds = (value) => (value < 1 ? `${Math.round(value * 1000)} ms` : `${value.toFixed(1)} s`);

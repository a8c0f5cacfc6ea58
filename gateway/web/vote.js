
// One question: its samples as they come, where they part, the tally, the verdict.

const FATES = {
  launched: "asked", writing: "writing", ballot: "voted", spoiled: "spoiled: no answer in it",
  abstained: "abstained", cancelled: "cancelled: it could change nothing", reference: "reference: it decides",
};
const TITLES = { cache: "From the cache", joined: "Joined", reference: "Decided by the reference lane" };

class Vote {
  constructor() {
    this.samples = new Map();
    this.candidates = []; // answers in the order in which they came: their letters and colours stay
    this.isDrawing = false;
    for (const id of ["problem", "verdict", "tally", "split"]) at(id).hidden = true;
    at("samples").replaceChildren();
    at("before").hidden = true;
    at("vote").hidden = false;
    at("vote-title").textContent = "Vote";
  }

  take(kind, told) {
    this[kind]?.(told);
  }

  question(told) {
    this.about = told;
    at("vote-title").textContent = `${told.policy}: at most ${count(told.k, "sample")}, answers by ${told.answer}, stop: ${told.stop}`;
  }

  joined() {
    at("vote-title").textContent += " (somebody else's vote on the same question: waiting for its verdict)";
  }

  launched({ index }) {
    this.change(index, { fate: "launched" });
  }

  said({ index, text, reasoning }) {
    const sample = this.sample(index);
    this.change(index, {
      fate: "writing", text: sample.text + text, reasoning: sample.reasoning + reasoning,
    });
  }

  came({ index, fate, answer, text, upstream, reason, status, tokens }) {
    const known = this.sample(index).text;
    if (answer !== undefined && answer !== null && !this.candidates.includes(answer)) this.candidates.push(answer);
    this.change(index, { fate, answer, upstream, tokens, text: text ?? known, why: [reason, status].filter(Boolean).join(" ") });
    announce(`Sample ${index} ${FATES[fate]}${["ballot", "reference"].includes(fate) && answer ? `: ${shortly(answer)}` : ""}`);
  }

  tally({ counts }) {
    const most = Math.max(...counts.map(({ votes }) => votes));
    const rows = counts.map(({ answer, votes, samples }) => make("li", { class: this.colour(answer) },
      this.letter(answer), make("code", { title: answer }, shortly(answer)),
      make("meter", { min: 0, max: Math.max(this.about?.k ?? most, most), value: votes, "aria-label": `votes for ${shortly(answer)}` }),
      make("span", {}, `${votes} (${samples.map((index) => `#${index}`).join(" ")})`)));
    at("tally").replaceChildren(make("h3", {}, "Tally"), make("ol", {}, ...rows));
    at("tally").hidden = counts.length === 0;
  }

  round(told) {
    this.ended = told;
  }

  verdict({ headers, content }) {
    const say = (name) => headers[`x-consistency-${name}`];
    const [source, outcome] = [say("source"), say("outcome")];
    for (const [index, sample] of this.samples) {
      if (["launched", "writing"].includes(sample.fate)) this.change(index, { fate: "cancelled" });
    }
    const facts = {
      agreement: say("agreement"), samples: `${say("samples")} of ${say("k")}`, "distinct answers": say("distinct"),
      "first difference": say("divergence") === undefined ? "none: one text" : `character ${say("divergence")}`,
      tokens: say("tokens"), margin: say("margin"), "samples saved": this.ended?.saved,
      answer: pinned(headers["cache-status"], this.ended?.pin), key: say("key")?.slice(0, 12),
    };
    const pairs = Object.entries(facts).filter(([, value]) => value !== undefined);
    at("verdict").replaceChildren(
      make("h3", {}, `${TITLES[source] ?? "Verdict"}: ${words(outcome)}`),
      make("pre", { tabindex: "0", role: "group", "aria-label": "The answer" }, content),
      make("dl", {}, ...pairs.map(([name, value]) => make("div", {}, make("dt", {}, name), make("dd", {}, String(value))))));
    at("verdict").dataset.sure = ["unanimous", "majority", "single"].includes(outcome) ? "yes" : "no";
    at("verdict").hidden = false;
    announce(`Verdict: ${words(outcome)}, agreement ${say("agreement")}, from ${source}`);
  }

  error({ error }) {
    this.fail(error.message);
  }

  fail(message) {
    for (const [index, sample] of this.samples) {
      if (["launched", "writing"].includes(sample.fate)) this.change(index, { fate: "cancelled" });
    }
    at("problem").textContent = message;
    at("problem").hidden = false;
  }

  sample(index) {
    if (!this.samples.has(index)) {
      const article = make("li", { class: "sample" }, make("h3", {}), make("pre", { tabindex: "0", role: "group", "aria-label": `Sample ${index}` }));
      this.samples.set(index, { text: "", reasoning: "", fate: "launched", article });
      const order = [...this.samples.keys()].sort((one, other) => one - other);
      at("samples").replaceChildren(...order.map((each) => this.samples.get(each).article));
    }
    return this.samples.get(index);
  }

  change(index, news) {
    Object.assign(this.sample(index), news);
    if (this.isDrawing) return;
    this.isDrawing = true;
    requestAnimationFrame(() => this.draw());
  }

  draw() {
    this.isDrawing = false;
    const texts = [...this.samples.values()].filter(({ fate, text }) => fate !== "abstained" && text)
      .map(({ text, fate }) => ({ text, isWhole: ["ballot", "spoiled", "reference"].includes(fate) }));
    const position = texts.length > 1 ? parting(texts) : undefined;
    at("split").hidden = position === undefined;
    at("split").textContent = `The texts part at character ${position}, marked below.`;
    for (const [index, sample] of this.samples) this.drawSample(index, sample, position);
  }

  drawSample(index, { article, fate, text, reasoning, answer, upstream, why, tokens }, position) {
    article.className = `sample ${this.colour(answer)}`;
    article.dataset.fate = fate;
    const state = [FATES[fate], why, upstream, tokens ? `${tokens} tokens` : ""].filter(Boolean).join(" · ");
    const title = make("b", {}, `#${index} `, ...(this.candidates.includes(answer) ? [this.letter(answer), " ", shortly(answer, 24)] : []));
    article.firstChild.replaceChildren(title, make("span", {}, state));
    const thinking = reasoning ? [make("i", {}, reasoning), "\n\n"] : [];
    article.lastChild.replaceChildren(...thinking, ...marked(text, position));
  }

  colour(answer) {
    const place = this.candidates.indexOf(answer);
    return place < 0 ? "" : `c${place % 5}`;
  }

  letter(answer) {
    const place = this.candidates.indexOf(answer);
    return make("span", { class: `letter ${this.colour(answer)}` }, LETTERS[place] ?? String(place + 1));
  }
}

// What became of the answer's pin, as `cache-status` (RFC 9211) has it, or our own round where there was one.
function pinned(status, fate) {
  const age = /; hit; ttl=(\d+)/.exec(status)?.[1];
  if (age !== undefined) return `from the pin, ${left(Number(age))} left`;
  if (fate !== undefined) return fate === "won" ? "pinned now" : PINS[fate];
  if (status.includes("collapsed")) return "from the vote that was joined";
  return status.includes("stored") ? "pinned now" : "not pinned";
}

const shortly = (answer, most = 60) => (answer.length > most ? `${answer.slice(0, most - 1)}…` : answer);

function announce(text) {
  at("said").textContent = text;
}

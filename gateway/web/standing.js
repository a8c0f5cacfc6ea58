
// The gateway beside the question: the consistency rate, the last rounds, the upstreams.

const percent = (share) => `${(share * 100).toFixed(1)} %`;
const ROUNDS = 12;
const TROUBLES = {
  open: "Breaker open: it keeps failing, and is left alone for a while.",
  "half-open": "Breaker half-open: it kept failing; one call at a time is let through, and decides.",
};

const standing = {
  choices({ version, models, policies, no_lane_for: barred, default_policy: usual, max_k: most }) {
    at("version").textContent = version;
    at("k").max = most;
    choose(at("model"), models.map((name) => [name, name]), [this.wanted?.model]);
    const offers = Object.entries(policies).map(([name, k]) => [name, `${name} (${barred.includes(name) ? "needs a reference lane" : `k=${k}`})`]);
    choose(at("policy"), offers, [this.wanted?.policy, usual], barred);
  },

  summary({ consistency, upstream_states: upstreams, cache, in_flight: inFlight }) {
    headline(consistency);
    at("rates").hidden = consistency.length === 0;
    at("rates").tBodies[0].replaceChildren(...consistency.map(rateRow));
    at("upstreams").replaceChildren(...Object.entries(upstreams).map(upstreamRow));
    at("cache").textContent = `${count(cache.entries, "pin")} in memory, ${Math.ceil(cache.bytes / 1024)} KiB of ${Math.round(cache.limit / 2 ** 20)} MiB`
      + `${cache.degraded ? "; Redis is down, or takes no writes" : ""}. ${count(inFlight, "request")} in flight.`;
  },

  round(told) {
    const body = at("rounds").tBodies[0];
    body.prepend(make("tr", {},
      cell(words(told.outcome), PINS[told.pin]),
      cell(told.agreement?.toFixed(2) ?? "none", `${told.ballots + told.spoiled} of ${told.k}`),
      named(told.model, `${told.policy}, ${seconds(told.seconds)}`)));
    while (body.rows.length > ROUNDS) body.deleteRow(-1);
    at("rounds").hidden = false;
    at("no-rounds").hidden = true;
  },
};

// Samples seconds apart say what tomorrow brings; copies sent together are an upper bound, and called so.
function headline(rates) {
  const kind = rates.some(({ spread }) => spread === "apart") ? "apart" : "together";
  const chosen = rates.filter(({ spread }) => (kind === "apart" ? spread === "apart" : true));
  const most = chosen.sort((one, other) => other.questions - one.questions)[0];
  if (!most) {
    at("headline").replaceChildren(make("p", { class: "hint" }, "No two samples of a question were compared yet."));
    return;
  }
  const meaning = kind === "apart"
    ? "of questions gave the same answer twice, asked seconds apart"
    : "of questions gave two samples with the same answer; they were asked together, so read it as an upper bound";
  at("headline").replaceChildren(
    make("p", { class: "big" }, percent(most.rate)),
    make("p", { class: "hint" }, `${meaning}. ${most.model}, ${most.policy}: ${count(most.questions, "question")}, `
      + `95 % interval ${percent(most.interval[0])} to ${percent(most.interval[1])}.`));
}

function rateRow({ model, policy, spread, rate, interval, questions }) {
  const [low, high] = interval.map((share) => (share * 100).toFixed(1));
  return make("tr", {}, named(model, policy),
    cell(percent(rate), `${low} – ${high} %`), cell(String(questions), spread));
}

// A table's cell: what counts, and something quiet below it. So six facts of a round fit beside a vote, and on a phone.
function cell(text, quiet, kind) {
  return make("td", { class: kind }, text, ...(quiet ? [" ", make("small", {}, quiet)] : []));
}

const named = (model, quiet) => cell(model, quiet, "named");

function upstreamRow([name, { state, lane, breaker, doubt }]) {
  const troubles = [TROUBLES[breaker], doubt && `Not used as a reference lane: ${doubt}.`].filter(Boolean);
  const trusted = lane === "reference" && !doubt ? ", trusted" : "";
  return make("li", {}, `${name}: `, make("b", { "data-state": state }, state),
    make("span", { class: "hint" }, `, ${lane} lane${trusted}, breaker ${breaker}`),
    ...troubles.map((text) => make("p", { class: "problem" }, text)));
}

// Offers these, and chooses what was chosen before, or else the first of `usual` that can be.
function choose(select, options, usual, barred = []) {
  const before = select.value;
  select.replaceChildren(...options.map(([value, text]) => make("option", { value, disabled: barred.includes(value) ? "" : null }, text)));
  const open = options.map(([value]) => value).filter((value) => !barred.includes(value));
  select.value = [before, ...usual].find((value) => open.includes(value)) ?? open[0] ?? "";
}

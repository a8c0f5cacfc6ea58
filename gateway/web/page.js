
// Wiring: the form, and the feed that is read for as long as the page is open.

let asking; // aborts the question under way

function body() {
  const number = (id) => (at(id).value === "" ? undefined : Number(at(id).value));
  const consistency = { policy: at("policy").value, k: number("k"), answer: at("answer").value || undefined };
  return {
    model: at("model").value, messages: [{ role: "user", content: at("question").value }],
    stream: true, temperature: number("temperature"), max_tokens: number("max-tokens"), consistency,
  };
}

async function ask() {
  asking?.abort();
  const mine = asking = new AbortController();
  const vote = new Vote();
  busy(true);
  at("vote-title").focus({ preventScroll: true });
  try {
    const headers = { "content-type": "application/json", ...(at("anew").checked ? { "cache-control": "no-cache" } : {}) };
    const response = await call("/v1/consistency/ask", { method: "POST", headers, body: JSON.stringify(body()), signal: mine.signal });
    await readEvents(response, (kind, told) => vote.take(kind, told));
  } catch (error) {
    vote.fail(mine.signal.aborted ? "Stopped." : error.message);
    if (error instanceof Refused) lock(error.status);
  }
  if (mine === asking) busy(false);
}

function busy(is) {
  at("stop").disabled = !is;
  at("vote").setAttribute("aria-busy", is);
}

function lock(status) {
  if ([401, 403].includes(status)) at("unlock").hidden = false;
}

function feed(state, text = state) {
  if (at("feed").dataset.state === state) return;
  at("feed").dataset.state = state;
  at("feed").textContent = text;
}

async function follow() {
  for (let wait = 500; ; wait = Math.min(wait * 2, 10_000)) {
    try {
      const response = await call("/events");
      feed("live");
      at("unlock").hidden = true;
      at("rounds").tBodies[0].replaceChildren();
      wait = 500;
      await readEvents(response, (kind, told) => standing[kind]?.(told));
      feed("lost", "the gateway ended the connection; trying again");
    } catch (error) {
      if (error instanceof Refused) {
        feed("locked", error.message);
        lock(error.status);
        await unlocked();
        continue;
      }
      feed("lost", "the gateway cannot be reached; trying again");
    }
    await new Promise((resume) => setTimeout(resume, wait));
  }
}

function unlocked() {
  return new Promise((resume) => {
    at("unlock").addEventListener("submit", resume, { once: true });
  });
}

at("ask").addEventListener("submit", (event) => {
  event.preventDefault();
  ask();
});
at("question").addEventListener("keydown", (event) => {
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) at("ask").requestSubmit();
});
at("stop").addEventListener("click", () => asking?.abort());
at("unlock").addEventListener("submit", (event) => {
  event.preventDefault();
  sessionStorage.setItem(KEY, at("key").value);
  at("key").value = "";
});
// What an address says of a question stands in the form: /?question=…&answer=number
function prefill() {
  const said = new URLSearchParams(location.search);
  for (const id of ["question", "answer", "k", "temperature", "max-tokens"]) {
    if (said.has(id)) at(id).value = said.get(id);
  }
  standing.wanted = { model: said.get("model"), policy: said.get("policy") };
}

prefill();
at("base").textContent = `${location.origin}/v1`;
follow();

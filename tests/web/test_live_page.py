"""The live page in a real Chromium, before a real gateway and scripted upstreams."""

import asyncio
import json
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Browser, Page, expect

from gateway.settings.model import BreakerSettings, UpstreamSettings
from tests.doubles.gateway import Client, open_gateway
from tests.doubles.redis_server import free_port
from tests.doubles.upstream import Paced, Reply, open_upstream

pytestmark = pytest.mark.browser


async def visit(page: Page, client: Client) -> None:
    """Open the page, and wait until it knows what can be asked with."""
    await page.goto(client.url)
    await expect(page.locator("#feed")).to_have_text("live")
    await expect(page.locator("#model")).to_have_value("m")


async def ask(page: Page, answer: str = "") -> None:
    """Ask what stands in the form."""
    await page.locator("#answer").select_option(answer)
    await page.get_by_role("button", name="Ask", exact=True).click()


async def nothing_objected(page: Page) -> None:
    """axe-core finds no fault."""
    found = await Axe().run(page)
    assert [] == [(each["id"], each["nodes"][0]["html"]) for each in found.response["violations"]]


async def test_a_vote_from_the_question_to_the_verdict(page: Page) -> None:
    """41, 42, 42: three samples with their answers, the tally, the verdict, and the round beside it."""
    said = "so it is 41", "so it is 42", "so it is 42"
    async with open_upstream(*said) as upstream, open_gateway(upstream) as client:
        await visit(page, client)
        await expect(page.locator("#before")).to_be_visible()
        await ask(page, "number")
        await expect(page.locator("#verdict h3")).to_have_text("Verdict: majority")
        await expect(page.locator("#before")).to_be_hidden()
        await expect(page.locator("#verdict pre")).to_have_text("so it is 42")
        await expect(page.locator("#verdict dl")).to_contain_text("0.67")
        await expect(page.locator(".sample")).to_have_count(3)
        await expect(page.locator("#tally li").first).to_contain_text("42")
        await expect(page.locator("#tally li").first).to_contain_text("2 (")
        bar, winner = (
            page.locator("#tally meter").first,
            page.locator(".sample", has_text="so it is 42").first,
        )
        own = "(each) => getComputedStyle(each).getPropertyValue('--own')"
        assert await winner.evaluate(own) == await bar.evaluate(own) != ""
        about = re.compile(r"^majority pinned0\.67 3 of 3m majority, ")
        await expect(page.locator("#rounds tbody tr")).to_have_text([about])
        await expect(page.locator("#headline")).to_contain_text("upper bound")
        await expect(page.locator("#upstreams")).to_have_text("u0: up, fast lane, breaker closed")


async def test_the_first_difference_is_marked_while_samples_come(page: Page) -> None:
    """Two samples under way that have parted are marked where they did, before either is whole."""
    paced = Paced("the cat sat", 7), Paced("the cow sat", 7)
    async with open_upstream(*paced) as upstream, open_gateway(upstream) as client:
        await visit(page, client)
        await ask(page, "text")
        await expect(page.locator("#split")).to_contain_text("part at character 5")
        marks = page.locator(".sample mark")
        assert {"a", "o"} == set(await marks.all_text_contents())
        assert await page.locator("#verdict").is_hidden()
        for each in paced:
            each.go.set()
        await expect(page.locator("#verdict")).to_be_visible()


async def test_the_sample_that_decides_is_called_what_it_is(page: Page) -> None:
    """A dispute: three ballots, the reference lane's sample with its answer, and whose verdict it is."""
    async with open_upstream("so 41", "so 42", "so 42") as fast, open_upstream("so 43") as reference:
        made = (
            UpstreamSettings(name="fast", url=fast.url),
            UpstreamSettings(name="ref", url=reference.url, lane="reference", trust=True),
        )
        async with open_gateway(upstreams=made) as client:
            await visit(page, client)
            await page.locator("#policy").select_option("strict")
            await ask(page, "number")
            await expect(page.locator("#verdict h3")).to_have_text("Decided by the reference lane: majority")
            last = page.locator(".sample").nth(3)
            await expect(last).to_have_attribute("data-fate", "reference")
            await expect(last.locator("h3")).to_contain_text("C 43reference: it decides · ref")
            await expect(page.locator("#tally li")).to_have_count(2)


async def test_policies_that_cannot_run_cannot_be_chosen(page: Page) -> None:
    """Without a reference lane those that need one are greyed out and say why, though an address asks for one."""
    async with open_upstream() as upstream, open_gateway(upstream) as client:
        await page.goto(f"{client.url}/?policy=strict")
        await expect(page.locator("#policy")).to_have_value("majority")
        barred = page.locator("#policy option:disabled")
        assert [f"{name} (needs a reference lane)" for name in ("strict", "reference", "serial")] == (
            await barred.all_text_contents()
        )


async def test_asked_again_it_comes_from_the_cache(page: Page) -> None:
    """The second answer is the pinned one, and the page says so; voting again is a choice."""
    async with open_upstream("yes", "yes", "no", "no") as upstream, open_gateway(upstream) as client:
        await visit(page, client)
        await ask(page)
        await expect(page.locator("#verdict h3")).to_have_text("Verdict: unanimous")
        await expect(page.locator("#verdict dl")).to_contain_text("pinned now")
        await ask(page)
        await expect(page.locator("#verdict h3")).to_have_text("From the cache: unanimous")
        await expect(page.locator("#verdict dl")).to_contain_text("from the pin, 7 days left")
        await expect(page.locator("#verdict dl div", has_text="key").locator("dd")).to_have_text(
            re.compile("^[0-9a-f]{12}$")
        )
        await expect(page.locator("#verdict pre")).to_have_text("yes")
        await page.get_by_label("Vote again").check()
        await ask(page)
        await expect(page.locator("#verdict pre")).to_have_text("no")
        assert 4 == len(upstream.seen)


async def test_stop_ends_the_vote(page: Page) -> None:
    """Stop closes the samples' connections, and says that it did."""
    async with open_upstream(Paced("never ending", 3)) as upstream, open_gateway(upstream) as client:
        await visit(page, client)
        await ask(page)
        first, second = await upstream.asked(2)
        await page.get_by_role("button", name="Stop").click()
        await expect(page.get_by_role("alert")).to_have_text("Stopped.")
        await asyncio.gather(first.closed.wait(), second.closed.wait())


async def test_what_a_model_says_is_never_markup(page: Page) -> None:
    """An answer full of HTML is shown as text, and nothing in it runs."""
    hostile = "<img src=x onerror=\"document.title='owned'\"><b>bold</b>"
    async with open_upstream(hostile) as upstream, open_gateway(upstream) as client:
        await visit(page, client)
        await ask(page)
        await expect(page.locator("#verdict pre")).to_have_text(hostile)
        assert 0 == await page.locator("#vote img, #vote pre b").count()
        assert "Self-consistency gateway" == await page.title()


async def test_an_upstream_error_is_told(page: Page) -> None:
    """No quorum: the upstream's own words, and the round in words as well."""
    async with open_upstream(500) as upstream, open_gateway(upstream) as client:
        await visit(page, client)
        await ask(page)
        await expect(page.get_by_role("alert")).to_have_text("scripted 500")
        await expect(page.locator("#rounds tbody tr")).to_contain_text("no quorum not pinnednone 0 of 3")


async def test_axe_objects_to_no_vote_without_samples(page: Page) -> None:
    """Abstentions leave boxes without a text: they have a role for their names."""
    async with open_upstream(500) as upstream, open_gateway(upstream) as client:
        await visit(page, client)
        await ask(page)
        await expect(page.get_by_role("alert")).to_be_visible()
        await expect(page.locator(".sample[data-fate=abstained] pre").first).to_be_empty()
        await nothing_objected(page)


async def test_an_address_fills_in_the_form(page: Page) -> None:
    """A link can hold a question and how it is to be voted on."""
    async with open_upstream("so 4") as upstream, open_gateway(upstream) as client:
        await page.goto(f"{client.url}/?question=2%2B2%3F&answer=number&policy=reason&k=5&model=m")
        await expect(page.locator("#policy")).to_have_value("reason")
        await page.get_by_role("button", name="Ask", exact=True).click()
        await expect(page.locator("#vote-title")).to_contain_text(
            "reason: at most 5 samples, answers by number"
        )
        await expect(page.locator("#verdict pre")).to_have_text("so 4")
        assert "2+2?" == upstream.seen[0].body["messages"][0]["content"]


async def test_the_keyboard_is_enough(page: Page) -> None:
    """From the address bar: skip to the question, type one, send it with Ctrl+Enter, land at the vote."""
    async with open_upstream("fine") as upstream, open_gateway(upstream) as client:
        await visit(page, client)
        await page.keyboard.press("Tab")
        await page.keyboard.press("Enter")
        await page.keyboard.press("Tab")
        await expect(page.locator("#model")).to_be_focused()
        await page.keyboard.press("Shift+Tab")
        await page.keyboard.press("Control+A")
        await page.keyboard.type("How are you?")
        await page.keyboard.press("Control+Enter")
        await expect(page.locator("#vote-title")).to_be_focused()
        await expect(page.locator("#said")).to_contain_text("Verdict: unanimous")
        assert "How are you?" == upstream.seen[0].body["messages"][0]["content"]


@asynccontextmanager
async def troubled() -> AsyncIterator[Client]:
    """A gateway of five upstreams: one well, one down, one whose breaker is open, two reference lanes, one trusted."""
    breaker = BreakerSettings(failures=3, cooldown=1e6)
    async with open_upstream() as well, open_upstream(500) as failing, open_upstream("1", "2") as doubtful:
        made = (
            UpstreamSettings(name="well", url=well.url),
            UpstreamSettings(name="away", url=f"http://127.0.0.1:{free_port()}"),
            UpstreamSettings(name="failing", url=failing.url),
            UpstreamSettings(name="doubtful", url=doubtful.url, lane="reference"),
            UpstreamSettings(name="invariant", url=well.url, lane="reference", trust=True),
        )
        async with open_gateway(upstreams=made, breaker=breaker) as client:
            while not client.inside.pool.ejected:
                await client.chat({"cache-control": "no-store"})
            yield client


async def test_how_upstreams_stand_is_told_in_words(page: Page) -> None:
    """Up or down, the lane, the breaker, and why a reference lane is not used as one: no colour is needed for it."""
    async with troubled() as client:
        await visit(page, client)
        rows = page.locator("#upstreams li")
        for at, said in enumerate((
            "well: up, fast lane, breaker closed",
            "away: down, fast lane, breaker closed",
            "failing: up, fast lane, breaker openBreaker open: it keeps failing, and is left alone for a while.",
            "doubtful: up, reference lane, breaker closedNot used as a reference lane: ",
            "invariant: up, reference lane, trusted, breaker closed",
        )):  # fmt: skip
            await expect(rows.nth(at)).to_contain_text(said)


@pytest.mark.parametrize("width", [320, 390, 1000, 1280])
async def test_no_table_is_cut_off(page: Page, width: int) -> None:
    """Under a model's long name the tables fit their place on a phone, on a small screen and on a large one."""
    name = "Organisation/Model-2.5-72B-Instruct-AWQ"
    async with open_upstream() as upstream:
        upstream.models = Reply(body=json.dumps({"data": [{"id": name, "object": "model"}]}).encode())
        async with open_gateway(upstream) as client:
            await page.set_viewport_size({"width": width, "height": 800})
            await page.goto(client.url)
            await expect(page.locator("#model")).to_have_value(name)
            await ask(page)
            for table in ("#rates", "#rounds"):
                await expect(page.locator(f"{table} tbody td.named")).to_contain_text(f"{name} majority")
            cut = "[...document.querySelectorAll('.scroll')].filter((each) => each.scrollWidth > each.clientWidth)"
            assert 0 == await page.evaluate(f"{cut}.length")
            assert await page.evaluate("document.documentElement.scrollWidth <= innerWidth")


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_nothing_that_axe_objects_to(browser: Browser, scheme: str) -> None:
    """With a vote on it, axe-core finds no fault: names, roles, contrast, landmarks; nor is the page too wide."""
    context = await browser.new_context(
        color_scheme="dark" if scheme == "dark" else "light", viewport={"width": 360, "height": 740}
    )
    page = await context.new_page()
    async with troubled() as client:
        await visit(page, client)
        await ask(page, "text")
        await expect(page.locator("#verdict")).to_be_visible()
        await expect(page.locator("#rounds tbody tr").first).to_be_visible()
        await expect(page.locator("#upstreams .problem")).to_have_count(2)
        await nothing_objected(page)
        assert await page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    await context.close()


async def test_the_page_comes_back_when_the_gateway_does(page: Page) -> None:
    """A gateway that ends is told as lost, and the form stays as it was."""
    async with open_upstream() as upstream:
        async with open_gateway(upstream) as client:
            await visit(page, client)
            await page.locator("#question").fill("half a ques")
            client.inside.traffic.is_draining = True
            await expect(page.locator("#feed")).to_have_attribute("data-state", "lost")
            client.inside.traffic.is_draining = False
            await expect(page.locator("#feed")).to_have_text("live")
        await expect(page.locator("#question")).to_have_value("half a ques")

"""The page of who can reach whom, and of what a change opens and cuts, in a real browser."""

import json
import re
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from webhook.report.flows import html

from .browser import Browser, Page
from .worlds import Connectivity, Difference, Flow, change, world

pytestmark = pytest.mark.asyncio(loop_scope="module")

HOSTILE = "</script><img src=x onerror=window.hurt=1>/Kind/<b>\u2028\"'&\x00\u202e"
STATE = Connectivity(
    [
        Flow("monitoring/Deployment/prometheus", "payments/Deployment/api", ("TCP 9090",)),
        Flow("shop/Deployment/checkout", "payments/Deployment/api", ("TCP 80", "TCP 443")),
        Flow("payments/Deployment/api", "payments/StatefulSet/db", ("TCP 5432",)),
        Flow("payments/Deployment/api", "ip:10.0.0.0/8", ("TCP 443",)),
        Flow("tools/Deployment/shell", "payments/StatefulSet/db", ("TCP 5000-6000", "UDP 53")),
        Flow("tools/Deployment/shell", "payments/Deployment/api", ("all",)),
    ],
    ["tools/Deployment/shell", "web/Deployment/site"],
    [
        "monitoring/Deployment/prometheus",
        "payments/Deployment/api",
        "payments/Deployment/lonely",
        "payments/StatefulSet/db",
        "shop/Deployment/checkout",
        "tools/Deployment/shell",
        "web/Deployment/site",
    ],
)
CHANGE = Difference(
    [Flow("shop/Deployment/web", "payments/Deployment/api", ("TCP 8443",))],
    [
        Flow("shop/Deployment/web", "payments/Deployment/api", ("TCP 80",)),
        Flow("shop/Deployment/web", "ip:10.0.0.0/8", ("all",)),
    ],
)

Show = Callable[..., Any]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def browser(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Browser]:
    async with Browser(tmp_path_factory.mktemp("browser")) as browser:
        yield browser


@pytest_asyncio.fixture(loop_scope="module")
async def page(browser: Browser) -> AsyncIterator[Page]:
    """A tab of a large window; at the end nothing may have gone wrong in it, nor may it have asked for anything."""
    async with browser.page() as page:
        await page.resize(1400, 1000)
        yield page
        assert page.complaints == []
        assert [url for url in page.requested if not url.startswith("file:")] == []
        assert len(page.requested) == 1


@pytest.fixture
def show(page: Page, tmp_path: Path) -> Show:
    async def show(pieces: Iterator[str], address: str = "") -> Page:
        file = tmp_path / "page.html"
        file.write_text("".join(pieces), encoding="ascii")
        await page.open(f"{file.as_uri()}{address}")
        return page

    return show


# --- who can reach payments? ------------------------------------------------------------------------------------------


async def test_who_can_reach_payments_in_one_click(show: Show) -> None:
    page = await show(html.connectivity(STATE, about="snapshot.yaml"))
    assert await page.text("#about") == "snapshot.yaml"
    await page.click("tbody a", "payments")
    await page.until("document.querySelector('h2')?.textContent === 'payments'")
    assert (await page.text("section[aria-labelledby=into]")).split("\n") == [
        "Reached by",
        "4 workloads in 4 namespaces",
        "payments (itself)",
        "1 of 3 workloads",
        "TCP 5432",
        "api Deployment",
        "TCP 5432",
        "to db",
        "monitoring",
        "1 workload",
        "TCP 9090",
        "prometheus Deployment",
        "TCP 9090",
        "to api",
        "Look at monitoring",
        "shop",
        "1 workload",
        "TCP 80 TCP 443",
        "checkout Deployment",
        "TCP 80 TCP 443",
        "to api",
        "Look at shop",
        "tools",
        "1 workload",
        "TCP 5000-6000 UDP 53 all ports",
        "shell Deployment",
        "TCP 5000-6000 UDP 53",
        "to db",
        "all ports",
        "to api",
        "Look at tools",
    ]
    assert await page.run("document.title") == "payments - Who can reach whom"


async def test_the_keyboard_is_enough(show: Show) -> None:
    page = await show(html.connectivity(STATE))
    await page.press("/")
    assert await page.run("document.activeElement.id") == "find"
    await page.type("pay")
    assert await page.run("document.getElementById('find').getAttribute('aria-expanded')") == "true"
    assert (await page.text("#found")).startswith("payments\n3 workloads\n")
    await page.press("ArrowDown")
    chosen = "document.getElementById(document.getElementById('find').getAttribute('aria-activedescendant'))"
    assert (await page.run(f"{chosen}.innerText")).startswith("payments/Deployment/api")
    await page.press("Enter")
    await page.until("document.querySelector('h2')?.textContent === 'payments/Deployment/api'")
    assert await page.run("document.activeElement.tagName") == "H2"  # the next Tab goes on from there
    await page.press("/")
    await page.type("nothing of that name")
    assert await page.text("#said") == "nothing found"
    await page.press("Escape")
    assert await page.run("document.getElementById('found').hidden && document.getElementById('find').value") == ""
    await page.run("history.back()")
    await page.until("document.querySelector('#picture') !== null")


async def test_every_part_can_be_reached_with_tab_and_says_what_it_is(show: Show) -> None:
    page = await show(html.connectivity(STATE), "#w:payments/Deployment/api")
    unnamed = """[...document.querySelectorAll('a[href], button, input, summary, [tabindex="0"]')].filter((e) =>
        !(e.textContent.trim() || e.getAttribute('aria-label') || e.labels?.length)).map((e) => e.outerHTML)"""
    assert await page.run(unnamed) == []
    seen = []
    for _ in range(200):
        await page.press("Tab")
        here = "document.activeElement.textContent || document.activeElement.id"
        seen.append(await page.run(here))
        if await page.run("document.activeElement === document.body"):
            break
        outline = await page.run("getComputedStyle(document.activeElement).outlineStyle")
        shape = "document.activeElement.querySelector('.box') && getComputedStyle(document.activeElement.querySelector("
        shape += "'.box')).strokeWidth !== '1px'"
        assert outline != "none" or await page.run(shape), seen[-1]
    assert seen[0] == "Skip to the content"
    assert {"find", "payments", "prometheus"} <= set(seen)


@pytest.mark.parametrize("strict", [0.2, 0.8])
async def test_what_is_listed_of_a_workload_is_what_the_flows_say(show: Show, strict: float) -> None:
    state = world(9, strict=strict, seed=7)
    page = await show(html.connectivity(state))
    listed = """(() => { const lists = {};
        for (const id of ['into', 'out']) {
          const section = document.querySelector(`section[aria-labelledby=${id}]`);
          for (const button of section.querySelectorAll('button.more')) button.click();
          for (const details of section.querySelectorAll('details')) details.open = true;
        }
        return new Promise((done) => setTimeout(() => {
          for (const id of ['into', 'out']) {
            lists[id] = [...document.querySelectorAll(`section[aria-labelledby=${id}] li`)].map((li) => [
              decodeURIComponent(li.querySelector('a').getAttribute('href')).slice(3),
              [...li.querySelectorAll('.port')].map((port) => port.textContent)]);
          }
          done(lists);
        }, 50)); })()"""
    open_ = set(state.open)
    assert open_
    for name in state.workloads[::5]:
        await page.run(f"location.hash = {json.dumps('#w:' + name)}")
        await page.until(f"document.querySelector('h2')?.textContent === {json.dumps(name)}")
        lists = await page.run(listed)
        free = [(other, ("all",)) for other in [*open_ - {name}, "ip:any address"] if name in open_]
        for key, expected in (
            ("into", [(f.src, f.ports) for f in state.flows if f.dst == name]),
            ("out", [(f.dst, f.ports) for f in state.flows if f.src == name]),
        ):
            assert sorted(
                (peer, ("all",) if ports == ["all ports"] else tuple(ports)) for peer, ports in lists[key]
            ) == sorted(expected + free)


async def test_filters_by_name_and_port(show: Show) -> None:
    page = await show(html.connectivity(STATE), "#n:payments")
    await page.click("input[aria-label='Filter both lists']")
    await page.type("9090")
    assert "monitoring" in await page.text("section[aria-labelledby=into]")
    assert "shop" not in await page.text("section[aria-labelledby=into]")
    assert "Nothing fits the filter." in await page.text("section[aria-labelledby=out]")


async def test_who_can_reach_a_port(show: Show) -> None:
    page = await show(html.connectivity(STATE))
    await page.press("/")
    await page.type("5432")
    await page.press("Enter")
    await page.until("document.querySelector('h2')?.textContent === 'Who can reach whom on TCP 5432'")
    listed = (await page.text()).split("\n")
    assert [line for line in listed if line.startswith("from ")] == [
        "from tools/Deployment/shell",  # to api, on all ports
        "from payments/Deployment/api",  # to db
        "from tools/Deployment/shell",
    ]


async def test_what_nothing_restricts_is_told(show: Show) -> None:
    page = await show(html.connectivity(STATE))
    assert "unrestricted workloads\n2\n" in await page.text()
    await page.run("location.hash = '#w:web/Deployment/site'")
    await page.until("document.querySelector('p.free')")
    assert "No policy restricts this workload" in await page.text()
    lists = await page.text("section[aria-labelledby=into]")
    assert "shell Deployment\nall ports" in lists
    assert "any address\nall ports" in lists
    await page.run("location.hash = '#w:payments/Deployment/lonely'")
    await page.until("document.querySelector('h2')?.textContent.endsWith('lonely')")
    assert "Nothing reaches it." in await page.text()


async def test_a_cluster_without_policies_says_so(show: Show) -> None:
    page = await show(html.connectivity(Connectivity([], STATE.workloads, STATE.workloads)))
    assert "No policy restricts anything here" in await page.text()


# --- the pictures -----------------------------------------------------------------------------------------------------


async def test_pointing_at_the_map_shows_both_ways(show: Show) -> None:
    page = await show(html.connectivity(world(12, strict=0.5)))
    await page.until("document.querySelectorAll('.picture svg a').length === 13")
    await page.point(".picture svg a[aria-label=payments] text")
    await page.until("document.querySelector('.picture .edge.into') && document.querySelector('.picture .edge.out')")
    assert re.match(r"payments: reached by \d+ of 12 other namespaces, reaches \d+", await page.text(".caption"))
    await page.click(".picture svg a[aria-label=payments] text")
    await page.until("document.querySelector('h2')?.textContent === 'payments'")


async def test_the_matrix_is_walked_with_arrow_keys(show: Show) -> None:
    page = await show(html.connectivity(world(12, strict=0.5)))
    await page.click(".tabs button", "Matrix")
    await page.until("document.querySelector('svg[role=application]')")
    await page.press("Tab")
    assert (await page.text("#said")).startswith("analytics \u2192 analytics: ")
    for key in ("ArrowRight", "ArrowRight", "ArrowDown", "ArrowLeft"):
        await page.press(key)
    assert (await page.text("#said")).startswith("catalog \u2192 catalog: ")
    await page.press("ArrowRight")
    await page.press("Enter")
    await page.until("document.querySelector('h2')?.textContent === 'catalog \u2192 identity'")


async def test_a_click_into_the_matrix_opens_that_pair(show: Show) -> None:
    page = await show(html.connectivity(STATE))  # few workloads: each is a node
    await page.click(".tabs button", "Matrix")
    await page.click(".cell.whole")
    await page.until("document.querySelector('h2')?.textContent.includes('\u2192')")
    title = await page.text("h2")
    assert tuple(title.split(" \u2192 ")) in {(f.src, f.dst.removeprefix("ip:")) for f in STATE.flows}


# --- a change ---------------------------------------------------------------------------------------------------------


async def test_a_change_tells_opened_and_cut_apart_without_colours(show: Show) -> None:
    page = await show(html.difference(CHANGE))
    assert (await page.text("section[aria-labelledby=changes]")).split("\n") == [
        "Changes, by destination",
        "payments",
        "1 workload",
        "+ 1 \u2212 1",
        "api Deployment",
        "+ TCP 8443",
        "from shop/Deployment/web",
        "\u2212 TCP 80",
        "from shop/Deployment/web",
        "Look at payments",
        "outside addresses",
        "1 range",
        "\u2212 1",
        "10.0.0.0/8",
        "\u2212 all ports",
        "from shop/Deployment/web",
    ]
    assert await page.run(
        "[...document.querySelectorAll('#changes ~ * .sign, details .sign')].map((s) => s.ariaLabel)"
    ) == [
        "opened",
        "cut",
        "opened",
        "cut",
        "cut",
        "cut",
    ]
    dashes = "getComputedStyle(document.querySelector('.edge.{}')).strokeDasharray"
    assert await page.run(dashes.format("plus")) == "none"
    assert await page.run(dashes.format("minus")) != "none"
    colours = [
        await page.run(f"getComputedStyle(document.querySelector('.edge.{look}')).stroke") for look in ("plus", "minus")
    ]
    assert len(set(colours)) == 2


async def test_a_change_of_nothing_says_so(show: Show) -> None:
    page = await show(html.difference(Difference()))
    assert "This change opens no flow and cuts none." in await page.text()


async def test_a_large_change(show: Show) -> None:
    page = await show(html.difference(change(world(50), added=200, removed=300)))
    assert "+203" in await page.text()
    await page.click(".tabs button", "Map")
    await page.run("location.hash = '#n:payments'")
    await page.until("document.querySelector('h2')?.textContent === 'payments'")
    assert re.search(r"To it: \d+ opened, \d+ cut\. From it: \d+ opened, \d+ cut\.", await page.text())


# --- whatever the names, the screen, and the size ---------------------------------------------------------------------


async def test_no_name_becomes_markup(show: Show) -> None:
    flows = [Flow(HOSTILE, f"a/Pod/{HOSTILE}", ("<b>80</b>",)), Flow("x", "ip:<i>", ("all",))]
    page = await show(html.connectivity(Connectivity(flows, [HOSTILE, "y"], [HOSTILE]), about=HOSTILE))
    for click in ("document.querySelector('tbody a').click()", "history.back()"):
        await page.run(click)
    for button in ("Matrix", "Map"):
        await page.click(".tabs button", button)
    await page.click("tbody a", "<")
    await page.until("document.querySelector('h2')")
    assert await page.run("window.hurt") is None
    assert await page.run("document.querySelectorAll('img, b b, i').length") == 0
    assert "\u202e" not in await page.run("document.body.innerText")
    assert (await page.text("#about")).startswith("</script><img")


async def test_an_address_that_leads_nowhere_says_so(show: Show) -> None:
    page = await show(html.connectivity(STATE))
    for address in ("n:nosuch", "%", "x&y", "p:TCP"):
        await page.run(f"location.hash = {json.dumps(address)}")
        await page.until("document.querySelector('p.free')?.textContent.startsWith('What this address points at')")
        await page.run("location.hash = ''")
        await page.until("!document.querySelector('p.free')")


@pytest.mark.parametrize(
    "address", ["", "#n:payments", "#w:payments/Deployment/api", "#n:shop&n:payments", "#p:TCP 80"]
)
async def test_fits_a_phone(show: Show, page: Page, address: str) -> None:
    await page.resize(390, 800)
    await show(html.connectivity(world(50, strict=0.9, seed=4)), address)
    assert await page.run("document.documentElement.scrollWidth") <= 390


async def test_follows_the_colour_scheme_and_keeps_its_contrast(show: Show, page: Page) -> None:
    contrast = """(() => { const light = (name) => {
        const probe = document.createElement('i');
        probe.style.color = getComputedStyle(document.documentElement).getPropertyValue(name);
        document.body.append(probe);
        const [r, g, b] = getComputedStyle(probe).color.match(/\\d+/g).map((v) => v / 255)
          .map((v) => v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
        probe.remove();
        return 0.2126 * r + 0.7152 * g + 0.0722 * b; };
      const ratio = (a, b) => (Math.max(light(a), light(b)) + 0.05) / (Math.min(light(a), light(b)) + 0.05);
      return [['--ink', '--card'], ['--ink', '--page'], ['--soft', '--card'], ['--soft', '--page'],
        ['--soft', '--chip'],
        ['--accent', '--card'], ['--accent', '--page'], ['--opened', '--opened-back'], ['--cut', '--cut-back'],
        ['--opened', '--card'], ['--cut', '--card'], ['--free', '--card'], ['--ink', '--free-back'],
        ['--card', '--accent']].map(([a, b]) => [a, b, ratio(a, b)]); })()"""
    grounds = []
    for dark in (False, True):
        await page.resize(1400, 900, dark=dark)
        await show(html.connectivity(STATE))
        page.requested.pop()
        grounds.append(await page.run("getComputedStyle(document.body).backgroundColor"))
        ratios = await page.run(contrast)
        assert [pair for pair in ratios if pair[2] < 4.5] == []  # WCAG 2.2, 1.4.3
    assert len(set(grounds)) == 2
    await show(html.connectivity(STATE))


async def test_opens_soon_with_60000_flows(show: Show, record_property: Callable[[str, object], None]) -> None:
    page = await show(html.connectivity(world(50)))
    await page.until("document.querySelector('.cell')")
    timing = await page.run("performance.timing.loadEventEnd - performance.timing.navigationStart")
    record_property("milliseconds until 50,000 flows are shown", timing)
    print(f"50,000 flows are shown after {timing} ms")  # noqa: T201 - told, not judged: machines are noisy
    await page.click("tbody a", "payments")
    await page.until("document.querySelector('h2')?.textContent === 'payments'")
    assert "Reached by\n" in await page.text()

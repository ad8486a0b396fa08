"""What test modules share: data to train on, and a front end with its page."""

import pytest
from tiny import random_data

from tests import fronts


@pytest.fixture
def data():
    """24 steps over random words."""
    return random_data()


@pytest.fixture(scope="module", params=[*fronts.STACKS, "page"])
def front(request, tmp_path_factory):
    """A front end, from its server to an open page; one for all tests."""
    if reason := fronts.missing(request.param):
        pytest.skip(f"{request.param} is not driven: {reason}.")
    with fronts.opened(request.param, tmp_path_factory.mktemp("front")) as opened:
        yield opened


@pytest.fixture
def page(front):
    """The page with a fresh explorer; at the end nothing has gone wrong unseen."""
    front.page.set_viewport_size({"width": 1280, "height": 2400})
    front.page.emulate_media(media="screen", forced_colors="none")
    yield front.renew()
    assert front.trouble.wanted == front.trouble.dialogs == []
    assert {*front.trouble.errors} <= {*front.known}

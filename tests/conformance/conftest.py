"""Every test that takes `engine` runs on each engine."""

import pytest

from kerata import config
from kerata import engine as engines


@pytest.fixture(params=config.ENGINES)
def engine(request):
    with engines.using(request.param) as engine:
        yield engine

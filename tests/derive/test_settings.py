"""Options of `longline certs`."""

import pytest

from stages.derive.settings import CertsSettings


def test_defaults() -> None:
    settings = CertsSettings()
    assert (settings.roots, settings.output, settings.restart) == (("certifi",), "-", False)


@pytest.mark.parametrize("given", [{"form": "xml"}, {"format": "csv"}])
def test_what_is_none_of_the_choices(given: dict[str, str]) -> None:
    with pytest.raises(ValueError, match="not one of"):
        CertsSettings(**given)  # type: ignore[arg-type]

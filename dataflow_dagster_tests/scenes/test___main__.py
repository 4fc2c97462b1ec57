from pathlib import Path

import pytest

from dataflow_dagster.scenes.__main__ import main


def test_pictures_are_written_where_asked(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main(["pictures", "--out", str(tmp_path)])
    assert (tmp_path / "images" / "scene-064.png").is_file()
    assert capsys.readouterr().out == f"64 pictures in {tmp_path}\n"


@pytest.mark.parametrize("arguments", [[], ["train"]])
def test_an_unknown_command_is_refused(arguments: list[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(arguments)


def test_clips_are_written_where_asked(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("av", reason="clips are written by PyAV")
    main(["clips", "--out", str(tmp_path)])
    assert (tmp_path / "clips" / "scene-024.mp4").is_file()
    assert capsys.readouterr().out == f"24 clips in {tmp_path}\n"

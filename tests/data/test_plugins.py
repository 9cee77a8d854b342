import pytest

from swift.data.plugins import load_plugins
from swift.errors import ConfigError


def test_a_file_is_imported_once_however_often_it_is_asked_for(tmp_path):
    plugin = tmp_path / "mine.py"
    log = tmp_path / "log"
    plugin.write_text(f"open({str(log)!r}, 'a').write('x')")
    load_plugins([str(plugin), str(plugin)])
    load_plugins([str(tmp_path / "." / "mine.py")])
    assert log.read_text() == "x"


def test_a_missing_or_broken_file_is_one_clear_error(tmp_path):
    with pytest.raises(ConfigError, match="no plugin"):
        load_plugins([str(tmp_path / "absent.py")])
    broken = tmp_path / "broken.py"
    broken.write_text("1 / 0")
    for _ in range(2):
        with pytest.raises(ConfigError, match=r"cannot be imported: ZeroDivisionError: division by zero"):
            load_plugins([str(broken)])

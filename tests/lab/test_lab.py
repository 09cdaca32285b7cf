import subprocess
import sys

import pytest

from dlnotes import lab


def test_every_name_on_offer_is_there():
    for name in lab.__all__:
        assert getattr(lab, name) is not None
    assert lab.__all__ == sorted(lab.__all__, key=lambda name: (not name.isupper(), name))


def test_another_name_is_refused_as_by_any_module():
    with pytest.raises(AttributeError, match=r"'dlnotes\.lab' has no attribute 'descend'"):
        _ = lab.descend


def test_a_chapter_that_does_not_train_need_not_wait_for_torch():
    """Pictures with sliders included: in a process of its own, where nobody loaded it before."""
    script = (
        "import sys\n"
        "from matplotlib.figure import Figure\n"
        "from dlnotes.lab import explore, slider\n"
        "explore(lambda k: Figure(), k=slider(1, 3), alt='Nothing')\n"
        "assert 'torch' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True, stdout=subprocess.DEVNULL)

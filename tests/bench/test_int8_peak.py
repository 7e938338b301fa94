"""The count of multiply-adds against one done by hand."""

import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
from int8_peak import count_work


def test_work_is_counted_by_the_shapes_of_the_layers(tmp_path):
    config = tmp_path / "config.json"
    config.write_text(json.dumps({"hidden_size": 4, "intermediate_size": 8, "num_hidden_layers": 2}))
    work = count_work(config, [3, 1])
    # A token and layer: four times 4 by 4, twice 4 by 8. A pair of tokens and layer: twice 4.
    assert work.int8 == 2 * (4 * 16 + 2 * 32) * 4
    assert work.attention == 2 * 8 * (9 + 1)

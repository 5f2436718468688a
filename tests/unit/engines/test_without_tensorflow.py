"""A model whose tokens the tokenizers library makes, on OpenVINO: TensorFlow comes in when it is needed, not before."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
from support import prepared_by_hand

CODE = """
import json, sys
from pathlib import Path
import numpy as np
from penult_service.config import serve_config
from penult_service.process import loader
from penult_service.repository.sources import Source

def there(): return "tensorflow" in sys.modules

place = Path(sys.argv[1])
model = loader(serve_config(paths=(str(place),), data=Path(sys.argv[2]), engine="openvino"))(Source("m", 1, place))
table = model.tokenizer.tokenize(["good", "not good"])
seam = model.engine.encode(table.inputs, ["pooler"])["pooler"]
output = model.engine.head(seam)["output"]
told = {"engine": model.engine.name, "before": there(), "seam": seam.tolist(), "output": output.tolist()}
told["ids"] = {name: array.tolist() for name, array in table.inputs.items()}
told["whole"] = model.engine.whole(table.inputs)["output"].tolist()
masked = {**table.inputs, "mask": np.zeros_like(table.inputs["mask"])}
told["nothing shown"] = bool(np.isnan(model.engine.encode(masked, ["pooler"])["pooler"]).all())
print(json.dumps({**told, "after": there()}))
"""


def test_tensorflow_is_imported_when_it_is_needed_first(tmp_path: Path) -> None:
    place = prepared_by_hand.write(tmp_path / "model", tokenizer=prepared_by_hand.bert_tokenizer().to_str())
    done = subprocess.run(
        [sys.executable, "-c", CODE, str(place), str(tmp_path / "data")],
        capture_output=True,
        text=True,
        timeout=300,
        env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"},
    )
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["engine"] == "openvino"
    assert (told["before"], told["after"]) == (False, True)
    _, pooled, logits = prepared_by_hand.by_numpy(
        *(np.array(told["ids"][name]) for name in ("ids", "mask", "types"))
    )
    expected = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(told["seam"], pooled, atol=1e-5)
    np.testing.assert_allclose(told["output"], expected, atol=1e-5)
    np.testing.assert_allclose(told["whole"], expected, atol=1e-5)
    # What attends to nothing is TensorFlow's too: here 0 / 0.
    assert told["nothing shown"]

"""The table of bad input again, against a server that computes with a trained model."""

from __future__ import annotations

import pytest
from rpc.test_bad_input import *  # noqa: F403
from rpc.test_bad_input import _answers_as_before  # noqa: F401

pytestmark = [pytest.mark.weights, pytest.mark.tensorflow]

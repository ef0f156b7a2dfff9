from __future__ import annotations

import pytest
from live_suite import AdmissionSuite

from router.store.memory import MemoryLive


class TestMemoryLive(AdmissionSuite):
    @pytest.fixture
    def live(self) -> MemoryLive:
        return MemoryLive()

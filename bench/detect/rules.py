"""Every rule in the table, in its order."""

from bench.detect.dpinger import OPNSENSE, PFSENSE
from bench.detect.optimum import Optimum
from bench.detect.ours import Ours
from bench.detect.peers import FIVE, THREE, Bfd, Mwan3
from bench.detect.rule import Rule

EVEN = Ours("Siaga, an echo each 0.5 s whatever happens", "agent/core, at the optimum's spacing", 0.5)
OPTIMUM = Optimum()
RULES: tuple[Rule, ...] = (Ours(), PFSENSE, OPNSENSE, Mwan3(), THREE, FIVE, Bfd(), OPTIMUM)
BESIDES: dict[str, tuple[Rule, ...]] = {"1 % independent": (EVEN,)}
"""By weather: the optimum is one of independent losses at an even spacing; there ours is compared with it."""

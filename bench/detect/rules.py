"""Every rule in the table, in its order."""

from bench.detect.dpinger import OPNSENSE, PFSENSE
from bench.detect.optimum import Optimum
from bench.detect.peers import FIVE, THREE, Bfd, Mwan3
from bench.detect.rule import Rule

RULES: tuple[Rule, ...] = (PFSENSE, OPNSENSE, Mwan3(), THREE, FIVE, Bfd(), Optimum())

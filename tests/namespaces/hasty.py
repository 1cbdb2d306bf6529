"""The agent, which has little patience with a configuration on trial.

python -m tests.namespaces.hasty run --config FILE
"""

import sys

from agent.__main__ import main
from agent.edge import trial

TRIAL_S = 12.0

if __name__ == "__main__":
    trial.TRIAL_S = TRIAL_S
    sys.exit(main(sys.argv[1:]))

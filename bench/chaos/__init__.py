"""Five real stations and a real centre under random faults; then an oracle says what was kept, and what was not."""

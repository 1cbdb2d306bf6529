"""Every station of a regency at once: cards, enrolment behind one address, sessions that all come back, one revoked."""

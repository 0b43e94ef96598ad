"""Plain values and pure decisions shared by everything above. No I/O and no clock in here."""

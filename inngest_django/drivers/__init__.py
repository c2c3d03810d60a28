"""How a function is called. Drivers see values only and know no table."""

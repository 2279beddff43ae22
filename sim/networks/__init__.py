"""Networks by name, as shapes: no weights, widths to be chosen."""

"""The host layer of the accelerator: its command stream, its driver, its register documents."""

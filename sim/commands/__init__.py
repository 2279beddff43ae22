"""The subcommands of ``bfimna``: each module adds its parser and runs what was parsed."""

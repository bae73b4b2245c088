"""Many runs: what is to be run, where it is written down, how it is launched, and the table at the end."""

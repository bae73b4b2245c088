"""The sources of images that ``conf/data`` offers, one module per kind."""
